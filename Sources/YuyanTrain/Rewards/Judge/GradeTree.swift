import YuyanEngine

/// The tokens of every grade behind one beginning, as a tree whose branches a model decides.
///
/// The texts are tokenised whole. They part at a few places only, mostly one, so that one row of
/// log-probabilities for each place gives the probability of every grade: as a sampler would draw
/// that may only go on to one of them, the product of the shares at each place.
struct GradeTree: Sendable {
    /// A place where the texts part.
    struct Branch: Sendable, Hashable {
        /// Tokens between `stem` and the place.
        let path: [Int32]
        /// The tokens that may follow.
        let children: [Int32]
    }

    /// The tokens that all texts begin with.
    let stem: [Int32]
    /// The first stands right behind `stem`; each stands behind those on the way to it.
    let branches: [Branch]
    /// For each grade the child that it takes at each branch on its way.
    private let ways: [(grade: Int, turns: [(branch: Int, child: Int32)])]

    /// Nil if two texts have the same tokens, or those of one begin another.
    init?(_ texts: [(grade: Int, tokens: [Int32])]) {
        var branches: [Branch] = []
        var ways = texts.map { (grade: $0.grade, turns: [(branch: Int, child: Int32)]()) }
        var stem = 0
        var work: [(members: [Int], depth: Int)] = [(Array(texts.indices), 0)]
        while let (members, start) = work.popLast() {
            guard members.count > 1 else { continue }
            let first = texts[members[0]].tokens
            let depth = members.dropFirst().reduce(first.count) { shared, member in
                min(shared, zip(first, texts[member].tokens).prefix { $0 == $1 }.count)
            }
            guard depth >= start, members.allSatisfy({ texts[$0].tokens.count > depth }) else {
                return nil
            }
            if branches.isEmpty { stem = depth }
            var groups: [(child: Int32, members: [Int])] = []
            for member in members {
                let child = texts[member].tokens[depth]
                ways[member].turns.append((branches.count, child))
                if let place = groups.firstIndex(where: { $0.child == child }) {
                    groups[place].members.append(member)
                } else {
                    groups.append((child, [member]))
                }
            }
            branches.append(
                Branch(path: Array(first[stem..<depth]), children: groups.map(\.child)))
            for group in groups { work.append((group.members, depth + 1)) }
        }
        guard !branches.isEmpty else { return nil }
        self.stem = Array(texts[0].tokens[..<stem])
        self.branches = branches
        self.ways = ways
    }

    /// The mean grade under a model's probabilities: G-Eval's score.
    ///
    /// Liu et al., "G-Eval: NLG Evaluation using GPT-4 with Better Human Alignment",
    /// arXiv:2303.16634, where probabilities are estimated by sampling; here they are the model's.
    ///
    /// - Parameter found: For each branch the log-probabilities of tokens there; a child that is
    ///   not among them counts as impossible.
    /// - Returns: Nil if a branch that can be reached has no possible child.
    func expectation(_ found: [[Int32: Float]]) -> Double? {
        precondition(
            found.count == branches.count, "\(found.count) rows for \(branches.count) branches")
        let shares = zip(branches, found).map { branch, row -> [Int32: Double] in
            let known = branch.children.compactMap { child in
                row[child].flatMap { $0 > -.infinity ? (child: child, value: $0) : nil }
            }
            guard let best = known.map(\.value).max() else { return [:] }
            let weights = known.map { ($0.child, Double(deterministicExp($0.value - best))) }
            let total = weights.reduce(0) { $0 + $1.1 }
            return Dictionary(uniqueKeysWithValues: weights.map { ($0, $1 / total) })
        }
        var mean = 0.0
        for (grade, turns) in ways {
            var probability = 1.0
            for (branch, child) in turns where probability > 0 {
                guard !shares[branch].isEmpty else { return nil }
                probability *= shares[branch][child] ?? 0
            }
            mean += probability * Double(grade)
        }
        return mean
    }
}
