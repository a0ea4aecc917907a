extension RecipeLint {
    /// How answers are drawn and learnt from.
    static let reinforcementRules: [LintRule] = [
        LintRule(
            "rl-full-rate", "learning_rate stage",
            when: "every weight learns from rewards at a rate above 5e-6",
            why:
                "rewards are noise for most steps, and a large rate follows it; GRPO's authors used "
                + "1e-6 (arXiv:2402.03300)",
            advice: "take 1e-6, or an adapter at 1e-5 to 1e-4"
        ) { $0.isAdam && $0.writesAnswers && $0.isFull && $0.rate > 5e-6 },
        LintRule(
            "rl-rate", "learning_rate stage",
            when: "an adapter learns from rewards at a rate above 5e-4",
            why: "rewards are noise for most steps, and a large rate follows it",
            advice: "take 1e-5 to 1e-4"
        ) { $0.isAdam && $0.writesAnswers && $0.isLowRank && $0.rate > 5e-4 },
        LintRule(
            "small-groups", "num_generations",
            when: "a group has fewer than 4 answers",
            why: "an answer is measured by the others of its group: with so few the baseline is "
                + "noise, and most groups earn all the same, which teaches nothing",
            advice: "take 8 to 16"
        ) { [.grpo, .rloo].contains($0.stage) && $0.alignment.generations < 4 },
        LintRule(
            "group-scale", "scale_rewards num_generations reward_funcs",
            when: "small groups of right and wrong answers are divided by their own deviation",
            why:
                "the deviation of 4 answers or fewer is itself noise, and dividing by it lets questions "
                + "that are nearly always or never solved weigh most (arXiv:2503.20783)",
            advice: "take scale_rewards: none or batch, or larger groups"
        ) { subject in
            subject.stage == .grpo && subject.alignment.rewardScale == .group
                && subject.alignment.generations <= 4 && subject.hasOneBinaryReward
        },
        LintRule(
            "length-bias", "loss_type",
            when: "each answer's loss is divided by its own length",
            why:
                "a token of a long wrong answer costs less than one of a short wrong answer, so wrong "
                + "answers grow (arXiv:2503.20783)",
            advice: "take dapo, or dr_grpo with scale_rewards: none"
        ) { subject in
            [.grpo, .reinforce].contains(subject.stage) && subject.alignment.lossType == .grpo
                && subject.alignment.ratioLevel == .token
        },
        LintRule(
            "half-dr-grpo", "scale_rewards loss_type",
            when: "Dr. GRPO's loss meets rewards that are divided by their group's deviation",
            why:
                "Dr. GRPO takes both divisions away (arXiv:2503.20783): with this one left, questions "
                + "that are nearly always or never solved weigh most",
            advice: "take scale_rewards: none"
        ) { subject in
            subject.stage == .grpo && subject.alignment.lossType == .drGRPO
                && subject.alignment.rewardScale == .group
        },
        LintRule(
            "k1-in-loss", "kl_estimator kl_in_reward beta",
            when: "the estimate k1 of the divergence is a term of the loss",
            why:
                "the mean of its gradient is zero where answers are the policy's own, so it holds the "
                + "model nowhere and adds noise",
            advice: "take k2, k3 or exact, or kl_in_reward: true"
        ) { subject in
            guard [.grpo, .rloo, .reinforce].contains(subject.stage) else { return false }
            let loss = PolicyLoss(subject.recipe)
            return loss.beta != 0 && loss.estimator == .k1
        },
        LintRule(
            "cold-sampling", "temperature",
            when: "answers are drawn at a temperature below 0.7",
            why: "they are nearly alike, so nothing better is found, and the entropy falls further",
            advice: "take 1"
        ) { $0.writesAnswers && $0.alignment.temperature < 0.7 },
        LintRule(
            "cut-sampling", "top_p top_k min_p num_iterations ppo_epochs",
            when:
                "several steps are taken on answers that were drawn from a part of the vocabulary",
            why:
                "from the second step on the model would draw from another part, and the ratios are "
                + "still those of the first",
            advice: "take top_p: 1, top_k: 0 and min_p: 0, or one step"
        ) { subject in
            let a = subject.alignment
            return subject.writesAnswers && subject.recipe.repetitions > 1
                && (a.topP < 1 || a.topK > 0 || a.minP > 0)
        },
        LintRule(
            "sequence-clip", "epsilon importance_sampling_level",
            when: "ratios of whole answers are clipped as if they were a token's",
            why: "a mean over tokens moves far less: GSPO clips at 3e-4 below and 4e-4 above "
                + "(arXiv:2507.18071), and at 0.01 and more hardly anything is clipped",
            advice: "take epsilon: 3e-4 and epsilon_high: 4e-4"
        ) { subject in
            subject.writesAnswers && ![.ppo, .rloo].contains(subject.stage)
                && subject.alignment.ratioLevel == .sequence
                && subject.alignment.lossType != .cispo && subject.alignment.epsilon >= 0.01
        },
        LintRule(
            "clip-order", "epsilon_high epsilon",
            when: "ratios may rise less than they may fall",
            why:
                "unlikely tokens can hardly be learnt, and the entropy falls; DAPO does the opposite "
                + "(arXiv:2503.14476)",
            advice: "leave epsilon_high out, or take 0.28"
        ) { subject in
            guard let high = subject.alignment.epsilonHigh else { return false }
            return subject.writesAnswers && subject.alignment.lossType != .cispo
                && high < subject.alignment.epsilon
        },
        LintRule(
            "cispo-bound", "epsilon_high loss_type",
            when: "CISPO's largest ratio is below 1",
            why:
                "here epsilon_high is the ratio itself, not its distance from 1 (arXiv:2506.13585), so "
                + "every gradient is cut down to it",
            advice: "take 4 to 6, or leave it out"
        ) { subject in
            guard let high = subject.alignment.epsilonHigh else { return false }
            return [.grpo, .reinforce].contains(subject.stage)
                && subject.alignment.lossType == .cispo && high < 1
        },
        LintRule(
            "stale-answers", "ppo_epochs num_iterations",
            when: "more than 4 steps are taken on one set of answers",
            why: "the model has left what it wrote: most ratios are clipped, and what is left is "
                + "learnt by heart",
            advice: "take 1 to 4"
        ) { $0.writesAnswers && $0.recipe.repetitions > 4 },
        LintRule(
            "cut-answers", "mask_truncated_completions dynamic_sampling loss_type",
            when:
                "DAPO's sampling learns from answers that were cut, and no reward knows of the cut",
            why:
                "a right beginning that runs out of room counts as wrong, which is noise; DAPO leaves "
                + "such answers out, or lowers their reward by degrees (arXiv:2503.14476)",
            advice: "take mask_truncated_completions: true, or {name: length, mode: overlong}"
        ) { subject in
            subject.writesAnswers && subject.alignment.lossType == .dapo
                && subject.alignment.resamples > 0 && !subject.alignment.masksTruncated
                && !subject.punishesCut
        },
        LintRule(
            "short-answers", "max_completion_length",
            when: "more than a tenth of the answers in the data are longer than answers may be",
            why: "what earns the reward does not fit, so it is never seen",
            advice: "raise max_completion_length"
        ) { $0.writesAnswers && ($0.facts.longReferenceShare ?? 0) > 0.1 },
    ]
}
