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
    var statistics = EngineStatistics()
    /// Whether the last plan left something out for want of blocks.
    var waitsForBlocks = false
    /// Sequences that ended since the loop last looked.
    var departed: [Int] = []

    init(scheduler: Scheduler) { self.scheduler = scheduler }

    /// Requests of which no sequence runs yet.
    var waitingRequests: Int {
        Set(scheduler.waiting.compactMap { scheduler.sequences[$0]?.request }).count
    }

    /// Requests whose reader is behind.
    var paused: Set<Int> { Set(tickets.values.filter(\.backlog.isFull).map(\.id)) }

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
