/// Which of the answers to a prompt are kept, and which two are a pair.
package struct AnswerSelection: Sendable, Hashable {
    /// An answer as it is judged.
    package struct Candidate: Sendable, Hashable {
        package var text: String
        /// Nil if nothing gave one.
        package var reward: Double?
        /// Whether it may be kept at all; not if it was cut and such answers are left out.
        package var isEligible = true

        package init(text: String, reward: Double?, isEligible: Bool = true) {
            self.text = text
            self.reward = reward
            self.isEligible = isEligible
        }
    }

    /// What a recipe says of it.
    package struct Rule: Sendable, Hashable {
        /// Most answers that are kept.
        package var keep = 1
        /// Least reward of an answer that is kept.
        package var threshold: Double?
        /// Least difference of a pair's rewards, which must differ; nil for no pairs.
        package var margin: Double?
        /// Whether answers have rewards; without, they are kept in their order.
        package var isScored = true

        package init() {}
    }

    /// Two answers by their places.
    package struct Pair: Sendable, Hashable {
        package var chosen: Int
        package var rejected: Int

        package init(chosen: Int, rejected: Int) {
            self.chosen = chosen
            self.rejected = rejected
        }
    }

    /// Places of the answers that are kept, the best first, equally good ones in their order.
    package let kept: [Int]
    /// Answers good enough to be kept that say what a better or earlier one says.
    package let duplicates: Int
    /// The best and the worst answer, if they are far enough apart.
    package let pair: Pair?

    /// Answers without text teach nothing; answers that differ in white space at their ends are the same.
    package init(_ candidates: [Candidate], _ rule: Rule) {
        let texts = candidates.map { stripped($0.text) }
        var ranked: [(place: Int, reward: Double)] = []
        for (place, candidate) in candidates.enumerated()
        where candidate.isEligible && !texts[place].isEmpty {
            guard rule.isScored else {
                ranked.append((place, 0))
                continue
            }
            if let reward = candidate.reward, reward.isFinite { ranked.append((place, reward)) }
        }
        ranked.sort { ($1.reward, $0.place) < ($0.reward, $1.place) }
        var seen: Set<String> = []
        let enough = ranked.filter { one in rule.threshold.map { one.reward >= $0 } ?? true }
        let distinct = enough.filter { seen.insert(texts[$0.place]).inserted }
        kept = distinct.prefix(rule.keep).map(\.place)
        duplicates = enough.count - distinct.count
        guard let margin = rule.margin, rule.isScored, let best = ranked.first,
            let worst = ranked.filter({ texts[$0.place] != texts[best.place] })
                .min(by: { ($0.reward, $0.place) < ($1.reward, $1.place) }),
            best.reward > worst.reward, best.reward - worst.reward >= margin
        else {
            pair = nil
            return
        }
        pair = Pair(chosen: best.place, rejected: worst.place)
    }
}

extension AnswerSelection.Rule {
    /// What a recipe says.
    init(_ recipe: Recipe) {
        self.init()
        let sampling = recipe.sampling
        keep = sampling.keep
        threshold = sampling.threshold
        margin = sampling.writesPairs ? sampling.margin : nil
        isScored = recipe.hasRewards
    }
}
