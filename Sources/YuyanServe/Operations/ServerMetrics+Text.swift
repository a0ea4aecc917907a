import Synchronization
import YuyanEngine

extension ServerMetrics {
    /// Everything in Prometheus' text format: vLLM's names, llama.cpp's, and `yuyan:` for the rest.
    ///
    /// - Parameter statistics: Nil while the model loads; its metrics are left out then.
    func text(
        statistics: EngineStatistics?, modelID: String, connections: Int, active: Int
    ) -> String {
        if let statistics { note(statistics) }
        let state = state.withLock { $0 }
        var out = Exposition(common: [("model_name", modelID), ("engine", "0")])
        if let statistics {
            Self.engine(statistics, &out)
            Self.speculation(statistics, &out)
            Self.llamaCPP(statistics, state, &out)
        }
        Self.requests(state, &out)
        var plain = Exposition(common: [])
        Self.server(
            state, connections: connections, active: active,
            uptime: ContinuousClock.now - started, &plain)
        ProcessFigures.current.write(to: &plain)
        return out.text + plain.text
    }

    private static func engine(_ now: EngineStatistics, _ out: inout Exposition) {
        out.write(
            .gauge, "vllm:num_requests_running", "Sequences in the running batch.",
            now.running.count)
        out.write(
            .gauge, "vllm:num_requests_waiting", "Requests that wait to be scheduled.", now.waiting)
        let usage = Double(now.usedBlocks) / Double(max(1, now.totalBlocks))
        for name in ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"] {
            out.write(.gauge, name, "Used blocks of the KV cache; 1 is all of them.", usage)
        }
        out.write(
            .counter, "vllm:prompt_tokens_total", "Prompt tokens computed.", now.promptTokens)
        out.write(
            .counter, "vllm:generation_tokens_total", "Tokens generated.", now.generatedTokens)
        for prefix in ["vllm:prefix_cache", "vllm:gpu_prefix_cache"] {
            out.write(
                .counter, prefix + "_queries_total", "Prompt tokens looked up in the prefix cache.",
                now.prefixQueries)
            out.write(
                .counter, prefix + "_hits_total", "Prompt tokens found in the prefix cache.",
                now.prefixHits)
        }
        out.write(
            .counter, "vllm:num_preemptions_total", "Sequences that had to make room.",
            now.preemptions)
        out.write(
            .gauge, "vllm:cache_config_info", "Settings of the KV cache.", 1,
            [
                ("block_size", "\(now.blockTokens)"), ("num_gpu_blocks", "\(now.totalBlocks)"),
                ("enable_prefix_caching", "True"),
            ])

        let cached = now.blocks.count { $0 == .cached }
        out.family(.gauge, "yuyan:kv_blocks", "Blocks of the KV cache by state.")
        out.sample("yuyan:kv_blocks", [("state", "used")], Double(now.usedBlocks))
        out.sample("yuyan:kv_blocks", [("state", "cached")], Double(cached))
        out.sample(
            "yuyan:kv_blocks", [("state", "free")],
            Double(now.totalBlocks - now.usedBlocks - cached))
        out.write(
            .gauge, "yuyan:kv_bytes", "Bytes of the KV cache.", now.totalBlocks * now.blockBytes)
        out.write(
            .gauge, "yuyan:kv_live_tokens", "Tokens in used blocks; shared ones count once.",
            now.liveTokens)
        out.write(
            .gauge, "yuyan:kv_block_utilization", "Live tokens, of what used blocks could hold.",
            now.utilization)
        out.write(
            .gauge, "yuyan:kv_fragmentation", "Part of used blocks that holds no token.",
            1 - now.utilization)
        out.write(
            .counter, "yuyan:evicted_blocks_total", "Cached blocks given to others.",
            now.evictedBlocks)
        out.write(.counter, "yuyan:engine_steps_total", "Steps with work.", now.steps)
        out.write(
            .counter, "yuyan:engine_requests_total", "Requests taken by the engine.", now.requests)
        out.write(
            .counter, "yuyan:engine_cancelled_total", "Requests given up by their reader.",
            now.cancelled)
        let compute = now.computeTime / .seconds(1)
        let overhead = now.overheadTime / .seconds(1)
        out.write(
            .counter, "yuyan:step_compute_seconds_total", "Time in forward passes.", compute)
        out.write(
            .counter, "yuyan:step_overhead_seconds_total", "Time of steps outside forward passes.",
            overhead)
        out.write(
            .gauge, "yuyan:step_overhead_ratio", "Overhead, of the time of all steps.",
            compute + overhead > 0 ? overhead / (compute + overhead) : 0)
    }

    private static func speculation(_ now: EngineStatistics, _ out: inout Exposition) {
        out.write(.counter, "vllm:spec_decode_num_drafts_total", "Drafts checked.", now.drafts)
        out.write(
            .counter, "vllm:spec_decode_num_draft_tokens_total", "Tokens drafted.",
            now.draftedTokens)
        out.write(
            .counter, "vllm:spec_decode_num_accepted_tokens_total", "Drafted tokens accepted.",
            now.acceptedTokens)
        let name = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
        guard !now.acceptedByPosition.isEmpty else { return }
        out.family(.counter, name, "Drafted tokens accepted, by place in the draft.")
        for (place, count) in now.acceptedByPosition.enumerated() {
            out.sample(name, [("position", "\(place)")], Double(count))
        }
    }

    private static func llamaCPP(
        _ now: EngineStatistics, _ state: State, _ out: inout Exposition
    ) {
        func rate(_ tokens: Int, _ seconds: Double) -> Double {
            seconds > 0 ? Double(tokens) / seconds : 0
        }
        out.write(
            .counter, "llamacpp:prompt_tokens_total", "Prompt tokens of ended requests.",
            state.promptTokens)
        out.write(
            .counter, "llamacpp:prompt_seconds_total", "Prefill time of ended requests.",
            state.promptSeconds)
        out.write(
            .counter, "llamacpp:tokens_predicted_total", "Tokens generated by ended requests.",
            state.generatedTokens)
        out.write(
            .counter, "llamacpp:tokens_predicted_seconds_total", "Decode time of ended requests.",
            state.generationSeconds)
        out.write(
            .gauge, "llamacpp:prompt_tokens_seconds", "Prompt tokens a second, per request.",
            rate(state.promptTokens, state.promptSeconds))
        out.write(
            .gauge, "llamacpp:predicted_tokens_seconds", "Generated tokens a second, per request.",
            rate(state.generatedTokens, state.generationSeconds))
        out.write(
            .gauge, "llamacpp:requests_processing", "Sequences that run.", now.running.count)
        out.write(.gauge, "llamacpp:requests_deferred", "Requests that wait.", now.waiting)
        out.write(.counter, "llamacpp:n_decode_total", "Steps of the engine.", now.steps)
        out.write(
            .gauge, "llamacpp:n_busy_slots_per_decode", "Mean tokens generated by a step.",
            now.steps > 0 ? Double(now.generatedTokens) / Double(now.steps) : 0)
    }

    private static func requests(_ state: State, _ out: inout Exposition) {
        out.family(.counter, "vllm:request_success_total", "Samples that ended, by reason.")
        for reason in Set(state.finished.keys).union(["stop", "length", "abort"]).sorted() {
            out.sample(
                "vllm:request_success_total", [("finished_reason", reason)],
                Double(state.finished[reason] ?? 0))
        }
        out.write(
            "vllm:time_to_first_token_seconds", "From arrival to the first token.",
            state.timeToFirstToken)
        for name in ["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"] {
            out.write(name, "Between neighbouring tokens of a sample.", state.interTokenLatency)
        }
        out.write(
            "vllm:e2e_request_latency_seconds", "From arrival to the end.", state.endToEndLatency)
        out.write(
            "vllm:request_queue_time_seconds", "From arrival to the first step.", state.queueTime)
        out.write(
            "vllm:request_prefill_time_seconds", "From the first step to the first token.",
            state.prefillTime)
        out.write(
            "vllm:request_decode_time_seconds", "From the first token to the end.",
            state.decodeTime)
        out.write(
            "vllm:request_inference_time_seconds", "From the first step to the end.",
            state.inferenceTime)
        out.write(
            "vllm:request_prompt_tokens", "Tokens of a prompt.", state.requestPromptTokens)
        out.write(
            "vllm:request_generation_tokens", "Tokens generated for a request.",
            state.requestGeneratedTokens)
        out.write(
            "vllm:request_max_num_generation_tokens", "Most tokens that a sample might have had.",
            state.requestMaxGeneratedTokens)
        out.write("vllm:request_params_n", "Samples asked for.", state.requestSamples)
        out.write(
            "vllm:request_params_max_tokens", "The parameter max_tokens.", state.requestMaxTokens)
        out.write(
            "vllm:iteration_tokens_total", "Tokens of a step; steps are looked at once a second.",
            state.iterationTokens)
    }

    private static func server(
        _ state: State, connections: Int, active: Int, uptime: Duration, _ out: inout Exposition
    ) {
        out.family(.counter, "yuyan:http_requests_total", "Answers, by route and status.")
        let answers = state.answers.sorted {
            ($0.key.template, $0.key.method, $0.key.status)
                < ($1.key.template, $1.key.method, $1.key.status)
        }
        for (answer, count) in answers {
            out.sample(
                "yuyan:http_requests_total",
                [
                    ("route", answer.template), ("method", answer.method),
                    ("status", "\(answer.status)"),
                ], Double(count))
        }
        out.write(.gauge, "yuyan:http_connections", "Open connections.", connections)
        out.write(.gauge, "yuyan:http_requests_active", "Requests being answered.", active)
        out.write(
            .counter, "yuyan:http_disconnects_total", "Clients that went away too early.",
            state.disconnects)
        out.write(
            .gauge, "yuyan:uptime_seconds", "Since the server started.", uptime / .seconds(1))
    }
}
