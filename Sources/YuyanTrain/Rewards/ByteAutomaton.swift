import YuyanConstraints

/// An automaton of `YuyanConstraints` that reads texts byte by byte, to judge instead of to guide.
///
/// Every byte takes a bounded step, whatever the expression: nothing backtracks, so no pattern
/// explodes on an unlucky text.
struct ByteAutomaton: Sendable {
    private let constraint: CompiledConstraint

    /// Token `i` is byte `i`; 256 ends.
    private static let vocabulary = ConstraintVocabulary(
        tokens: (0..<256).map { [UInt8($0)] } + [nil], endTokens: [256])

    /// - Throws: `ConstraintError` if the source is wrong or too large.
    init(_ source: ConstraintSource) throws(ConstraintError) {
        constraint = try CompiledConstraint(source, vocabulary: Self.vocabulary)
    }

    /// Steps that the judgement of one text may take, over all automata and starts.
    struct Budget {
        private(set) var steps = 2_000_000
        private(set) var work = ConstraintBudget()

        /// - Throws: `RewardFault` if nothing is left.
        fileprivate mutating func step(
            _ body: (inout ConstraintBudget) throws(ConstraintError) -> Void
        ) throws {
            steps -= 1
            guard steps >= 0 else {
                throw RewardFault("the pattern takes too many steps on this text; make it simpler")
            }
            try body(&work)
        }
    }

    /// Whether the automaton accepts all of some bytes.
    func accepts(_ bytes: ArraySlice<UInt8>, _ budget: inout Budget) throws -> Bool {
        var isAccepted = false
        try walk(bytes, &budget) { end, accepts in
            isAccepted = accepts && end == bytes.endIndex
            return true
        }
        return isAccepted
    }

    /// The ends of all prefixes that the automaton accepts, in order.
    func ends(_ bytes: ArraySlice<UInt8>, _ budget: inout Budget) throws -> [Int] {
        var ends: [Int] = []
        try walk(bytes, &budget) { end, accepts in
            if accepts { ends.append(end) }
            return true
        }
        return ends
    }

    /// Visits each place up to which the automaton can read, and whether it may end there.
    private func walk(
        _ bytes: ArraySlice<UInt8>, _ budget: inout Budget,
        _ visit: (_ end: Int, _ accepts: Bool) -> Bool
    ) throws {
        var state = constraint.start()
        try budget.step { _ throws(ConstraintError) in }
        guard visit(bytes.startIndex, state.allows(256)) else { return }
        for index in bytes.indices {
            guard !state.isFinished, state.allows(Int32(bytes[index])) else { return }
            try budget.step { work throws(ConstraintError) in
                try state.accept(Int32(bytes[index]), spending: &work)
            }
            guard visit(index + 1, state.allows(256)) else { return }
        }
    }
}
