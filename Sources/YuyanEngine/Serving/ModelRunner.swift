import YuyanNN
import YuyanTensor

/// Computes plans: one forward pass for all items, then scores, vectors and next tokens.
///
/// Lives on the engine's thread.
final class ModelRunner {
    private let model: Decoder
    private let device: Device
    private let cache: KeyValueBlocks
    private let contextLimit: Int
    private let endOfSequence: [Int32]
    private let rotatesByLength: Bool
    private var samples: [Int: Sample] = [:]
    private var scores: [Int: PromptScores] = [:]
    private var pools: [Int: PooledStates] = [:]
    private var known: Set<Int> = []

    init(
        model: Decoder, device: Device, cache: KeyValueBlocks, contextLimit: Int,
        endOfSequence: [Int32]
    ) {
        self.model = model
        self.device = device
        self.cache = cache
        self.contextLimit = contextLimit
        self.endOfSequence = endOfSequence
        rotatesByLength = if case .dynamicNTK = model.shape.rotaryScaling { true } else { false }
    }

    /// Drops what was kept for sequences that have ended.
    func forget(_ sequences: [Int]) {
        for id in sequences {
            samples[id] = nil
            scores[id] = nil
            pools[id] = nil
            known.remove(id)
        }
    }

    /// A copy of a sequence's way of choosing, if it has chosen before.
    func chooser(of sequence: Int) -> DraftChooser? { samples[sequence]?.chooser }

    /// Computes a plan; one result for each of its items.
    func compute(_ step: EngineStep) -> [ItemResult] {
        let plan = step.plan
        for copy in plan.copies { cache.copy(copy.source, to: copy.destination) }
        let (batch, starts) = batch(of: step)
        let hidden = model.hiddenStates(batch, cache: cache, on: device)
        var results = plan.items.map { _ in ItemResult() }
        var jobs: [SamplingJob] = []
        var normalized: Tensor?
        for (index, item) in plan.items.enumerated() {
            guard let ticket = step.tickets[item.request] else { continue }
            if known.insert(item.sequence).inserted, item.sequence == ticket.firstSequence {
                results[index].queued = step.start - ticket.submitted
            }
            do {
                switch ticket.work {
                case .embed(let request, _):
                    let states = normalized ?? model.normalized(hidden: hidden, on: device)
                    normalized = states
                    results[index].vector = pool(
                        item, request, rows: starts[index]..<starts[index] + item.tokens.count,
                        of: states)
                    results[index].endsWithPrompt = results[index].vector != nil
                case .generate(let request, _):
                    if let topCount = request.promptLogProbabilities {
                        results[index].scores = try score(
                            item, request, topCount: topCount, firstRow: starts[index], of: hidden,
                            batch)
                    }
                    guard item.reachesEnd else { continue }
                    if request.parameters.maxTokens == 0 {
                        results[index].endsWithPrompt = true
                    } else {
                        jobs.append(
                            SamplingJob(
                                result: index, item: item,
                                samples: try samples(of: item, request, ticket),
                                firstRow: starts[index] + item.tokens.count - item.draftCount - 1))
                    }
                }
            } catch {
                results[index].error = .failed("\(error)")
            }
        }
        choose(jobs, from: hidden, batch, into: &results)
        return results
    }

    // MARK: - The pass

    private func batch(of step: EngineStep) -> (TokenBatch, starts: [Int]) {
        var tokens: [Int32] = []
        var segments: [TokenBatch.Segment] = []
        var starts: [Int] = []
        for item in step.plan.items {
            starts.append(tokens.count)
            for piece in pieces(of: item) {
                let row = tokens.count + piece.lowerBound - item.firstPosition
                let rows = row..<row + piece.count
                segments.append(
                    TokenBatch.Segment(
                        SequenceSegment(
                            rows: rows, firstPosition: piece.lowerBound, blocks: item.blocks),
                        contextLength: piece.upperBound <= item.promptCount
                            ? item.promptCount : nil,
                        adapter: step.tickets[item.request]?.adapter))
            }
            tokens += item.tokens
        }
        return (TokenBatch(tokens: tokens, segments: segments), starts)
    }

    /// Positions that share one rotation: with dynamic NTK a prompt's, then every later one by
    /// itself, as when it was first computed.
    private func pieces(of item: StepPlan.Item) -> [Range<Int>] {
        let end = item.firstPosition + item.tokens.count
        guard rotatesByLength, end > item.promptCount else { return [item.firstPosition..<end] }
        let prompt = item.firstPosition..<max(item.firstPosition, item.promptCount)
        let rest = (prompt.upperBound..<end).map { $0..<$0 + 1 }
        return prompt.isEmpty ? rest : [prompt] + rest
    }

    // MARK: - Scores and vectors

    /// Scores of a prompt so far; once they are handed over, a recomputed prompt is not scored again.
    private struct PromptScores {
        var values: [TokenLogProbabilities?] = [nil]
        var isComplete = false
    }

    private func score(
        _ item: StepPlan.Item, _ request: GenerationRequest, topCount: Int, firstRow: Int,
        of hidden: Tensor, _ batch: TokenBatch
    ) throws -> [TokenLogProbabilities?]? {
        if item.firstPosition == 0, scores[item.sequence]?.isComplete != true {
            scores[item.sequence] = PromptScores()
        }
        guard scores[item.sequence]?.isComplete == false else { return nil }
        let last = min(item.firstPosition + item.tokens.count, item.promptCount - 1)
        // A few rows at a time: logits of a whole chunk would take more memory than the model.
        let rowsEach = 48
        for start in stride(from: item.firstPosition, to: last, by: rowsEach) {
            let end = min(start + rowsEach, last)
            let firstRow = firstRow + start - item.firstPosition
            let scored = try score(
                request.prompt[start + 1..<end + 1], topCount: topCount,
                logits: model.logits(
                    hidden: hidden, rows: Array(firstRow..<firstRow + end - start), of: batch,
                    on: device))
            scores[item.sequence]?.values += scored
        }
        guard item.reachesEnd else { return nil }
        scores[item.sequence]?.isComplete = true
        return scores[item.sequence]?.values
    }

    private func score(
        _ tokens: ArraySlice<Int32>, topCount: Int, logits: Tensor
    ) throws -> [TokenLogProbabilities] {
        var found = [Result<TokenLogProbabilities, SamplingError>?](
            repeating: nil, count: tokens.count)
        found.withUnsafeMutableBufferPointer { found in
            let found = Unshared(found)
            device.pool.parallel(tokens.count) { index, _ in
                found.value[index] = logits.withRow(index) { row in
                    Result { () throws(SamplingError) in
                        try logProbabilities(
                            of: row.span, token: tokens[tokens.startIndex + index],
                            topCount: topCount)
                    }
                }
            }
        }
        return try found.compactMap { try $0?.get() }
    }

    private func pool(
        _ item: StepPlan.Item, _ request: EmbeddingRequest, rows: Range<Int>, of states: Tensor
    ) -> [Float]? {
        if item.firstPosition == 0 {
            pools[item.sequence] = PooledStates(request.pooling, width: states.width)
        }
        pools[item.sequence]?.add(rows, of: states)
        guard item.reachesEnd else { return nil }
        return pools[item.sequence]?.vector(normalizes: request.normalizes)
    }

    // MARK: - Next tokens

    /// One item's choices: rows of logits in order, by one sample, or one row by all samples.
    private struct SamplingJob {
        let result: Int
        let item: StepPlan.Item
        let samples: [Sample]
        let firstRow: Int
        var rowCount: Int { 1 + item.draftCount }
    }

    private func samples(
        of item: StepPlan.Item, _ request: GenerationRequest, _ ticket: EngineTicket
    ) throws(SamplingError) -> [Sample] {
        if let sample = samples[item.sequence] { return [sample] }
        var all: [Sample] = []
        for index in 0..<request.sampleCount {
            let sample = try Sample(
                request, index: index, vocabularySize: model.shape.vocabularySize,
                endOfSequence: endOfSequence, contextLimit: contextLimit)
            samples[ticket.firstSequence + index] = sample
            all.append(sample)
        }
        return all
    }

    private func choose(
        _ jobs: [SamplingJob], from hidden: Tensor, _ batch: TokenBatch,
        into results: inout [ItemResult]
    ) {
        guard !jobs.isEmpty else { return }
        let logits = model.logits(
            hidden: hidden, rows: jobs.flatMap { $0.firstRow..<$0.firstRow + $0.rowCount },
            of: batch, on: device)
        var rows: [Int] = []
        var row = 0
        for job in jobs {
            rows.append(row)
            row += job.rowCount
        }
        results.withUnsafeMutableBufferPointer { results in
            let results = Unshared(results)
            device.pool.parallel(jobs.count) { index, _ in
                let job = jobs[index]
                do throws(EngineError) {
                    let choices =
                        job.samples.count == 1
                        ? try verify(job, job.samples[0], logits, firstRow: rows[index])
                        : try branch(job, logits, row: rows[index])
                    results.value[job.result].own = choices.own
                    results.value[job.result].forks = choices.forks
                } catch {
                    results.value[job.result].error = error
                }
            }
        }
    }

    /// Chooses row by row for as long as the draft guessed right: each choice is the one that plain
    /// decoding makes there, so that a draft changes the speed and nothing else.
    private func verify(
        _ job: SamplingJob, _ sample: Sample, _ logits: Tensor, firstRow: Int
    ) throws(EngineError) -> (own: [ItemResult.Choice], forks: [ItemResult.Choice]) {
        let known = job.item.tokens.count - job.item.draftCount
        var own: [ItemResult.Choice] = []
        for row in 0..<job.rowCount {
            let position = job.item.firstPosition + known + row
            let choice = try logits.withMutableRow(firstRow + row) {
                (span: inout MutableSpan<Float>) throws(EngineError) in
                try sample.choose(&span, position: position)
            }
            own.append(choice)
            let goesOn =
                row < job.item.draftCount && choice.finish == nil
                && job.item.tokens[known + row] == choice.token
            guard goesOn else { break }
        }
        return (own, [])
    }

    /// All samples of a request choose their first token from the prompt's last row.
    private func branch(
        _ job: SamplingJob, _ logits: Tensor, row: Int
    ) throws(EngineError) -> (own: [ItemResult.Choice], forks: [ItemResult.Choice]) {
        let position = job.item.firstPosition + job.item.tokens.count
        var choices: [ItemResult.Choice] = []
        for sample in job.samples {
            var copy = logits.row(row)
            var span = copy.mutableSpan
            choices.append(try sample.choose(&span, position: position))
        }
        return (Array(choices.prefix(1)), Array(choices.dropFirst()))
    }
}

/// Lets workers write to elements of their own.
///
/// Unchecked: each worker touches other indices, and the loop ends before the buffer does.
private struct Unshared<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
