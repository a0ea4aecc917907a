import YuyanEngine
import YuyanFormats
import YuyanText

/// Writes log-probabilities in the shapes of OpenAI's endpoints.
struct LogProbabilityOutput: Sendable {
    let tokenizer: Tokenizer
    /// Whether tokens are called `token_id:7`, as vLLM does on request.
    var namesTokensByID = false

    /// `logprobs` of a chat choice; null if there are none.
    func chat(_ tokens: [AnswerToken]) -> JSONOutput {
        let entries = tokens.compactMap { $0.logProbabilities }.map { entry in
            var fields = fields(entry.chosen)
            fields.append(("top_logprobs", .array(entry.top.map { .object(self.fields($0)) })))
            return JSONOutput.object(fields)
        }
        return ["content": .array(entries), "refusal": .null]
    }

    /// The entries of chat's `logprobs.content`, for dialects that wrap them otherwise.
    func entries(_ tokens: [AnswerToken]) -> JSONOutput {
        guard case .object(let fields) = chat(tokens) else { return [] }
        return fields[0].value
    }

    /// `prompt_logprobs` as vLLM has it: for each token an object from ids to log-probabilities.
    func prompt(_ scores: [TokenLogProbabilities?]) -> JSONOutput {
        .array(
            scores.map { score in
                guard let score else { return .null }
                var entries: [(key: String, value: JSONOutput)] = []
                for (rank, token) in score.top.enumerated() {
                    entries.append(promptEntry(token, rank: rank + 1))
                }
                if !score.top.contains(where: { $0.token == score.chosen.token }) {
                    entries.insert(promptEntry(score.chosen, rank: nil), at: 0)
                }
                return .object(entries)
            })
    }

    private func promptEntry(
        _ token: TokenLogProbability, rank: Int?
    ) -> (key: String, value: JSONOutput) {
        (
            "\(token.token)",
            [
                "logprob": finite(token.logProbability), "rank": .number(rank),
                "decoded_token": .string(tokenizer.text(of: token.token)),
            ]
        )
    }

    /// `logprobs` of the older completions, whose four lists run side by side.
    ///
    /// - Parameters:
    ///   - tokens: Ids with their log-probabilities, nil for the first of a prompt.
    ///   - top: How many of the best were asked for.
    ///   - offset: Where the first token's text begins, in characters of the choice's text.
    func completion(_ tokens: [AnswerToken], top: Int, offset: inout Int) -> JSONOutput {
        var names: [JSONOutput] = []
        var values: [JSONOutput] = []
        var best: [JSONOutput] = []
        var offsets: [JSONOutput] = []
        for token in tokens {
            names.append(.string(name(token.id)))
            offsets.append(.integer(offset))
            offset += tokenizer.text(of: token.id).unicodeScalars.count
            guard let entry = token.logProbabilities else {
                values.append(.null)
                best.append(.null)
                continue
            }
            values.append(finite(entry.chosen.logProbability))
            var entries: [(key: String, value: JSONOutput)] = []
            var seen: Set<String> = []
            for one in entry.top + [entry.chosen] where seen.insert(name(one.token)).inserted {
                entries.append((name(one.token), finite(one.logProbability)))
            }
            best.append(top > 0 ? .object(entries) : .null)
        }
        return [
            "tokens": .array(names), "token_logprobs": .array(values),
            "top_logprobs": top > 0 ? .array(best) : .null, "text_offset": .array(offsets),
        ]
    }

    private func fields(_ token: TokenLogProbability) -> [(key: String, value: JSONOutput)] {
        [
            ("token", .string(name(token.token))), ("logprob", finite(token.logProbability)),
            ("bytes", .array(tokenizer.bytes(of: token.token).map { .integer(Int($0)) })),
        ]
    }

    private func name(_ id: Int32) -> String {
        namesTokensByID ? "token_id:\(id)" : tokenizer.text(of: id)
    }

    /// Clients read numbers only; -9999 is what OpenAI writes for what is impossible.
    private func finite(_ value: Float) -> JSONOutput { .float(max(value, -9999)) }
}

extension Usage {
    /// `usage` as OpenAI has it.
    func openAI(truncated: Int = 0) -> JSONOutput {
        .fields([
            ("prompt_tokens", .integer(prompt)), ("completion_tokens", .integer(generated)),
            ("total_tokens", .integer(prompt + generated)),
            ("prompt_tokens_details", ["cached_tokens": .integer(cached)]),
            (
                "completion_tokens_details",
                reasoning > 0 ? ["reasoning_tokens": .integer(reasoning)] : nil
            ),
            ("truncated_tokens", truncated > 0 ? .integer(truncated) : nil),
        ])
    }
}

extension AnswerEnd {
    /// vLLM's `stop_reason`: what ended the answer, if it was no token of the model's own.
    var stopReason: JSONOutput {
        switch match {
        case .token(let id): .integer(Int(id))
        case .string(let text): .string(text)
        default: .null
        }
    }
}
