import YuyanEngine
import YuyanFormats
import YuyanTensor

/// What `perplexity` prints.
struct PerplexityReport {
    let textTokens: Int
    let windows: EvaluationWindows
    let precision: Precision
    let kv: KeyValueType
    var perplexity: Perplexity?
    var divergence: (base: String, kv: KeyValueType, result: Divergence)?
    var time = Duration.zero

    private var seconds: Double { time / .seconds(1) }
    private var evaluated: Int { windows.count * windows.context }

    var json: JSONOutput {
        [
            "perplexity": .double(perplexity?.value ?? .nan),
            "perplexity_error": .double(perplexity?.error ?? .nan),
            "tokens": .integer(perplexity?.scoredTokens ?? 0),
            "seconds": .double(seconds),
            "windows": .integer(windows.count),
            "evaluated_tokens": .integer(evaluated),
            "text_tokens": .integer(textTokens),
            "context": .integer(windows.context),
            "precision": .string(precision.rawValue),
            "kv": .string(kv.rawValue),
            "kl": divergence.map { $0.result.json(base: $0.base, kv: $0.kv) } ?? .null,
        ]
    }

    var text: String {
        guard let perplexity else { return "" }
        var lines = [
            "perplexity \(perplexity.value.formatted(digits: 4)) "
                + "± \(perplexity.error.formatted(digits: 4))",
            "\(perplexity.scoredTokens) predictions scored in \(windows.count) windows of "
                + "\(windows.context) tokens, \(seconds.formatted(digits: 1)) s, "
                + "\((Double(evaluated) / max(seconds, 1e-9)).formatted(digits: 1)) tok/s",
        ]
        if let (base, _, result) = divergence { lines += result.lines(base: base) }
        return lines.joined(separator: "\n")
    }
}

extension Divergence {
    fileprivate func json(base: String, kv: KeyValueType) -> JSONOutput {
        [
            "base": .string(base),
            "base_kv": .string(kv.rawValue),
            "base_perplexity": .double(basePerplexity.value),
            "base_perplexity_error": .double(basePerplexity.error),
            "ln_ppl_ratio": .double(logRatio),
            "ln_ppl_ratio_error": .double(logRatioError),
            "mean": .double(mean),
            "mean_error": .double(meanError),
            "median": .double(quantile(0.5)),
            "p90": .double(quantile(0.9)),
            "p95": .double(quantile(0.95)),
            "p99": .double(quantile(0.99)),
            "p999": .double(quantile(0.999)),
            "max": .double(quantile(1)),
            "same_top": .double(sameTop),
            "same_top_error": .double(sameTopError),
            "mean_delta_p": .double(meanProbabilityChange),
            "mean_abs_delta_p": .double(meanAbsoluteProbabilityChange),
            "rms_delta_p": .double(rmsProbabilityChange),
            "max_abs_delta_p": .double(largestProbabilityChange),
        ]
    }

    fileprivate func lines(base: String) -> [String] {
        func percent(_ share: Double) -> String { (share * 100).formatted(digits: 4) + " %" }
        func nats(_ value: Double) -> String { value.formatted(digits: 8) }
        return [
            "against \(base): perplexity \(basePerplexity.value.formatted(digits: 4)), "
                + "ln ratio \(nats(logRatio)) ± \(nats(logRatioError))",
            "KL mean \(nats(mean)) ± \(nats(meanError)), median \(nats(quantile(0.5))), "
                + "99 % \(nats(quantile(0.99))), max \(nats(quantile(1)))",
            "same top token \(percent(sameTop)) ± \(percent(sameTopError)); "
                + "mean |Δp| \(percent(meanAbsoluteProbabilityChange)), "
                + "RMS Δp \(percent(rmsProbabilityChange))",
        ]
    }
}
