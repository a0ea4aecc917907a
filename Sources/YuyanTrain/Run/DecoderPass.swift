import YuyanNN
import YuyanTensor

/// Forward and backward of a decoder over one micro-batch, with the loss over supervised tokens.
final class DecoderPass {
    let decoder: Decoder
    let device: Device
    /// Of dropout.
    private let seed: UInt64
    /// Whether layers are computed again instead of kept.
    var checkpointing = false

    init(decoder: Decoder, device: Device, seed: UInt64) {
        self.decoder = decoder
        self.device = device
        self.seed = seed
    }

    /// Adds the micro-batch's loss, and its gradients to the parameters that it reaches.
    func train(
        _ batch: TrainingBatch, adapter: LowRankAdapter?, normalizer: Double,
        tokensBefore: UInt64, tripwire: Tripwire? = nil, statistics: inout LossStatistics
    ) {
        let tape = Tape()
        let pass = TrainingPass(
            tape: tape, dropout: DropoutNumbers(seed: seed, firstToken: tokensBefore),
            tripwire: tripwire)
        let device = device.training(pass)
        let targets = Targets(batch)
        guard !targets.rows.isEmpty else { return }
        let tokens = TokenBatch(tokens: batch.tokens, lengths: batch.lengths, adapter: adapter)
        let hidden = decoder.hiddenStates(
            whole: tokens, checkpointing: checkpointing, on: device)
        let (x, head) = decoder.lossRows(
            hidden: hidden, rows: targets.rows, of: tokens, on: device)
        let gradient = crossEntropy(
            x, targets: targets.tokens, weights: targets.weights, normalizer: normalizer,
            head: head, statistics: &statistics, on: device)
        if let gradient { tape.backward([(x, gradient)], on: device) }
    }

    /// Adds the micro-batch's loss, without gradients and without dropout.
    func evaluate(
        _ batch: TrainingBatch, adapter: LowRankAdapter?, statistics: inout LossStatistics
    ) {
        let targets = Targets(batch)
        guard !targets.rows.isEmpty else { return }
        let tokens = TokenBatch(tokens: batch.tokens, lengths: batch.lengths, adapter: adapter)
        let hidden = decoder.hiddenStates(whole: tokens, checkpointing: false, on: device)
        let (x, head) = decoder.lossRows(
            hidden: hidden, rows: targets.rows, of: tokens, on: device)
        _ = crossEntropy(
            x, targets: targets.tokens, weights: targets.weights, normalizer: 1, head: head,
            statistics: &statistics, on: device)
    }

    /// The rows whose next token counts, and what they should have said.
    private struct Targets {
        var rows: [Int] = []
        var tokens: [Int32] = []
        var weights: [Float] = []

        init(_ batch: TrainingBatch) {
            var start = 0
            for length in batch.lengths {
                for row in start..<start + length where row + 1 < start + length {
                    // A weight is that of predicting its token from those before it.
                    let weight = batch.weights[row + 1]
                    guard weight != 0 else { continue }
                    rows.append(row)
                    tokens.append(batch.tokens[row + 1])
                    weights.append(weight)
                }
                start += length
            }
        }
    }
}
