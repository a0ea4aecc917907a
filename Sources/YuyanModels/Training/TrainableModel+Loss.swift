import YuyanNN
import YuyanTensor

/// Samples laid end to end, as a pass takes them.
package struct TrainingTokens: Sendable {
    /// Ids `[T]`.
    package let tokens: [Int32]
    /// Weight `[T]` of the loss of predicting each token; 0 for those that are only read.
    package let weights: [Float]
    /// Tokens of each sample.
    package let lengths: [Int]
    /// Tokens of the run before these: which random numbers dropout draws.
    package let firstToken: UInt64

    package init(
        tokens: [Int32], weights: [Float], lengths: [Int], firstToken: UInt64 = 0
    ) {
        precondition(
            tokens.count == weights.count && lengths.reduce(0, +) == tokens.count,
            "\(tokens.count) tokens, \(weights.count) weights, \(lengths.reduce(0, +)) in samples")
        self.tokens = tokens
        self.weights = weights
        self.lengths = lengths
        self.firstToken = firstToken
    }
}

extension TrainableModel {
    /// Adds the gradients of the cross-entropy of these samples to the parameters.
    ///
    /// The samples are cut into passes of about `tokensPerPass`. Every sum runs over tokens in order
    /// and is resumed by later passes and calls, so neither that cut nor that of a step into calls
    /// changes a bit of the gradients or of the statistics.
    ///
    /// - Parameters:
    ///   - normalizer: Sum of the weights over the whole optimiser step.
    ///   - statistics: Is added to.
    ///   - seed: Key of dropout's random numbers.
    /// - Throws: `NumericalFault` if the loss is not finite, naming where that began. Gradients are
    ///   then undefined.
    package func addGradients(
        of samples: TrainingTokens, normalizer: Double, statistics: inout LossStatistics,
        seed: UInt64 = 0, on device: Device
    ) throws(NumericalFault) {
        for part in samples.passes(of: tokensPerPass) {
            run(part, normalizer, &statistics, seed: seed, tripwire: nil, on: device)
        }
        if !statistics.lossSum.isFinite, let fault = fault(in: samples, seed: seed, on: device) {
            throw fault
        }
    }

    /// Adds the loss of these samples, without gradients or dropout.
    package func addLoss(
        of samples: TrainingTokens, statistics: inout LossStatistics, on device: Device
    ) {
        for part in samples.passes(of: tokensPerPass) {
            evaluate(part, 1, &statistics, on: device)
        }
    }

    /// Looks for the first number that is not finite in a pass over these samples.
    ///
    /// For when a loss or a gradient turned out not to be; gradients are undefined afterwards.
    package func fault(
        in samples: TrainingTokens, seed: UInt64 = 0, on device: Device
    ) -> NumericalFault? {
        let tripwire = Tripwire()
        var statistics = LossStatistics()
        zeroGradients()
        for part in samples.passes(of: tokensPerPass) {
            run(part, 1, &statistics, seed: seed, tripwire: tripwire, on: device)
            for parameter in parameters { tripwire.check(parameter) }
            if let fault = tripwire.fault { return fault }
        }
        return nil
    }

    /// Log-probability of each token given those before it, `[T]`; 0 for the first of a sample.
    ///
    /// Without gradients or dropout; the bits are the engine's.
    package func logProbabilities(of samples: TrainingTokens, on device: Device) -> [Float] {
        var found = [Float](repeating: 0, count: samples.tokens.count)
        for part in samples.passes(of: tokensPerPass, supervisingAll: true) {
            let (x, head) = rows(of: part, on: device)
            let values = tokenLogProbabilities(
                x, targets: part.targets, head: head, on: device
            ).values
            for (place, value) in zip(part.places, values) { found[place] = value }
        }
        return found
    }

    private func run(
        _ part: TrainingPart, _ normalizer: Double, _ statistics: inout LossStatistics,
        seed: UInt64, tripwire: Tripwire?, on device: Device
    ) {
        let tape = Tape()
        let pass = TrainingPass(
            tape: tape, dropout: DropoutNumbers(seed: seed, tokens: part.numbers),
            tripwire: tripwire)
        let recording = device.training(pass)
        let (x, head) = rows(of: part, on: recording)
        let gradient = crossEntropy(
            x, targets: part.targets, weights: part.weights, normalizer: normalizer, head: head,
            statistics: &statistics, on: recording)
        if let gradient { tape.backward([(x, gradient)], on: recording) }
    }

    private func evaluate(
        _ part: TrainingPart, _ normalizer: Double, _ statistics: inout LossStatistics,
        on device: Device
    ) {
        let (x, head) = rows(of: part, on: device)
        _ = crossEntropy(
            x, targets: part.targets, weights: part.weights, normalizer: normalizer, head: head,
            statistics: &statistics, on: device)
    }

    /// The normalised rows that predict a part's targets, and the head that reads them.
    private func rows(
        of part: TrainingPart, on device: Device
    ) -> (x: Tensor, head: OutputHead) {
        let batch = TokenBatch(tokens: part.tokens, lengths: part.lengths, adapter: adapter)
        let hidden = decoder.hiddenStates(
            whole: batch, checkpointing: checkpointsLayers, on: device)
        return decoder.lossRows(hidden: hidden, rows: part.rows, of: batch, on: device)
    }
}

/// Samples of one pass, without the tokens behind the last that is supervised.
struct TrainingPart {
    var tokens: [Int32] = []
    var lengths: [Int] = []
    /// For each token, which of the run it is.
    var numbers: [UInt64] = []
    /// Rows that predict a supervised token, and that token, its weight and its place in the batch.
    var rows: [Int] = []
    var targets: [Int32] = []
    var weights: [Float] = []
    var places: [Int] = []
}

extension TrainingTokens {
    /// Whole samples, taken together until a pass has about `size` tokens; those without a
    /// supervised token are left out, and so are tokens that no supervised one comes after.
    func passes(of size: Int, supervisingAll: Bool = false) -> [TrainingPart] {
        var parts: [TrainingPart] = []
        var part = TrainingPart()
        var start = 0
        for length in lengths {
            defer { start += length }
            let supervised = (0..<length).dropFirst().filter {
                supervisingAll || weights[start + $0] != 0
            }
            guard let last = supervised.last else { continue }
            if !part.lengths.isEmpty, part.tokens.count + last > size {
                parts.append(part)
                part = TrainingPart()
            }
            let row = part.tokens.count
            part.tokens += tokens[start..<start + last]
            part.lengths.append(last)
            part.numbers += (0..<last).map { firstToken + UInt64(start + $0) }
            for index in supervised {
                part.rows.append(row + index - 1)
                part.targets.append(tokens[start + index])
                part.weights.append(weights[start + index])
                part.places.append(start + index)
            }
        }
        if !part.lengths.isEmpty { parts.append(part) }
        return parts
    }
}
