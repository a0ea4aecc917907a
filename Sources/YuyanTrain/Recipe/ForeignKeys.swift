import YuyanFormats

/// Keys of LLaMA-Factory's and transformers' recipes that Yuyan has no field for.
///
/// Two kinds: those without meaning here are accepted with a line that says why; those that would
/// change the result, by a method that is not built, are refused unless they are off.
enum ForeignKeys {
    /// Why a key is ignored, or nil if it is not one of these.
    static func reasonToIgnore(_ key: String) -> String? { ignored[key] }

    /// What a key would switch on, and the values that leave it off; nil if it is not one of these.
    static func missingFeature(_ key: String) -> (feature: String, off: [String])? {
        absent[key].map { (feature: $0, off: offValues[key] ?? []) }
    }

    /// Names for the nearest-name search.
    static var names: [String] {
        ignored.keys.sorted() + absent.keys.sorted() + aliases.keys.sorted() + stageNames
    }

    /// Another name of a key that has a field.
    static func alias(_ key: String) -> String? { aliases[key] }

    private static let aliases = [
        "evaluation_strategy": "eval_strategy",
        "activation_checkpointing": "gradient_checkpointing",
        "lora_r": "lora_rank",
        "warmup_proportion": "warmup_ratio",
        // TRL's, of its present trainers and of those that it had.
        "label_smoothing": "dpo_label_smoothing",
        "desirable_weight": "kto_chosen_weight",
        "undesirable_weight": "kto_rejected_weight",
        "epsilon_low": "epsilon",
        "cliprange": "epsilon",
        "num_ppo_epochs": "ppo_epochs",
        "whiten_rewards": "ppo_whiten_rewards",
        "init_kl_coef": "kl_coef",
        "response_length": "max_completion_length",
        "reward_model_path": "reward_model",
    ]

    /// What a word of other tools means here, for the message that refuses it.
    static func meaning(of name: String) -> String? { meanings[name] }

    private static let meanings = [
        "lr": "learning_rate",
        "epochs": "num_train_epochs",
        "num_epochs": "num_train_epochs",
        "batch_size": "per_device_train_batch_size",
        "train_batch_size": "per_device_train_batch_size",
        "dry_run": "the flag --dry-run",
    ]

    private static func table(_ groups: [(String, String)]) -> [String: String] {
        Dictionary(
            groups.flatMap { reason, names in
                names.split(whereSeparator: \.isWhitespace).map { (String($0), reason) }
            }, uniquingKeysWith: { first, _ in first })
    }

    private static let ignored = table([
        (
            "it configures PyTorch or its kernels, which are not here",
            """
            tf32 torch_compile torch_compile_backend torch_compile_mode use_liger_kernel \
            liger_kernel_config enable_liger_kernel torch_empty_cache_steps low_cpu_mem_usage \
            flash_attn use_unsloth use_unsloth_gc use_reentrant_gc upcast_layernorm \
            upcast_lmhead_output offload_folder use_v1_kernels quantization_device_map \
            activation_checkpointing_kwargs gradient_checkpointing_kwargs use_cache use_kv_cache \
            optim_target_modules bf16_full_eval fp16_full_eval full_determinism enable_torch_profiler \
            profiler_output_dir profiler_wait_steps profiler_warmup_steps profiler_active_steps \
            profiler_repeat profiler_record_shapes profiler_profile_memory profiler_with_stack \
            profile_modules use_kt kt_weight_path kt_expert_checkpoint_path kt_use_lora_experts \
            kt_lora_expert_num kt_lora_expert_intermediate_size torch_dtype
            """
        ),
        (
            "there is one process, on the CPU",
            """
            average_tokens_across_devices use_cpu no_cuda accelerator_config parallelism_config \
            ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph \
            ddp_backend ddp_timeout fsdp fsdp_config deepspeed local_rank log_on_each_node \
            save_on_each_node data_shared_file_system ray_num_workers ray_init_kwargs master_addr \
            master_port use_mca use_hyper_parallel hyper_parallel_args eval_use_gather_object \
            auto_find_batch_size skip_memory_metrics enable_jit_checkpoint ray_run_name
            """
        ),
        (
            "samples are read and cut without a cache or collator to configure",
            """
            overwrite_cache preprocessing_batch_size ignore_pad_token_for_loss tokenized_path \
            dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers \
            dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order \
            remove_unused_columns label_names length_column_name group_by_length sortish_sampler \
            train_sampling_strategy eval_do_concat_batches eval_accumulation_steps \
            batch_eval_metrics prediction_loss_only include_for_metrics use_fast_tokenizer \
            preprocessing_num_workers buffer_size
            """
        ),
        (
            "models are read from disk, and nothing is sent anywhere",
            """
            cache_dir model_revision hf_hub_token ms_hub_token om_hub_token trust_remote_code \
            push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push \
            hub_revision project trackio_space_id trackio_bucket_id trackio_static_space_id \
            use_swanlab swanlab_project swanlab_workspace swanlab_run_name swanlab_mode \
            swanlab_api_key swanlab_logdir swanlab_lark_webhook_url swanlab_lark_secret \
            export_hub_model_id adapter_folder
            """
        ),
        (
            "the log is metrics.jsonl, always with token counts and rates",
            """
            include_num_input_tokens_seen include_tokens_per_second \
            include_effective_tokens_per_second log_level log_level_replica disable_tqdm \
            logging_nan_inf_filter logging_dir print_param_status compute_accuracy debug
            """
        ),
        (
            "it belongs to another command: generate, serve, adapter merge or eval",
            """
            infer_backend do_predict predict_with_generate generation_max_length \
            generation_num_beams generation_config eval_num_beams \
            vllm_maxlen vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank \
            vllm_config sglang_maxlen sglang_mem_fraction sglang_tp_size sglang_config \
            sglang_lora_backend export_dir export_size export_device export_quantization_bit \
            export_quantization_dataset export_quantization_nsamples export_quantization_maxlen \
            export_legacy_format
            """
        ),
        (
            "eval_strategy says when a run evaluates, and do_train: false that it does nothing else",
            "do_eval"
        ),
        (
            "a stage that writes answers draws them token by token, and evaluates the likeliest",
            "do_sample num_beams length_penalty skip_special_tokens"
        ),
        (
            "report.html shows answers before and after, as many as report_samples says",
            "log_completions num_completions_to_print log_unique_prompts"
        ),
        (
            "models here read text only",
            """
            media_dir image_max_pixels image_min_pixels image_do_pan_and_scan crop_to_patches \
            video_max_pixels video_min_pixels video_fps video_maxlen use_audio_in_video \
            audio_sampling_rate freeze_vision_tower freeze_multi_modal_projector \
            freeze_language_model
            """
        ),
        (
            "its algorithm, or the sampler's, is another one here",
            """
            ppo_buffer_size reward_model_adapters reward_model_type ref_model_quantization_bit \
            reward_model_quantization_bit use_vllm vllm_mode vllm_server_base_url \
            vllm_gpu_memory_utilization generation_batch_size \
            max_prompt_length precompute_ref_log_probs shuffle_dataset
            """
        ),
        (
            "a run goes on where its data stood, in every case",
            "ignore_data_skip restore_callback_states_from_checkpoint save_safetensors"
        ),
        (
            "the method that it belongs to is not on",
            """
            pissa_iter pissa_convert module_dropout oft_rank oft_block_size oft_target galore_target \
            galore_rank galore_update_interval galore_scale galore_proj_type galore_layerwise \
            apollo_target apollo_rank apollo_update_interval apollo_scale apollo_proj \
            apollo_proj_type apollo_scale_type apollo_layerwise apollo_scale_front badam_mode \
            badam_start_block badam_switch_mode badam_switch_interval badam_update_ratio \
            badam_mask_mode badam_verbose asft_alpha eaft_alpha init_special_tokens fp8_backend \
            fp8_enable_fsdp_float8_all_gather moe_aux_loss_coef
            """
        ),
    ])

    private static let absent = table([
        ("the GaLore optimiser", "use_galore"),
        ("the APOLLO optimiser", "use_apollo"),
        ("the BAdam optimiser", "use_badam"),
        ("the Adam-mini optimiser", "use_adam_mini"),
        ("the Muon optimiser", "use_muon"),
        ("LLaMA Pro's expanded blocks", "use_llama_pro"),
        ("PiSSA's initialisation", "pissa_init"),
        ("the DFT loss", "use_dft_loss"),
        ("the ASFT loss", "use_asft_loss"),
        ("the EAFT loss", "use_eaft_loss"),
        ("label smoothing", "label_smoothing_factor"),
        ("BCO's loss beside DPO's", "pref_bco_weight"),
        ("LD-DPO", "ld_alpha"),
        ("scores brought to a running mean and deviation", "ppo_score_norm"),
        ("a reference that follows the model", "sync_ref_model"),
        (
            "several steps on one set of answers by this name; use num_iterations",
            "steps_per_generation"
        ),
        (
            "another model as the reference; the reference is the model as it was",
            "ref_model ref_model_adapters"
        ),
        ("NEFTune's noise", "neftune_noise_alpha"),
        ("8-bit floating point", "fp8"),
        ("shifted sparse attention", "shift_attn"),
        ("mixture of depths", "mixture_of_depths"),
        ("another stretch of the rotary embedding", "rope_scaling"),
        (
            "new tokens in the vocabulary",
            "resize_vocab add_tokens add_special_tokens new_special_tokens_config"
        ),
        ("text in which special tokens are cut up", "split_special_tokens"),
        ("another tool format than the template's", "tool_format"),
        ("thinking kept in earlier turns", "preserve_thinking"),
        ("logging other than by steps", "logging_strategy"),
        ("evaluations that begin late", "eval_delay"),
        ("evaluating each data set by itself", "eval_on_each_dataset"),
        ("leaving out an epoch's last micro-batch", "dataloader_drop_last"),
        ("another system turn than the data's or the template's", "default_system"),
    ])

    /// Values that mean the default, beside nothing, false and 0.
    private static let offValues = ["logging_strategy": ["steps"]]
}
