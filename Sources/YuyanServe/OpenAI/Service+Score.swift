import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanText

/// The fields of `/v1/score`, which are those of LLaMA-Factory's reward API.
enum ScoreFields {
    static func table(_ limits: ServiceConfiguration) -> [Field] {
        let text = FieldKind.string(minBytes: 1, maxBytes: 64 << 20)
        return [
            Field("messages", .list(text, count: 1...limits.maxPrompts), required: true),
            Field("model", .model), Field("max_length", .integer(1...(1 << 20))),
        ]
    }
}

extension Service {
    /// Answers `/v1/score`: what a reward model thinks of texts, special tokens included.
    ///
    /// The model is an adapter with a head, or the served model itself if it is a whole reward model:
    /// what `stage: rm` trains.
    func score(_ request: ServiceRequest, _ timer: RequestTimer) async throws -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.score)
        let (model, adapter) = try adapter(named: body.string("model"))
        let whole = adapter == nil ? text.score : nil
        guard let head = whole?.weight ?? adapter?.score else {
            throw RequestError.field(
                param: "model",
                message: "'\(model)' is no reward model; expected an adapter with "
                    + "'score.weight', or a server of a whole reward model, as `yuyan train` "
                    + "writes them with stage: rm")
        }
        let padding = whole.map(\.padding) ?? text.tokenizer.fillsWith
        var texts: [[Int32]] = []
        for (index, message) in (body["messages"]?.array.map(Array.init) ?? []).enumerated() {
            var ids = text.tokenizer.encode(
                message.string ?? "", parseSpecial: true, addSpecial: false)
            if let limit = body.int("max_length") { ids = Array(ids.prefix(limit)) }
            // The head reads the last token that is no padding, as transformers does.
            ids = SequenceClassifier.judged(ids, padding: padding)
            guard !ids.isEmpty else {
                throw RequestError.field(
                    param: "messages[\(index)]", message: "is empty; expected at least one token")
            }
            try check(length: ids.count, answer: false)
            texts.append(ids)
        }
        let total = texts.reduce(0) { $0 + $1.count }
        timer.update {
            $0.ignoredFields = body.ignored
            $0.model = model
            $0.promptTokens = total
        }
        var wanted = EmbeddingRequest(texts: texts)
        (wanted.pooling, wanted.normalizes) = (.last, false)
        wanted.adapter = adapter
        wanted.client = request.client
        let scores = try await engine.embed(wanted).map { state in
            JSONOutput.double(zip(state, head).reduce(0.0) { $0 + Double($1.0) * Double($1.1) })
        }
        return .json([
            "id": .string("scoreval-\(request.requestID)"), "object": "score.evaluation",
            "model": .string(model), "scores": .array(scores),
            "usage": ["prompt_tokens": .integer(total), "total_tokens": .integer(total)],
        ])
    }
}
