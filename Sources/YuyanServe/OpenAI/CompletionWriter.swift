import YuyanEngine
import YuyanFormats
import YuyanText

/// Writes the answers of `/v1/completions`, whole or as events.
struct CompletionWriter: Sendable {
    let job: CompletionJob
    let id: String
    let created: Int
    let logProbabilities: LogProbabilityOutput
    private let prefix: [UInt8]
    private let usageField: String

    init(_ job: CompletionJob, tokenizer: Tokenizer) {
        self.job = job
        id = Identifier.make("cmpl-")
        created = Clock.now
        logProbabilities = LogProbabilityOutput(
            tokenizer: tokenizer, namesTokensByID: job.options.namesTokensByID)
        let head: JSONOutput = [
            "id": .string(id), "object": "text_completion", "created": .integer(created),
            "model": .string(job.model), "system_fingerprint": .null,
        ]
        prefix = Array("data: \(head.description.dropLast()), \"choices\": [".utf8)
        usageField = job.options.includesUsage ? ", \"usage\": null" : ""
    }

    /// The whole answer, one element of `answers` per prompt.
    func completion(_ answers: [CollectedAnswer]) -> JSONOutput {
        var choices: [JSONOutput] = []
        var usage = Usage()
        for (index, answer) in answers.enumerated() {
            usage += answer.usage
            for (place, sample) in best(answer.samples).enumerated() {
                choices.append(choice(index, place, answer, sample))
            }
        }
        return [
            "id": .string(id), "object": "text_completion", "created": .integer(created),
            "model": .string(job.model), "choices": .array(choices),
            "usage": usage.openAI(truncated: job.jobs.map(\.truncatedTokens).reduce(0, +)),
            "system_fingerprint": .null,
        ]
    }

    private func best(_ samples: [CollectedAnswer.Sample]) -> [CollectedAnswer.Sample] {
        guard samples.count > job.sampleCount else { return samples }
        func mean(_ sample: CollectedAnswer.Sample) -> Double {
            let values = sample.tokens.compactMap { $0.logProbabilities?.chosen.logProbability }
            return values.reduce(0) { $0 + Double($1) } / Double(max(1, values.count))
        }
        let ranked = samples.enumerated().sorted { a, b in
            (mean(b.element), a.offset) < (mean(a.element), b.offset)
        }
        return ranked.prefix(job.sampleCount).map(\.element)
    }

    private func choice(
        _ index: Int, _ place: Int, _ answer: CollectedAnswer, _ sample: CollectedAnswer.Sample
    ) -> JSONOutput {
        let prompt = job.jobs[index].request.prompt
        var tokens = sample.tokens
        if job.echoes { tokens = Self.scored(prompt, answer.scores) + tokens }
        var offset = 0
        let scores = job.logProbabilities.map {
            logProbabilities.completion(tokens, top: $0, offset: &offset)
        }
        return .fields([
            ("index", .integer(index * job.sampleCount + place)),
            ("text", .string((job.echoes ? job.prompts[index] : "") + sample.content)),
            ("logprobs", scores ?? .null),
            ("finish_reason", .string(sample.end.reason.rawValue)),
            ("stop_reason", sample.end.stopReason),
            (
                "prompt_logprobs",
                !answer.scores.isEmpty && !job.echoes
                    ? logProbabilities.prompt(answer.scores) : nil
            ),
            (
                "prompt_token_ids",
                job.options.returnsTokenIDs ? .array(prompt.map { .integer(Int($0)) }) : nil
            ),
            (
                "token_ids",
                job.options.returnsTokenIDs
                    ? .array(sample.tokens.map { .integer(Int($0.id)) }) : nil
            ),
        ])
    }

    static func scored(_ prompt: [Int32], _ scores: [TokenLogProbabilities?]) -> [AnswerToken] {
        prompt.enumerated().map { index, id in
            AnswerToken(
                id: id, logProbabilities: scores.indices.contains(index) ? scores[index] : nil)
        }
    }

    // MARK: - Events

    /// A chunk of one choice.
    func chunk(
        choice: Int, text: String, scores: JSONOutput?, end: AnswerEnd?, ids: [Int32]?,
        usage: Usage
    ) -> [UInt8] {
        var bytes = prefix
        bytes += Array("{\"index\": \(choice), \"text\": \(JSONOutput.string(text))".utf8)
        if let scores {
            bytes += Array(", \"logprobs\": \(scores)".utf8)
        } else {
            bytes += Self.noScores
        }
        if let end {
            bytes += Array(
                ", \"finish_reason\": \"\(end.reason.rawValue)\", \"stop_reason\": \(end.stopReason)"
                    .utf8)
        } else {
            bytes += Self.noReason
        }
        if let ids {
            let list = JSONOutput.array(ids.map { .integer(Int($0)) })
            bytes += Array(", \"token_ids\": \(list)".utf8)
        }
        bytes += Array("}]".utf8)
        if job.options.hasContinuousUsage {
            bytes += Array(", \"usage\": \(usage.openAI())".utf8)
        } else {
            bytes += Array(usageField.utf8)
        }
        return bytes + Self.end
    }

    private static let noScores = Array(", \"logprobs\": null".utf8)
    private static let noReason = Array(", \"finish_reason\": null".utf8)
    private static let end = Array("}\n\n".utf8)

    /// The last events.
    func finish(_ usage: Usage) -> [UInt8] {
        guard job.options.includesUsage else { return ServerEvents.done }
        return prefix + Array("], \"usage\": \(usage.openAI())}\n\n".utf8) + ServerEvents.done
    }
}
