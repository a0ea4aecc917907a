import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A reward that depends on the number of a completion's tokens.
struct LengthReward: RewardFunction {
    /// How length becomes a number.
    enum Rule: Sendable {
        /// 1 at the target, falling evenly to 0 at no tokens and at twice the target.
        case target(Int)
        /// Soft overlong punishment: 0 up to `most - cache`, falling to -1 at `most`, -1 beyond.
        ///
        /// Equation 13 of Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
        /// arXiv:2503.14476, as TRL has it.
        case overlong(OverlongPunishment)
        /// Right completions lose, wrong ones gain with length, along half a cosine.
        ///
        /// Appendix C.1 of Yeo et al., "Demystifying Long Chain-of-Thought Reasoning in LLMs",
        /// arXiv:2502.03373, as TRL has it: beyond the longest length the value stays, and there is no
        /// extra penalty for being cut.
        case cosine(Cosine)
    }

    /// The four ends of the cosine's two curves.
    struct Cosine: Sendable {
        var most: Int
        /// Of a wrong completion without tokens, and of one of full length.
        var wrong = (shortest: -1.0, longest: -0.5)
        /// Of a right completion, likewise.
        var correct = (shortest: 1.0, longest: 0.5)
        /// Says what is right: above 0 is.
        var verdict: any RewardFunction = ArithmeticReward()
    }

    let name: String
    let rule: Rule

    init(name: String = "length", _ rule: Rule) {
        self.name = name
        self.rule = rule
    }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        switch rule {
        case .target(let target):
            return completions.map {
                max(0, 1 - Double(abs($0.tokens.count - target)) / Double(target))
            }
        case .overlong(let punishment):
            return completions.map { punishment.reward(tokenCount: $0.tokens.count) }
        case .cosine(let cosine):
            var partial = PartialRewards(scores: [], faults: [:])
            do {
                partial.scores = try cosine.verdict.scores(completions)
            } catch let error as PartialRewards {
                partial = error
            }
            let scores = zip(partial.scores, completions).map { verdict, completion in
                verdict.map { cosine.value(isCorrect: $0 > 0, count: completion.tokens.count) }
            }
            guard partial.faults.isEmpty else {
                throw PartialRewards(scores: scores, faults: partial.faults)
            }
            return scores
        }
    }
}

extension LengthReward.Cosine {
    func value(isCorrect: Bool, count: Int) -> Double {
        let progress = min(Double(count) / Double(most), 1)
        let ends = isCorrect ? correct : wrong
        return ends.longest + 0.5 * (ends.shortest - ends.longest) * (1 + cos(progress * .pi))
    }
}

extension LengthReward: ConfiguredReward {
    static let kind = "length"

    private enum Mode: String, RecipeChoice { case target, overlong, cosine }

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        let mode = try settings.value("mode", Mode.target)
        switch mode {
        case .target:
            guard settings.node("target") != nil else {
                throw settings.fault(
                    "target", "nothing", expected: "a number of tokens, or mode: cosine or overlong"
                )
            }
            self.init(
                name: settings.label, .target(try settings.value("target", 1, atLeast: 1)))
        case .overlong:
            let most = try settings.value("max_completion_len", 0)
            let cache = try settings.value("soft_punish_cache", 0, atLeast: 0)
            guard most > 0, cache <= most else {
                throw settings.fault(
                    "max_completion_len", "\(most)",
                    expected: "a number of tokens, no fewer than soft_punish_cache")
            }
            self.init(
                name: settings.label,
                .overlong(OverlongPunishment(maximumLength: most, cacheLength: cache)))
        case .cosine:
            var cosine = Cosine(most: try settings.value("max_len", 0))
            guard cosine.most > 0 else {
                throw settings.fault(
                    "max_len", "\(cosine.most)", expected: "a number of tokens above 0")
            }
            cosine.wrong.shortest = try settings.value("min_value_wrong", cosine.wrong.shortest)
            cosine.wrong.longest = try settings.value("max_value_wrong", cosine.wrong.longest)
            cosine.correct.longest = try settings.value("min_value_correct", cosine.correct.longest)
            cosine.correct.shortest = try settings.value(
                "max_value_correct", cosine.correct.shortest)
            if let node = settings.node("correct_by") {
                cosine.verdict = try RecipeRewards.function(
                    node, place: settings.place, host: settings.host)
            }
            self.init(name: settings.label, .cosine(cosine))
        }
    }
}
