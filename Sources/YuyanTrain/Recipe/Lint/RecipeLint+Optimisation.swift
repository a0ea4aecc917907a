extension RecipeLint {
    /// Rates, number formats and adapters.
    static let optimisationRules: [LintRule] = [
        LintRule(
            "full-rate", "learning_rate finetuning_type",
            when: "every weight is fine-tuned at a rate above 1e-4",
            why: "what the model knew is overwritten faster than the data can teach",
            advice: "take 1e-5 to 5e-5, less for larger models, or an adapter"
        ) { $0.stage == .sft && $0.isFull && $0.isAdam && $0.rate > 1e-4 },
        LintRule(
            "lora-rate", "learning_rate finetuning_type",
            when: "an adapter is fine-tuned at a rate below 1e-5",
            why: "B starts at zero, so at a rate made for whole weights it stays where it is",
            advice: "take 1e-4 to 3e-4"
        ) { $0.stage == .sft && $0.isLowRank && $0.isAdam && $0.rate < 1e-5 },
        LintRule(
            "lora-scale", "lora_alpha lora_rank use_rslora",
            when: "alpha / r is above 4 or below 0.5",
            why:
                "it multiplies the update and with it the rate, so rates that others tell do not hold",
            advice: "take alpha from r to 2 r, or use_rslora for large ranks"
        ) { subject in
            let ratio = subject.method.alpha / Double(subject.method.loraRank)
            return subject.isLowRank && !subject.method.usesRSLoRA && !(0.5...4).contains(ratio)
        },
        LintRule(
            "lora-decay", "weight_decay finetuning_type",
            when: "an adapter's weights decay by 0.1 or more",
            why: "an adapter is a difference, so decay draws the model back to its base instead of "
                + "keeping it simple",
            advice: "take 0 to 0.01"
        ) { $0.isLowRank && $0.optimisation.weightDecay >= 0.1 },
        LintRule(
            "single-sample",
            "per_device_train_batch_size gradient_accumulation_steps learning_rate",
            when: "steps of one sample are taken at a high rate: above 2e-4 with an adapter, 2e-5 "
                + "without",
            why: "the gradient of one sample is mostly its own noise, which a high rate follows",
            advice: "raise gradient_accumulation_steps or lower the rate"
        ) { subject in
            !subject.writesAnswers && !subject.isPacked && subject.isAdam
                && !subject.recipe.model.fromScratch && subject.samplesPerStep == 1
                && subject.rate > (subject.isLowRank ? 2e-4 : 2e-5)
        },
        LintRule(
            "bf16-rate", "pure_bf16 learning_rate",
            when: "weights without float32 masters are trained at a rate below 1e-5",
            why:
                "most updates are far below the spacing of bfloat16, where rounding to nearest cancels "
                + "them (arXiv:2010.06192); rounding at random, as here, keeps them in the mean, but by "
                + "our rule of thumb its noise outweighs updates as small as these",
            advice: "use bf16, which keeps masters"
        ) { $0.optimisation.pureBF16 && $0.rate < 1e-5 },
        LintRule(
            "fp16-rate", "fp16 learning_rate",
            when: "gradients in float16 meet a rate above 1e-3",
            why: "weights that jump make gradients beyond 65504, and every such step is skipped",
            advice: "lower the rate, or use bf16 or float32"
        ) { $0.optimisation.usesFP16 && $0.rate > 1e-3 },
        LintRule(
            "warmup-beyond-end", "warmup_steps max_steps",
            when: "the warm-up is as long as the run, or longer",
            why: "the run ends before its rate is reached",
            advice: "take a tenth of the steps at most"
        ) { subject in
            guard let steps = subject.facts.steps, subject.optimisation.schedule != "constant"
            else { return false }
            let warmup = subject.optimisation.warmupSteps
            if warmup == 0 { return subject.optimisation.warmupRatio >= 1 }
            return warmup >= 1 && warmup >= Double(steps)
        },
    ]
}
