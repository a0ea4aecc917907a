/// How much better each completion is than could be expected, from its group's rewards alone.
///
/// A reward that is NaN or infinite was not given: it counts in no baseline, and its advantage is 0.
package enum GroupAdvantage: Sendable, Hashable, CaseIterable {
    /// `(r - mean) / (std + 1e-4)` of the group; std with Bessel's correction, as in TRL.
    ///
    /// Shao et al., "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language
    /// Models", arXiv:2402.03300. TRL's `scale_rewards: group`.
    case grpo
    /// `r - mean` of the group.
    ///
    /// Liu et al., "Understanding R1-Zero-Like Training: A Critical Perspective" (Dr. GRPO),
    /// arXiv:2503.20783. TRL's `scale_rewards: none`.
    case drGRPO
    /// `r - mean` of the group over the deviation of all rewards: TRL's `scale_rewards: batch`.
    case batchScaled
    /// `r` less the mean of the group's other rewards.
    ///
    /// Ahmadian et al., "Back to Basics: Revisiting REINFORCE Style Optimization for Learning from
    /// Human Feedback in LLMs", arXiv:2402.14740. As TRL's `RLOOTrainer`.
    case rloo
    /// `(r - mean) / (std + 1e-4)` over the rewards of all groups.
    ///
    /// Hu, "REINFORCE++: A Simple and Efficient Approach for Aligning Large Language Models",
    /// arXiv:2501.03262. The KL penalty is in the rewards. One number a completion, not a token.
    case reinforcePlusPlus

    /// The advantages of a step's completions.
    ///
    /// - Parameter rewards: One array a group; groups may have different sizes.
    package func evaluated(_ rewards: [[Double]]) -> GroupedAdvantages {
        let given = rewards.joined().filter(\.isFinite)
        let all = Moments(given)
        // What an answer is compared with: its group, or all answers.
        let isFlat = isUniform(given)
        return GroupedAdvantages(
            advantages: rewards.map { group in
                let scored = group.filter(\.isFinite)
                let isUniform = self == .reinforcePlusPlus ? isFlat : isUniform(scored)
                let moments = Moments(scored)
                return group.map { reward in
                    // Equal rewards have an advantage of exactly 0, whatever their mean rounds to.
                    if !reward.isFinite || isUniform { return 0 }
                    return advantage(of: reward, in: moments, all: all)
                }
            },
            isUniform: rewards.map { group in
                // A group of one is no group: only the step can say whether it differs.
                self == .reinforcePlusPlus && group.count == 1
                    ? isFlat : isUniform(group.filter(\.isFinite))
            },
            rewards: all)
    }

    private func isUniform(_ scored: [Double]) -> Bool { scored.allSatisfy { $0 == scored.first } }

    private func advantage(of reward: Double, in group: Moments, all: Moments) -> Double {
        switch self {
        case .grpo: (reward - group.mean) / (group.deviation + Self.epsilon)
        case .drGRPO: reward - group.mean
        case .batchScaled: (reward - group.mean) / (all.deviation + Self.epsilon)
        // The same as less the mean of the others.
        case .rloo: (reward - group.mean) * Double(group.count) / Double(group.count - 1)
        case .reinforcePlusPlus: (reward - all.mean) / (all.deviation + Self.epsilon)
        }
    }

    private static let epsilon = 1e-4
}

/// Advantages by group, and what is logged of the rewards.
package struct GroupedAdvantages: Sendable, Hashable {
    /// One array a group, as the rewards came.
    package let advantages: [[Double]]
    /// Groups whose rewards are all equal: nothing is learnt from them, and DAPO draws others.
    package let isUniform: [Bool]
    /// Of all rewards that were given: TRL's `reward` and `reward_std`.
    package let rewards: Moments

    /// TRL's `frac_reward_zero_std`.
    package var uniformFraction: Double {
        isUniform.isEmpty ? 0 : Double(isUniform.count { $0 }) / Double(isUniform.count)
    }
}
