import YuyanEngine
import YuyanFormats

/// The JSON object that `generate --json` prints.
struct GenerateReport {
    let json: JSONOutput

    init(_ result: Generation, text: String, loadTime: Duration, firstToken: Duration?) {
        json = [
            "prompt_tokens": .array(result.promptTokens.map { .integer(Int($0)) }),
            "tokens": .array(result.tokens.map { .integer(Int($0)) }),
            "text": .string(text),
            "finish_reason": .string(result.finish.reason.rawValue),
            "prompt_logprobs": .array(result.promptLogProbabilities.map { $0?.json ?? .null }),
            "logprobs": .array(result.logProbabilities.map(\.json)),
            "timings": [
                "load_s": .double(loadTime / .seconds(1)),
                "prefill_tok_s": .double(result.prefillRate),
                "decode_tok_s": .double(result.decodeRate),
                "first_token_s": firstToken.map { .double($0 / .seconds(1)) } ?? .null,
                "peak_rss_bytes": .integer(Machine.peakResidentBytes),
            ],
        ]
    }
}

extension TokenLogProbabilities {
    /// `{id, logprob, top: [[id, logprob]]}`
    var json: JSONOutput {
        [
            "id": .integer(Int(chosen.token)),
            "logprob": .float(chosen.logProbability),
            "top": .array(top.map { [.integer(Int($0.token)), .float($0.logProbability)] }),
        ]
    }
}
