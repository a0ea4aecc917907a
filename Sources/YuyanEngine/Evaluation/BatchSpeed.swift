import YuyanNN
import YuyanTensor

/// How fast a model answers several sequences at once.
public struct BatchSpeed: Sendable {
    /// Sequences that take part in every step.
    public let sequences: Int
    /// Tokens per second of all sequences together, run by run.
    public let tokensPerSecond: [Double]
    /// Seconds of every counted step.
    public let stepSeconds: [Double]
}

/// Measures decode steps of `sequences` sequences, one token each, the likeliest.
///
/// Each sequence has the same `contextTokens` of fixed pseudo-random tokens behind it when a run
/// begins, in blocks of its own. One run is not counted.
///
/// - Parameters:
///   - sequences: At least 1.
///   - contextTokens: At least 1.
///   - steps: Tokens to decode for each sequence, at least 1.
///   - repeats: Counted runs, at least 1.
/// - Throws: `GenerationError.contextExceeded` if the model's context is too short.
public func measuredBatchSpeed(
    of model: EvaluatedModel, sequences: Int, contextTokens: Int, steps: Int, repeats: Int
) throws -> BatchSpeed {
    precondition(sequences > 0 && contextTokens > 0 && steps > 0 && repeats > 0, "no steps")
    let (decoder, device) = (model.model, model.device)
    let limit = decoder.shape.contextLength
    guard contextTokens + steps <= limit else {
        throw GenerationError.contextExceeded(promptTokens: contextTokens + steps, limit: limit)
    }
    let blockTokens = KeyValueLayout.blockTokens
    let blocksEach = (contextTokens + steps + blockTokens - 1) / blockTokens
    let cache = KeyValueBlocks(
        layout: decoder.cacheLayout(type: model.keyValueType), capacity: sequences * blocksEach)
    let tables = (0..<sequences).map { index in
        (0..<blocksEach).map { Int32(index * blocksEach + $0) }
    }
    let random = CounterRandom(seed: 0)
    let prompt = (0..<contextTokens).map {
        Int32(random.word64(position: UInt64($0)) % UInt64(decoder.shape.vocabularySize))
    }
    for first in stride(from: 0, to: contextTokens, by: 512) {
        let chunk = Array(prompt[first..<min(first + 512, contextTokens)])
        _ = decoder.hiddenStates(
            TokenBatch(tokens: chunk, firstPosition: first, blocks: tables[0]), cache: cache,
            on: device)
    }
    for table in tables.dropFirst() {
        for (source, copy) in zip(tables[0], table) { cache.copy(source, to: copy) }
    }
    var (rates, seconds): ([Double], [Double]) = ([], [])
    for run in 0...repeats {
        var tokens = (0..<sequences).map { prompt[$0 % contextTokens] }
        let times = (0..<steps).map { step in
            let clock = ContinuousClock()
            let start = clock.now
            let segments = tables.enumerated().map { row, table in
                TokenBatch.Segment(
                    SequenceSegment(
                        rows: row..<row + 1, firstPosition: contextTokens + step, blocks: table))
            }
            let hidden = decoder.hiddenStates(
                TokenBatch(tokens: tokens, segments: segments), cache: cache, on: device)
            let logits = decoder.logits(
                hidden: hidden, rows: Array(0..<sequences), on: device)
            for row in 0..<sequences {
                tokens[row] = logits.withRow(row) { Int32(device.argmax($0)) }
            }
            return (clock.now - start) / .seconds(1)
        }
        if run == 0 { continue }
        seconds += times
        rates.append(Double(sequences * steps) / times.reduce(0, +))
    }
    return BatchSpeed(sequences: sequences, tokensPerSecond: rates, stepSeconds: seconds)
}
