import YuyanNN

/// What callers and the step loop share, under one lock that nobody holds while a pass runs.
struct EngineState: Sendable {
    var scheduler: Scheduler
    /// Requests that have not ended, by number.
    var tickets: [Int: EngineTicket] = [:]
    /// Samples or texts of each that have not ended.
    var open: [Int: Int] = [:]
    var nextTicket = 0
    var nextSequence = 0
    var nextArrival = 0
    /// Versions of the weights; cached prefixes of another one are never shared.
    var weights: UInt64 = 0
    var isDraining = false
    var isStopping = false
    var drained: [CheckedContinuation<Void, Never>] = []
    /// Whether a pass runs.
    var isComputing = false
    var idle: [CheckedContinuation<Void, Never>] = []
    var statistics = EngineStatistics()
    /// Whether the last plan left something out for want of blocks.
    var waitsForBlocks = false
    /// Sequences that ended since the loop last looked.
    var departed: [Int] = []
    private var paused: Set<Int> = []

    init(scheduler: Scheduler) { self.scheduler = scheduler }

    /// Requests that wait, those of one batch counted once.
    var waitingRequests: Int {
        let waiting = Set(scheduler.waiting.compactMap { scheduler.sequences[$0]?.request })
        let batches = waiting.compactMap { tickets[$0]?.work.batch.map { ObjectIdentifier($0) } }
        return waiting.count - batches.count + Set(batches).count
    }

    /// Requests whose reader is behind; one that is goes on when it has caught up by half.
    ///
    /// Otherwise a slow reader's answer would be stopped and begun again with every token.
    mutating func pausedRequests() -> Set<Int> {
        paused = Set(
            tickets.values.filter {
                $0.backlog.isFull || (paused.contains($0.id) && $0.backlog.isHalfFull)
            }.map(\.id))
        return paused
    }

    /// One of a request's samples ended; true if it was the last.
    mutating func close(_ sequence: Int, of ticket: Int) -> Bool {
        scheduler.remove(sequence)
        departed.append(sequence)
        guard let left = open[ticket] else { return false }
        open[ticket] = left - 1
        guard left == 1 else { return false }
        forget(ticket)
        return true
    }

    /// A request ends with all that it holds.
    mutating func forget(_ ticket: Int) {
        guard let known = tickets.removeValue(forKey: ticket) else { return }
        for index in 0..<known.count {
            scheduler.remove(known.firstSequence + index)
            departed.append(known.firstSequence + index)
        }
        open[ticket] = nil
    }

    /// Those who wait for the end, if it has come.
    mutating func takeDrained() -> [CheckedContinuation<Void, Never>] {
        guard isDraining, tickets.isEmpty else { return [] }
        defer { drained = [] }
        return drained
    }

    /// Those who wait until nothing is computed, if that is so.
    mutating func takeIdle() -> [CheckedContinuation<Void, Never>] {
        guard tickets.isEmpty, !isComputing else { return [] }
        defer { idle = [] }
        return idle
    }

    /// Numbers for the whole of a request.
    mutating func admit(
        _ work: EngineTicket.Work, backlog: GenerationEvents.Backlog, count: Int
    ) -> EngineTicket {
        let ticket = EngineTicket(
            id: nextTicket, work: work, backlog: backlog, firstSequence: nextSequence)
        nextTicket += 1
        nextSequence += count
        tickets[ticket.id] = ticket
        open[ticket.id] = count
        statistics.requests += 1
        return ticket
    }
}
