extension RecipeLint {
    /// Pairs and verdicts.
    static let preferenceRules: [LintRule] = [
        LintRule(
            "preference-rate", "learning_rate stage",
            when: "an adapter learns preferences at a rate above 1e-4",
            why: "the margin is won by making both answers unlikely, and the model falls apart",
            advice: "take 5e-6 to 5e-5"
        ) { $0.isAdam && ($0.isPair || $0.stage == .kto) && $0.isLowRank && $0.rate > 1e-4 },
        LintRule(
            "preference-full-rate", "learning_rate stage",
            when: "every weight learns preferences at a rate above 5e-6",
            why: "DPO's authors used 1e-6 (arXiv:2305.18290): more makes both answers unlikely",
            advice: "take 5e-7 to 5e-6"
        ) { subject in
            subject.isAdam && (subject.isPair || subject.stage == .kto) && subject.isFull
                && subject.recipe.preferenceMethod != .orpo && subject.rate > 5e-6
        },
        LintRule(
            "orpo-rate", "learning_rate stage",
            when: "every weight learns by ORPO at a rate above 2e-5",
            why:
                "no reference holds the model (arXiv:2403.07691), so the rate alone bounds how far it "
                + "goes",
            advice: "take 5e-6 to 1e-5"
        ) { subject in
            subject.isAdam && subject.isPair && subject.isFull
                && subject.recipe.preferenceMethod == .orpo && subject.rate > 2e-5
        },
        LintRule(
            "simpo-beta", "pref_beta stage",
            when: "SimPO's beta is below 1",
            why: "it scales means over tokens, not sums, and its authors use 2 to 10 "
                + "(arXiv:2405.14734): below 1 the margin simpo_gamma is out of reach",
            advice: "take 2 to 2.5"
        ) { subject in
            subject.isPair && subject.recipe.comparesBySimPO
                && subject.alignment.preferenceBeta < 1
        },
        LintRule(
            "ipo-beta", "pref_beta pref_loss",
            when: "IPO's beta is below 0.05",
            why:
                "the log-ratios' means over tokens are drawn to 1 / (2 beta) (arXiv:2310.12036), here "
                + "more than 10 nats a token, which no answer reaches: the pull never ends",
            advice: "take 0.1 to 1"
        ) { subject in
            subject.isPair && subject.recipe.preferenceMethod == .ipo
                && subject.alignment.preferenceBeta < 0.05
        },
        LintRule(
            "label-smoothing", "dpo_label_smoothing",
            when: "more than 0.3 of the pairs are taken to be the wrong way round",
            why: "at a half the labels say nothing: little is left to learn from, and robust DPO "
                + "divides by that little",
            advice: "take what you measure, mostly 0 to 0.1, or mend the labels"
        ) { $0.isPair && $0.alignment.labelSmoothing > 0.3 },
        LintRule(
            "kto-one-sided", "dataset kto_chosen_weight kto_rejected_weight",
            when: "all answers have the same verdict",
            why: "KTO learns from good answers against bad ones; with one kind only the likelihood "
                + "of everything is moved",
            advice: "add answers of the other kind, or use stage: sft for good ones alone"
        ) { subject in
            guard subject.stage == .kto, let good = subject.facts.desirable,
                let bad = subject.facts.undesirable
            else { return false }
            return (good == 0) != (bad == 0)
        },
        LintRule(
            "kto-imbalance", "kto_chosen_weight kto_rejected_weight",
            when: "the weights of all good and all bad answers differ by more than a factor of 2",
            why: "the rarer kind is hardly heard; KTO's authors keep the two about equal "
                + "(arXiv:2402.01306)",
            advice: "set the weights so that weight times number is about equal"
        ) { subject in
            guard subject.stage == .kto, let good = subject.facts.desirable,
                let bad = subject.facts.undesirable, good > 0, bad > 0
            else { return false }
            let ratio =
                subject.alignment.desirableWeight * Double(good)
                / (subject.alignment.undesirableWeight * Double(bad))
            return !(0.5...2).contains(ratio)
        },
    ]
}
