extension RecipeLint {
    /// Rewards that a model gives, which others find the weak places of.
    static let rewardRules: [LintRule] = [
        LintRule(
            "unbound-reward", "beta reward_model reward_funcs",
            when: "a reward model or a judge is followed without any divergence from the reference",
            why:
                "what pleases the model that judges parts from what is good, the further the policy "
                + "goes (arXiv:2210.10760)",
            advice: "take beta from 0.01 to 0.1"
        ) { $0.hasLearntReward && $0.stage != .ppo && $0.alignment.beta == 0 },
        LintRule(
            "unbound-ppo", "kl_coef reward_model reward_funcs",
            when:
                "PPO follows a reward model or a judge without a penalty for leaving the reference",
            why:
                "what pleases the model that judges parts from what is good, the further the policy "
                + "goes (arXiv:2210.10760)",
            advice: "take kl_coef from 0.01 to 0.1"
        ) { $0.hasLearntReward && $0.stage == .ppo && $0.alignment.klCoefficient == 0 },
        LintRule(
            "unguarded-reward", "stop_on_alarm reward_model reward_funcs",
            when:
                "a reward model or a judge gives rewards, and nothing looks at length or repetition",
            why: "longer answers please most models that judge (arXiv:2310.03716), so answers grow "
                + "until they are cut",
            advice: "add a length or repetition reward, or stop_on_alarm: [length, repetition]"
        ) { $0.hasLearntReward && !$0.isGuarded },
    ]
}
