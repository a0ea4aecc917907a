/// Where texts can stand in an automaton, found as they are needed and numbered once each.
///
/// A configuration is a set of threads, each a state and a stack; it answers for all readings of the
/// text so far. Stacks share their lower parts: a stack is a set of places to return to, each with
/// a stack of its own, so that an ambiguous grammar takes polynomial, not exponential, space (the
/// graph-structured stack of Tomita, "Efficient Parsing for Natural Language", 1985). Equal stacks
/// and equal configurations have equal numbers, which makes everything cacheable.
struct Configurations {
    let automaton: Automaton
    private let threadLimit: Int
    /// Work that may still be done; see `charge`.
    var budget = ConstraintBudget.unlimited.left

    /// A set of places to return to; packed as state and stack.
    private struct Stack: Hashable {
        var returns: [UInt64]
        var ends: Ends
    }

    /// What a stack has below it.
    struct Ends: OptionSet, Hashable {
        let rawValue: UInt8
        /// The end of the text.
        static let text = Ends(rawValue: 1)
        /// The end of what a partial configuration knows; see `local`.
        static let hole = Ends(rawValue: 2)
    }

    private struct Configuration: Hashable {
        var threads: [UInt64]
        var ends: Ends
    }

    static let dead: Int32 = 0
    private static let emptyStack: Int32 = 0
    private static let holeStack: Int32 = 1
    /// What looking something up in a table costs, beside a step in an array.
    private static let lookUp = 8

    private var stacks: [Stack] = []
    private var stackDistances: [Int] = []
    private var stackNumbers: [Stack: Int32] = [:]
    private var configurations: [Configuration] = []
    private var numbers: [Configuration: Int32] = [:]
    private(set) var distances: [Int] = []
    /// Where the successors of a configuration begin in `table`, or -1 if they are not known yet.
    private var rows: [Int32] = []
    private var table: [Int32] = []
    private(set) var start: Int32 = 0
    /// Words that threads, stacks and successors take.
    private(set) var words = 0

    var count: Int { configurations.count }

    init(_ automaton: Automaton, threadLimit: Int, budget: Int) throws(ConstraintError) {
        self.automaton = automaton
        self.threadLimit = threadLimit
        self.budget = budget
        _ = number(Stack(returns: [], ends: .text))
        _ = number(Stack(returns: [], ends: .hole))
        _ = number(Configuration(threads: [], ends: []))
        start = try closed([pack(automaton.start, Self.emptyStack)])
    }

    /// Pays for work before it is done, in units of a few nanoseconds.
    ///
    /// What was found before the budget ended is kept, and is right.
    ///
    /// - Throws: `.tooLarge` if the budget is used up.
    @inline(__always)
    mutating func charge(_ work: Int) throws(ConstraintError) {
        budget -= work
        guard budget >= 0 else {
            throw .tooLarge(
                place: "constraint", what: "steps of work for the tokens so far",
                limit: ConstraintBudget.most)
        }
    }

    /// Ways to read the text so far.
    func threadCount(_ configuration: Int32) -> Int {
        configurations[Int(configuration)].threads.count
    }

    /// Whether the text may end here.
    func accepts(_ configuration: Int32) -> Bool {
        configurations[Int(configuration)].ends.contains(.text)
    }

    /// Whether a partial configuration has reached its end.
    func leaves(_ configuration: Int32) -> Bool {
        configurations[Int(configuration)].ends.contains(.hole)
    }

    /// Whether no byte can follow.
    func isExhausted(_ configuration: Int32) -> Bool {
        configurations[Int(configuration)].threads.isEmpty
    }

    /// The configuration after a byte; `dead` if the byte cannot follow.
    mutating func next(
        _ configuration: Int32, _ byte: UInt8
    ) throws(ConstraintError) -> Int32 {
        let row = try row(configuration)
        return table[row + Int(automaton.byteClasses[Int(byte)])]
    }

    /// Where the successors of a configuration stand for `successor`, which is quicker than `next`.
    @inline(__always)
    mutating func row(_ configuration: Int32) throws(ConstraintError) -> Int {
        let row = rows[Int(configuration)]
        return row >= 0 ? Int(row) : try expand(configuration)
    }

    @inline(__always)
    func successor(row: Int, _ byte: UInt8) -> Int32 {
        table[row + Int(automaton.byteClasses[Int(byte)])]
    }

    private func pack(_ state: Int32, _ stack: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: state)) << 32 | UInt64(UInt32(bitPattern: stack))
    }

    private func state(_ thread: UInt64) -> Int { Int(thread >> 32) }
    private func stack(_ thread: UInt64) -> Int32 { Int32(truncatingIfNeeded: thread) }

    /// Finds the successors of a configuration for all bytes.
    private mutating func expand(_ configuration: Int32) throws(ConstraintError) -> Int {
        let classes = automaton.classCount
        var targets: [[UInt64]] = Array(repeating: [], count: classes)
        for thread in configurations[Int(configuration)].threads {
            let state = state(thread)
            let stack = stack(thread)
            for index in automaton.edgeStarts[state]..<automaton.edgeStarts[state + 1] {
                let edge = automaton.edges[Int(index)]
                let low = Int(automaton.byteClasses[Int(edge.low)])
                let high = Int(automaton.byteClasses[Int(edge.high)])
                try charge(high - low + 1)
                for byteClass in low...high { targets[byteClass].append(pack(edge.target, stack)) }
            }
        }
        var successors = [Int32](repeating: Self.dead, count: classes)
        var known: [[UInt64]: Int32] = [:]
        for byteClass in 0..<classes where !targets[byteClass].isEmpty {
            if let number = known[targets[byteClass]] {
                successors[byteClass] = number
            } else {
                let number = try closed(targets[byteClass])
                known[targets[byteClass]] = number
                successors[byteClass] = number
            }
        }
        let row = table.count
        rows[Int(configuration)] = Int32(row)
        table += successors
        words += classes / 2
        return row
    }

    /// The configuration of threads after all returns and calls that read nothing.
    private mutating func closed(_ seeds: [UInt64]) throws(ConstraintError) -> Int32 {
        var threads: [UInt64] = []
        var ends: Ends = []
        var callers: [Int32: Stack] = [:]
        if seeds.count == 1 {
            if try !visit(seeds[0], &threads, &ends, &callers, isEntry: false) {
                return try finish(&threads, ends, &callers)
            }
        }
        var seen = Set<UInt64>()
        var returned = Set<Int32>()
        var work = seeds
        if seeds.count == 1 {
            seen.insert(seeds[0])
            returned.insert(stack(seeds[0]))
            work = stacks[Int(stack(seeds[0]))].returns
        }
        while let thread = work.popLast() {
            try charge(Self.lookUp)
            guard seen.insert(thread).inserted else { continue }
            let below = stack(thread)
            if try visit(thread, &threads, &ends, &callers, isEntry: false),
                returned.insert(below).inserted
            {
                work += stacks[Int(below)].returns
            }
        }
        return try finish(&threads, ends, &callers)
    }

    /// Adds a thread and its calls; returns whether it may return.
    private mutating func visit(
        _ thread: UInt64, _ threads: inout [UInt64], _ ends: inout Ends,
        _ callers: inout [Int32: Stack], isEntry: Bool
    ) throws(ConstraintError) -> Bool {
        let state = state(thread)
        let below = stack(thread)
        if automaton.edgeStarts[state] < automaton.edgeStarts[state + 1] { threads.append(thread) }
        for index in automaton.callStarts[state]..<automaton.callStarts[state + 1] {
            let call = automaton.calls[Int(index)]
            try charge(Self.lookUp)
            var caller = callers[call.rule] ?? Stack(returns: [], ends: [])
            if automaton.onlyAccepts(call.target) {
                // A call in last place needs no place to return to: lists do not deepen the stack.
                try charge(stacks[Int(below)].returns.count)
                caller.returns += stacks[Int(below)].returns
                caller.ends.formUnion(stacks[Int(below)].ends)
            } else {
                caller.returns.append(pack(call.target, below))
            }
            callers[call.rule] = caller
        }
        // A rule that may be empty is stepped over where it is called.
        guard !isEntry, automaton.accepts[state] else { return false }
        ends.formUnion(stacks[Int(below)].ends)
        return !stacks[Int(below)].returns.isEmpty
    }

    private mutating func finish(
        _ threads: inout [UInt64], _ ends: Ends, _ callers: inout [Int32: Stack]
    ) throws(ConstraintError) -> Int32 {
        // A rule's callers are all known when those that begin with it have been entered.
        while let rule = callers.keys.min(by: {
            automaton.ranks[Int($0)] < automaton.ranks[Int($1)]
        }) {
            guard var stack = callers.removeValue(forKey: rule) else { break }
            if stack.returns.count > 1 {
                try charge(Self.lookUp * stack.returns.count)
                stack.returns = nearest(Array(Set(stack.returns)).sorted())
            }
            let thread = pack(automaton.entries[Int(rule)], number(stack))
            var none: Ends = []
            _ = try visit(thread, &threads, &none, &callers, isEntry: true)
        }
        if threads.count > 1 {
            try charge(Self.lookUp * threads.count)
            threads = nearest(Array(Set(threads)).sorted())
        }
        return number(Configuration(threads: threads, ends: ends))
    }

    /// As many threads, or places to return to, as are followed.
    ///
    /// Giving up readings keeps every text valid; the nearest end must stay reachable.
    private func nearest(_ threads: [UInt64]) -> [UInt64] {
        guard threads.count > threadLimit else { return threads }
        let order = threads.sorted { (distance($0), $0) < (distance($1), $1) }
        return order.prefix(threadLimit).sorted()
    }

    private func distance(_ thread: UInt64) -> Int {
        min(
            Automaton.unreachable,
            automaton.distances[state(thread)] + stackDistances[Int(stack(thread))])
    }

    private mutating func number(_ stack: Stack) -> Int32 {
        if let number = stackNumbers[stack] { return number }
        let number = Int32(stacks.count)
        stackNumbers[stack] = number
        stacks.append(stack)
        words += stack.returns.count + 4
        stackDistances.append(
            stack.ends.isEmpty
                ? stack.returns.map { distance($0) }.min() ?? Automaton.unreachable : 0)
        return number
    }

    private mutating func number(_ configuration: Configuration) -> Int32 {
        if let number = numbers[configuration] { return number }
        let number = Int32(configurations.count)
        numbers[configuration] = number
        configurations.append(configuration)
        words += configuration.threads.count + 4
        distances.append(
            configuration.ends.isEmpty
                ? configuration.threads.map { distance($0) }.min() ?? Automaton.unreachable : 0)
        rows.append(-1)
        return number
    }
}

// MARK: - Parts of configurations

extension Configurations {
    /// Threads of a configuration that stand on the same stack.
    struct Part {
        /// The threads on a stack about which nothing is known.
        let local: Int32
        /// Bytes from the stack to the end of the text, at least.
        let distance: Int
        /// The configuration when the stack is returned to.
        let above: Int32
    }

    /// The parts of a configuration; what may follow it is what may follow any part.
    mutating func parts(of configuration: Int32) throws(ConstraintError) -> [Part] {
        try charge(Self.lookUp * threadCount(configuration))
        var byStack: [Int32: [UInt64]] = [:]
        for thread in configurations[Int(configuration)].threads {
            byStack[stack(thread), default: []].append(
                pack(Int32(state(thread)), Self.holeStack))
        }
        var parts: [Part] = []
        for (stack, threads) in byStack.sorted(by: { $0.key < $1.key }) {
            let local = number(Configuration(threads: threads.sorted(), ends: []))
            let above = try returned(to: stack)
            parts.append(Part(local: local, distance: stackDistances[Int(stack)], above: above))
        }
        return parts
    }

    /// The configuration after the rule on a stack has ended.
    private mutating func returned(to stack: Int32) throws(ConstraintError) -> Int32 {
        let content = stacks[Int(stack)]
        guard !content.returns.isEmpty else {
            return number(Configuration(threads: [], ends: content.ends))
        }
        let closed = try closed(content.returns)
        guard !content.ends.isEmpty else { return closed }
        var both = configurations[Int(closed)]
        both.ends.formUnion(content.ends)
        return number(both)
    }

    /// Takes over a configuration of another store of the same automaton.
    mutating func adopt(_ configuration: Int32, of other: Configurations) -> Int32 {
        let origin = other.configurations[Int(configuration)]
        var translated: [Int32: Int32] = [Self.emptyStack: Self.emptyStack, Self.holeStack: 1]
        // Below comes before above: a stack is translated when all that it returns to are.
        var work = origin.threads.map { other.stack($0) }
        while let stack = work.last {
            guard translated[stack] == nil else {
                work.removeLast()
                continue
            }
            let content = other.stacks[Int(stack)]
            let missing = content.returns.map { other.stack($0) }
                .filter { translated[$0] == nil }
            guard missing.isEmpty else {
                work += missing
                continue
            }
            let returns = content.returns.map {
                pack(Int32(other.state($0)), translated[other.stack($0)] ?? 0)
            }
            translated[stack] = number(Stack(returns: returns.sorted(), ends: content.ends))
        }
        let threads = origin.threads.map {
            pack(Int32(other.state($0)), translated[other.stack($0)] ?? 0)
        }
        return number(Configuration(threads: threads.sorted(), ends: origin.ends))
    }
}
