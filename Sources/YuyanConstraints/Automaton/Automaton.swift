/// A pushdown automaton over bytes: states with edges that read a byte or call a rule.
///
/// Without empty steps, and with only those states from which an end can be reached. Each rule is a
/// nondeterministic automaton of its own; a call remembers where to go on when the rule has ended.
struct Automaton: Sendable {
    /// Edges of state `s` are `edges[edgeStarts[s]..<edgeStarts[s + 1]]`.
    let edges: [ByteEdge]
    let edgeStarts: [Int32]
    let calls: [RuleCall]
    let callStarts: [Int32]
    /// Whether a state may end its rule.
    let accepts: [Bool]
    /// Bytes to the end of the state's rule, at least.
    let distances: [Int]
    /// The first state of each rule.
    let entries: [Int32]
    /// Where a rule stands in an order in which callers come before those they begin with.
    let ranks: [Int32]
    /// The state before the text.
    var start: Int32 { entries[Int(root)] }
    let root: Int32
    /// Bytes of one class are never told apart; a class is a range of bytes.
    let byteClasses: [UInt8]
    let classCount: Int
    /// The first byte of each class.
    let classBytes: [UInt8]

    /// Further than any text that fits into memory.
    static let unreachable = Int.max / 4

    /// Whether a state can only end its rule.
    func onlyAccepts(_ state: Int32) -> Bool {
        let index = Int(state)
        return accepts[index] && edgeStarts[index] == edgeStarts[index + 1]
            && callStarts[index] == callStarts[index + 1]
    }

    /// - Parameters:
    ///   - builder: All rules.
    ///   - root: The rule of the whole text.
    ///   - hasByte: The bytes that the vocabulary can write one by one.
    /// - Throws: `.unsatisfiable`, `.leftRecursion` or `.tooLarge`.
    init(_ builder: GrammarBuilder, root: Int32, hasByte: [Bool]) throws(ConstraintError) {
        var flat = try FlatStates(builder, hasByte: hasByte)
        flat.measure()
        self.root = root
        entries = builder.rules.map(\.entry)
        guard flat.distances[Int(builder.entry(root))] < Self.unreachable else {
            throw .unsatisfiable(place: builder.place)
        }
        flat.prune()
        var edges: [ByteEdge] = []
        var calls: [RuleCall] = []
        var edgeStarts: [Int32] = [0]
        var callStarts: [Int32] = [0]
        for state in flat.edges.indices {
            edges += flat.edges[state]
            calls += flat.calls[state]
            edgeStarts.append(Int32(edges.count))
            callStarts.append(Int32(calls.count))
        }
        self.edges = edges
        self.calls = calls
        self.edgeStarts = edgeStarts
        self.callStarts = callStarts
        accepts = flat.accepts
        distances = flat.distances
        ranks = try Self.ranks(of: builder, flat)

        var starts = [Bool](repeating: false, count: 257)
        starts[0] = true
        for edge in edges {
            starts[Int(edge.low)] = true
            starts[Int(edge.high) + 1] = true
        }
        var classes = [UInt8](repeating: 0, count: 256)
        var classBytes: [UInt8] = []
        for byte in 0..<256 {
            if starts[byte] { classBytes.append(UInt8(byte)) }
            classes[byte] = UInt8(classBytes.count - 1)
        }
        byteClasses = classes
        classCount = classBytes.count
        self.classBytes = classBytes
    }

    /// Orders rules so that a rule comes before the rules that it may begin with.
    private static func ranks(
        of builder: GrammarBuilder, _ flat: FlatStates
    ) throws(ConstraintError) -> [Int32] {
        var ranks = [Int32](repeating: -1, count: builder.rules.count)
        var isOpen = [Bool](repeating: false, count: builder.rules.count)
        var next = Int32(builder.rules.count)
        for rule in builder.rules.indices where ranks[rule] < 0 && !isOpen[rule] {
            // An explicit stack: chains of rules may be long.
            var stack: [(rule: Int, next: Int)] = [(rule, 0)]
            isOpen[rule] = true
            while let top = stack.last {
                let calls = flat.calls[Int(builder.rules[top.rule].entry)]
                guard top.next < calls.count else {
                    next -= 1
                    ranks[top.rule] = next
                    isOpen[top.rule] = false
                    stack.removeLast()
                    continue
                }
                stack[stack.count - 1].next += 1
                let callee = Int(calls[top.next].rule)
                guard !isOpen[callee] else {
                    throw .leftRecursion(rule: builder.rules[callee].name)
                }
                if ranks[callee] < 0 {
                    isOpen[callee] = true
                    stack.append((callee, 0))
                }
            }
        }
        return ranks
    }
}

/// A builder's states without empty steps.
struct FlatStates {
    var edges: [[ByteEdge]]
    var calls: [[RuleCall]]
    var accepts: [Bool]
    var distances: [Int]
    private let entries: [Int32]

    init(_ builder: GrammarBuilder, hasByte: [Bool]) throws(ConstraintError) {
        let states = builder.states
        let count = states.count
        edges = Array(repeating: [], count: count)
        calls = Array(repeating: [], count: count)
        accepts = Array(repeating: false, count: count)
        distances = Array(repeating: Automaton.unreachable, count: count)
        entries = builder.rules.map(\.entry)

        var isAccept = [Bool](repeating: false, count: count)
        for rule in builder.rules { isAccept[Int(rule.accept)] = true }
        let nullable = Self.nullableRules(builder)
        // Only states that something other than an empty step leads to are ever stood in.
        var isKernel = [Bool](repeating: false, count: count)
        for rule in builder.rules { isKernel[Int(rule.entry)] = true }
        for state in states {
            for edge in state.edges { isKernel[Int(edge.target)] = true }
            for call in state.calls { isKernel[Int(call.target)] = true }
        }
        var total = 0
        var visited = [Int32](repeating: -1, count: count)
        var work: [Int32] = []
        for kernel in 0..<count where isKernel[kernel] {
            work = [Int32(kernel)]
            visited[kernel] = Int32(kernel)
            var found: [ByteEdge] = []
            var foundCalls: [RuleCall] = []
            while let state = work.popLast() {
                total += 1
                let raw = states[Int(state)]
                if isAccept[Int(state)] { accepts[kernel] = true }
                for edge in raw.edges { Self.clip(edge, hasByte, into: &found) }
                foundCalls += raw.calls
                for next in raw.empty where visited[Int(next)] != kernel {
                    visited[Int(next)] = Int32(kernel)
                    work.append(next)
                }
                for call in raw.calls where nullable[Int(call.rule)] {
                    guard visited[Int(call.target)] != kernel else { continue }
                    visited[Int(call.target)] = Int32(kernel)
                    work.append(call.target)
                }
            }
            total += found.count + foundCalls.count
            guard total <= builder.limits.edges else {
                throw .tooLarge(
                    place: builder.place, what: "automaton edges", limit: builder.limits.edges)
            }
            edges[kernel] = found
            calls[kernel] = foundCalls
        }
        for rule in builder.rules where rule.isNeverEmpty { accepts[Int(rule.entry)] = false }
    }

    /// Keeps the parts of an edge whose bytes are tokens by themselves.
    private static func clip(_ edge: ByteEdge, _ hasByte: [Bool], into edges: inout [ByteEdge]) {
        var start: UInt8?
        for byte in edge.low...edge.high {
            if hasByte[Int(byte)] {
                if start == nil { start = byte }
            } else if let low = start {
                edges.append(ByteEdge(low: low, high: byte - 1, target: edge.target))
                start = nil
            }
        }
        if let low = start {
            edges.append(ByteEdge(low: low, high: edge.high, target: edge.target))
        }
    }

    /// The rules that describe the empty text too.
    private static func nullableRules(_ builder: GrammarBuilder) -> [Bool] {
        let states = builder.states
        var nullable = [Bool](repeating: false, count: builder.rules.count)
        // Backwards from each accepting state; a call opens once its rule is known to be nullable.
        var into: [[Int32]] = Array(repeating: [], count: states.count)
        var waiting: [[(from: Int32, to: Int32)]] = Array(repeating: [], count: nullable.count)
        for (index, state) in states.enumerated() {
            for next in state.empty { into[Int(next)].append(Int32(index)) }
            for call in state.calls {
                waiting[Int(call.rule)].append((Int32(index), call.target))
            }
        }
        var reaches = [Bool](repeating: false, count: states.count)
        var ruleOfEntry: [Int32: Int] = [:]
        for (index, rule) in builder.rules.enumerated() { ruleOfEntry[rule.entry] = index }
        var work = builder.rules.map(\.accept)
        for state in work { reaches[Int(state)] = true }
        while let state = work.popLast() {
            func add(_ previous: Int32) {
                if !reaches[Int(previous)] {
                    reaches[Int(previous)] = true
                    work.append(previous)
                }
            }
            for previous in into[Int(state)] { add(previous) }
            if let rule = ruleOfEntry[state], !nullable[rule], !builder.rules[rule].isNeverEmpty {
                nullable[rule] = true
                for call in waiting[rule] {
                    into[Int(call.to)].append(call.from)
                    if reaches[Int(call.to)] { add(call.from) }
                }
            }
        }
        return nullable
    }

    /// Finds the least number of bytes from each state to the end of its rule.
    ///
    /// Dijkstra's algorithm for grammars (Knuth, "A Generalization of Dijkstra's Algorithm", 1977).
    mutating func measure() {
        var reverse: [[Int32]] = Array(repeating: [], count: edges.count)
        var users: [[(from: Int32, call: RuleCall)]] = Array(repeating: [], count: edges.count)
        for state in edges.indices {
            for edge in edges[state] { reverse[Int(edge.target)].append(Int32(state)) }
            for call in calls[state] {
                let entry = Int(entries[Int(call.rule)])
                users[entry].append((Int32(state), call))
                if Int(call.target) != entry {
                    users[Int(call.target)].append((Int32(state), call))
                }
            }
        }
        var isFinal = [Bool](repeating: false, count: edges.count)
        var heap = DistanceHeap()
        for state in edges.indices where accepts[state] {
            distances[state] = 0
            heap.push(0, Int32(state))
        }
        while let (distance, state) = heap.pop() {
            let index = Int(state)
            guard !isFinal[index], distance == distances[index] else { continue }
            isFinal[index] = true
            for previous in reverse[index] where distance + 1 < distances[Int(previous)] {
                distances[Int(previous)] = distance + 1
                heap.push(distance + 1, previous)
            }
            for (from, call) in users[index] {
                let entry = Int(entries[Int(call.rule)])
                guard isFinal[entry], isFinal[Int(call.target)] else { continue }
                let sum = distances[entry] + distances[Int(call.target)]
                if sum < distances[Int(from)] {
                    distances[Int(from)] = sum
                    heap.push(sum, from)
                }
            }
        }
    }

    /// Drops edges after which no end can be reached.
    mutating func prune() {
        for state in edges.indices {
            edges[state].removeAll { distances[Int($0.target)] >= Automaton.unreachable }
            calls[state].removeAll {
                distances[Int($0.target)] >= Automaton.unreachable
                    || distances[Int(entries[Int($0.rule)])] >= Automaton.unreachable
            }
        }
    }
}

/// A binary heap of states, nearest first.
private struct DistanceHeap {
    private var items: [(distance: Int, state: Int32)] = []

    mutating func push(_ distance: Int, _ state: Int32) {
        items.append((distance, state))
        var child = items.count - 1
        while child > 0, items[(child - 1) / 2].distance > items[child].distance {
            items.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> (distance: Int, state: Int32)? {
        guard let first = items.first else { return nil }
        let last = items.removeLast()
        guard !items.isEmpty else { return first }
        items[0] = last
        var parent = 0
        while 2 * parent + 1 < items.count {
            var child = 2 * parent + 1
            if child + 1 < items.count, items[child + 1].distance < items[child].distance {
                child += 1
            }
            guard items[child].distance < items[parent].distance else { break }
            items.swapAt(child, parent)
            parent = child
        }
        return first
    }
}
