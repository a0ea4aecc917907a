import YuyanFormats

extension Recipe {
    /// A line for each key that was changed although the other keys have nothing read it.
    ///
    /// Recipes are edited from one method to the next, so this is no error; but whoever changed such a
    /// key may wait for its effect in vain. Keys at their defaults say nothing: a resolved recipe has
    /// them all.
    ///
    /// - Parameters:
    ///   - shared: Keys that are set for other recipes too, so that nobody waits for them here.
    ///   - synonyms: The names under which keys were written, where they are not their own.
    func unreadKeys(
        file: String, except shared: Set<String> = [], writtenAs synonyms: [String: String] = [:]
    ) -> [String] {
        let defaults = Recipe()
        var seen: Set<String> = []
        return reasonsNotToRead.flatMap { names, reason in
            names.split(separator: " ").compactMap { name in
                guard seen.insert(String(name)).inserted, let key = Self.keysByName[String(name)],
                    !shared.contains(key.name),
                    key.node(self).inline != key.node(defaults).inline
                else { return nil }
                let written = synonyms[key.name].map { "'\($0)' (\(name))" } ?? "'\(name)'"
                return "\(file): \(written) has no effect: \(reason)"
            }
        }
    }

    /// Names of keys, and why this recipe does not read them.
    private var reasonsNotToRead: [(names: String, reason: String)] {
        var reasons: [(names: String, reason: String)] = []
        func unread(_ names: String, if isUnread: Bool, _ reason: String) {
            if isUnread { reasons.append((names, reason)) }
        }
        unread(Self.trainingKeys, if: !method.stage.trains, "stage sample trains nothing")
        unread(
            "val_size eval_dataset eval_strategy eval_steps", if: !method.stage.trains,
            "stage sample has no validation")
        unread(
            "reward_weights reward_faults",
            if: !method.stage.trains && alignment.rewards.nodes.isEmpty,
            "there are no reward_funcs")
        let type = "finetuning_type is \(method.type.rawValue)"
        unread(
            "lora_rank lora_alpha lora_dropout lora_target additional_target rank_pattern "
                + "alpha_pattern use_rslora use_dora loraplus_lr_ratio loraplus_lr_embedding lora_init",
            if: method.type != .lora, type)
        unread(
            "loraplus_lr_embedding", if: method.loraPlusRatio == nil,
            "loraplus_lr_ratio is not set")
        unread(
            "freeze_trainable_layers freeze_trainable_modules freeze_extra_modules",
            if: method.type != .freeze, type)
        unread(
            "create_new_adapter", if: model.adapters.isEmpty,
            "there is no adapter_name_or_path, so the adapter is a fresh one anyway")
        unread(
            "quantization_method quantization_type double_quantization",
            if: model.quantizationBits == nil, "quantization_bit is not set")
        unread(
            "gradient_checkpointing", if: model.disablesGradientCheckpointing,
            "disable_gradient_checkpointing is true")
        let stage = method.stage
        let isPair = [.dpo, .orpo, .simpo, .cpo].contains(stage)
        let name = "stage is \(stage.rawValue)"
        unread("pref_loss", if: stage != .dpo && stage != .cpo, name)
        unread("pref_beta", if: !isPair && stage != .kto, name)
        unread(
            "pref_ftx dpo_label_smoothing simpo_gamma cpo_alpha", if: !isPair, name)
        let loss = preferenceMethod
        let isCPO = stage == .cpo || loss == .cpo
        let lossName =
            stage == .dpo || stage == .cpo ? "pref_loss is \(alignment.preferenceLoss)" : name
        unread(
            "dpo_label_smoothing", if: isCPO ? !contrastiveForm.isSmoothed : !loss.isSmoothed,
            lossName)
        unread("simpo_gamma", if: !comparesBySimPO, lossName)
        unread("cpo_alpha", if: !isCPO, lossName)
        let reason = isPair ? "\(lossName), which has no reference" : name
        unread(
            "reference_cache",
            if: stage != .kto
                && !(isPair && loss.loss(PreferenceSettings(self)).needsReference), reason)
        unread("kto_chosen_weight kto_rejected_weight", if: stage != .kto, name)
        unread("center_rewards_coefficient", if: stage != .rm, name)
        unread(
            "reward_funcs reward_weights reward_faults num_generations max_completion_length "
                + "temperature top_p top_k min_p epsilon epsilon_high delta "
                + "mask_truncated_completions entropy_coef dynamic_sampling reward_model tools "
                + "stop_on_alarm", if: !stage.writesAnswers, name)
        unread(
            "max_tool_calling_iterations max_tool_tokens tool_faults",
            if: !stage.writesAnswers || alignment.tools.isEmpty,
            stage.writesAnswers ? "there are no tools" : name)
        unread(
            "beta", if: !stage.writesAnswers || stage == .ppo,
            isPair || stage == .kto ? name + "; its beta is pref_beta" : name)
        unread(
            "kl_estimator kl_in_reward loss_type scale_rewards importance_sampling_level "
                + "num_iterations", if: !stage.writesAnswers || stage == .ppo, name)
        unread("kl_estimator kl_in_reward", if: alignment.beta == 0, "beta is 0")
        unread("loss_type scale_rewards", if: stage == .rloo, name)
        unread(
            "importance_sampling_level", if: stage == .rloo,
            "stage rloo takes the product of an answer's ratios")
        unread(
            "epsilon delta",
            if: alignment.lossType == .cispo && [.grpo, .reinforce].contains(stage),
            "loss_type is cispo, which reads epsilon_high alone")
        unread("scale_rewards", if: stage == .reinforce, name)
        unread(
            "dynamic_sampling", if: stage == .ppo, name + ", which compares no answers in groups")
        unread(
            "dynamic_sampling", if: stage.writesAnswers && alignment.generations == 1,
            "num_generations is 1")
        unread("kl_horizon", if: alignment.klTarget == nil, "ppo_target is not set")
        unread(
            "kl_coef ppo_target kl_horizon gamma lam cliprange_value vf_coef missing_eos_penalty "
                + "ppo_whiten_rewards ppo_epochs", if: stage != .ppo, name)
        unread(
            "sample_keep sample_threshold sample_pairs sample_margin", if: stage != .sample, name)
        unread("sample_margin", if: !sampling.writesPairs, "sample_pairs is false")
        unread("interleave_probs", if: data.mixStrategy == .concat, "mix_strategy is concat")
        unread(
            "template enable_thinking report_samples", if: method.stage == .pt,
            "stage pt has no conversations")
        let o = optimisation
        let (isSGD, isLion) = (o.optimizer == "sgd", o.optimizer.contains("lion"))
        unread("optim_args", if: !isSGD, "only sgd has them, and optim is \(o.optimizer)")
        unread("adam_beta1 adam_beta2", if: isSGD, "optim is sgd")
        unread("adam_epsilon", if: isSGD || isLion, "optim is \(o.optimizer)")
        unread(
            "warmup_steps warmup_ratio", if: o.schedule == "constant",
            "lr_scheduler_type is constant; constant_with_warmup reads it")
        unread(
            "warmup_ratio", if: o.warmupSteps > 0 && o.schedule != "constant",
            "warmup_steps is set")
        unread("num_train_epochs", if: o.maximumSteps > 0, "max_steps is set")
        unread(
            "save_steps", if: run.saveStrategy != .steps,
            "save_strategy is \(run.saveStrategy.rawValue)")
        unread(
            "eval_steps", if: hasValidation && evaluationInterval != .steps,
            "eval_strategy is \(evaluationInterval.rawValue)")
        unread(
            "eval_steps per_device_eval_batch_size metric_for_best_model greater_is_better",
            if: !hasValidation, "there is neither val_size nor eval_dataset")
        return reasons
    }

    /// Keys that only change how something is learnt, saved or evaluated.
    private static let trainingKeys =
        "finetuning_type lora_rank lora_alpha lora_dropout lora_target additional_target rank_pattern "
        + "alpha_pattern use_rslora use_dora loraplus_lr_ratio loraplus_lr_embedding lora_init "
        + "freeze_trainable_layers freeze_trainable_modules freeze_extra_modules infer_dtype gradient_checkpointing "
        + "disable_gradient_checkpointing mask_history dataset_weights disable_shuffling beta "
        + "kl_estimator kl_in_reward epsilon epsilon_high delta loss_type scale_rewards "
        + "importance_sampling_level num_iterations entropy_coef dynamic_sampling stop_on_alarm "
        + "learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm optim "
        + "optim_args lr_scheduler_type lr_scheduler_kwargs warmup_steps warmup_ratio bf16 fp16 "
        + "pure_bf16 gradient_accumulation_steps num_train_epochs max_steps logging_steps "
        + "logging_first_step save_steps save_strategy save_total_limit save_only_model "
        + "eval_on_start per_device_eval_batch_size load_best_model_at_end metric_for_best_model "
        + "greater_is_better early_stopping_steps plot_loss"

    /// Whether there is anything to evaluate on.
    var hasValidation: Bool { data.validationSize > 0 || !data.evaluationSets.isEmpty }
}
