import Synchronization
import YuyanNN
import YuyanTensor

/// The engine's thread and what it shares with callers.
final class EngineLoop: Sendable {
    let signal = Signal()
    private let state: Mutex<EngineState>
    private let model: Decoder
    private let device: Device
    private let configuration: EngineConfiguration
    private let contextLimit: Int
    private let endOfSequence: [Int32]
    private let cache: KeyValueBlocks
    private let draftModel: Decoder?

    init(
        model: Decoder, device: Device, configuration: EngineConfiguration, blockCount: Int,
        contextLimit: Int, endOfSequence: [Int32], draftModel: Decoder?
    ) {
        self.model = model
        self.draftModel = draftModel
        self.device = device
        self.configuration = configuration
        self.contextLimit = contextLimit
        self.endOfSequence = endOfSequence
        cache = KeyValueBlocks(
            layout: model.cacheLayout(type: configuration.keyValueType), capacity: blockCount)
        state = Mutex(
            EngineState(
                scheduler: Scheduler(configuration: configuration, blockCount: blockCount)))
    }

    // MARK: - Called from anywhere

    /// Gives a request its place in the queue and returns its number.
    func enqueue(
        _ work: EngineTicket.Work, backlog: GenerationEvents.Backlog, count: Int
    ) throws(EngineError) -> Int {
        // Dynamic NTK rotates keys by the length so far: another length's keys are no prefix.
        let shares = configuration.sharesPrefixes && !rotatesByLength
        let outcome: Result<Int, EngineError> = state.withLock { state in
            if state.isDraining || state.isStopping { return .failure(.draining) }
            let waiting = state.waitingRequests
            guard waiting < configuration.maxQueue || work.batch?.isTaken == true else {
                return .failure(
                    .overloaded(waiting: waiting, retryAfterSeconds: Self.retryAfter(state)))
            }
            work.batch?.take()
            let ticket = state.admit(work, backlog: backlog, count: count)
            for sequence in sequences(of: ticket, &state, shares: shares) {
                state.scheduler.enqueue(sequence)
            }
            return .success(ticket.id)
        }
        signal.wake()
        return try outcome.get()
    }

    private var rotatesByLength: Bool {
        if case .dynamicNTK = model.shape.rotaryScaling { true } else { false }
    }

    private func sequences(
        of ticket: EngineTicket, _ state: inout EngineState, shares: Bool
    ) -> [ScheduledSequence] {
        let arrival = state.nextArrival
        state.nextArrival += 1
        func sequence(
            _ index: Int, _ tokens: [Int32], client: String, priority: Int, salt: String,
            shares: Bool, samples: Int, allRows: Bool, ends: Bool
        ) -> ScheduledSequence {
            ScheduledSequence(
                id: ticket.firstSequence + index, request: ticket.id, sample: index,
                promptCount: tokens.count, tokens: tokens, priority: priority, client: client,
                arrival: arrival,
                tag: CacheTag(
                    weights: state.weights, adapter: ticket.adapter?.version ?? 0, salt: salt),
                sharesPrefixes: shares, sampleCount: samples, wantsAllRows: allRows,
                endsWithPrompt: ends)
        }
        switch ticket.work {
        case .generate(let request, _):
            return [
                sequence(
                    0, request.prompt, client: request.client, priority: request.priority,
                    salt: request.cacheSalt, shares: shares, samples: request.sampleCount,
                    allRows: request.promptLogProbabilities != nil,
                    ends: request.parameters.maxTokens == 0)
            ]
        case .embed(let request, _):
            return request.texts.enumerated().map { index, text in
                sequence(
                    index, text, client: request.client, priority: 0, salt: "", shares: false,
                    samples: 1, allRows: true, ends: true)
            }
        }
    }

    /// Seconds until the waiting prompts are likely computed, by the rate of the last steps.
    private static func retryAfter(_ state: EngineState) -> Int {
        let recent = state.statistics.recentSteps
        let time = recent.reduce(Duration.zero) { $0 + $1.time } / .seconds(1)
        let tokens = recent.reduce(0) { $0 + $1.tokens }
        guard tokens > 0, time > 0 else { return 1 }
        let waiting = state.scheduler.waiting.reduce(0) {
            $0 + (state.scheduler.sequences[$1]?.pending ?? 0)
        }
        return min(max(1, Int(Double(waiting) / (Double(tokens) / time))), 120)
    }

    /// Ends a request whose reader has gone; its blocks are free before the next step.
    func cancel(_ id: Int) {
        let drained = state.withLock { state in
            guard state.tickets[id] != nil else { return [CheckedContinuation<Void, Never>]() }
            if state.tickets[id]?.backlog.isSatisfied == false { state.statistics.cancelled += 1 }
            state.forget(id)
            return state.takeDrained() + state.takeIdle()
        }
        for waiter in drained { waiter.resume() }
        signal.wake()
    }

    func drain() async {
        await withCheckedContinuation { continuation in
            let now = state.withLock { state in
                state.isDraining = true
                state.drained.append(continuation)
                return state.takeDrained()
            }
            for waiter in now { waiter.resume() }
        }
    }

    func idle() async {
        await withCheckedContinuation { continuation in
            let now = state.withLock { state in
                state.idle.append(continuation)
                return state.takeIdle()
            }
            for waiter in now { waiter.resume() }
        }
    }

    func weightsChanged() {
        state.withLock { state in
            state.weights += 1
            state.scheduler.forgetPrefixes()
        }
    }

    func statistics() -> EngineStatistics { state.withLock { $0.snapshot(cache.layout) } }

    func stop() {
        state.withLock { $0.isStopping = true }
        signal.wake()
    }

    // MARK: - The thread

    /// Computes steps until `stop`.
    func run() {
        let runner = ModelRunner(
            model: model, device: device, cache: cache, contextLimit: contextLimit,
            endOfSequence: endOfSequence)
        let speculator = speculator()
        while let step = nextStep(runner, speculator) {
            if step.plan.isEmpty {
                signal.wait()
                continue
            }
            let planned = ContinuousClock.now
            let results = runner.compute(step)
            let computed = ContinuousClock.now
            speculator?.record(step, results, time: computed - planned)
            deliver(step, results)
            let end = ContinuousClock.now
            let idle = state.withLock { state in
                state.statistics.count(
                    step.plan, compute: computed - planned + step.draftTime,
                    overhead: (planned - step.start) + (end - computed) - step.draftTime)
                state.statistics.speculation = speculator?.summary
                state.isComputing = false
                return state.takeIdle()
            }
            for waiter in idle { waiter.resume() }
        }
        let left = state.withLock { state in
            let left = Array(state.tickets.values)
            for ticket in left { state.forget(ticket.id) }
            return left
        }
        for ticket in left { ticket.end(.draining) }
    }

    private func speculator() -> Speculator? {
        switch configuration.speculation {
        case .off: return nil
        case .ngram: return Speculator(PromptLookup(), configuration)
        case .draft:
            guard let draftModel else { return nil }
            let drafter = DraftModel(
                draftModel, on: device, keyValueBytes: configuration.draftKeyValueBytes,
                type: configuration.keyValueType, batchTokens: configuration.batchTokens)
            return Speculator(drafter, configuration)
        }
    }

    /// The next plan and the requests it serves; nil when the engine stops.
    private func nextStep(_ runner: ModelRunner, _ speculator: Speculator?) -> EngineStep? {
        let start = ContinuousClock.now
        let (decoding, departed) = state.withLock { state in
            defer { state.departed = [] }
            let decoding =
                speculator == nil ? [] : state.scheduler.decoding(state.pausedRequests())
            return (decoding, state.departed)
        }
        runner.forget(departed)
        speculator?.forget(departed)
        let drafting = ContinuousClock.now
        let drafts =
            speculator?.drafts(for: decoding, contextLimit: contextLimit) { runner.chooser(of: $0) }
            ?? [:]
        let draftTime = ContinuousClock.now - drafting
        return state.withLock { state -> EngineStep? in
            guard !state.isStopping else { return nil }
            let plan = state.scheduler.plan(drafts: drafts, paused: state.pausedRequests())
            state.waitsForBlocks = plan.waitsForBlocks
            state.isComputing = !plan.isEmpty
            var tickets: [Int: EngineTicket] = [:]
            for item in plan.items { tickets[item.request] = state.tickets[item.request] }
            return EngineStep(start: start, draftTime: draftTime, plan: plan, tickets: tickets)
        }
    }

    /// Tells the scheduler what was computed, then the readers.
    private func deliver(_ step: EngineStep, _ results: [ItemResult]) {
        var ended: [(EngineTicket, EngineError?)] = []
        let drained = state.withLock { state in
            for (item, result) in zip(step.plan.items, results) {
                // A reader may have gone while the pass ran.
                guard let ticket = state.tickets[item.request] else { continue }
                if let error = result.error {
                    state.forget(ticket.id)
                    ended.append((ticket, error))
                    continue
                }
                state.scheduler.complete(item, chosen: result.own.map(\.token))
                for fork in result.forks where fork.finish == nil {
                    state.scheduler.fork(
                        item.sequence, as: ticket.firstSequence + fork.sample, sample: fork.sample,
                        firstToken: fork.token)
                }
                state.statistics.count(item, chosen: result.own.count)
                state.statistics.generatedTokens += result.forks.count
                for sequence in result.ended(item, ticket)
                where state.close(sequence, of: ticket.id) {
                    ended.append((ticket, nil))
                }
            }
            return state.takeDrained()
        }
        for (item, result) in zip(step.plan.items, results) {
            if let ticket = step.tickets[item.request] { result.send(to: ticket, item) }
        }
        for (ticket, error) in ended { ticket.end(error) }
        for waiter in drained { waiter.resume() }
    }
}
