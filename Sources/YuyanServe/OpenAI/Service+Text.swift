import YuyanEngine
import YuyanFormats
import YuyanText

/// The fields of the endpoints that turn text into tokens and back.
///
/// Both vLLM's names (`prompt`, `messages`) and llama.cpp's (`content`) are taken.
enum TextFields {
    static func tokenize(_ limits: ServiceConfiguration) -> [Field] {
        let chat = ChatFields.table(limits).filter {
            [
                "messages", "tools", "add_generation_prompt", "continue_final_message",
                "chat_template_kwargs",
            ].contains($0.name)
        }
        return [
            Field("content", .text), Field("prompt", .text), Field("model", .model),
            Field("add_special", .boolean), Field("add_special_tokens", .boolean),
            Field("parse_special", .boolean), Field("with_pieces", .boolean),
            Field("return_token_strs", .boolean),
        ] + chat.map { Field($0.name, $0.kind) }
    }

    static func detokenize(token: FieldKind) -> [Field] {
        [
            Field("tokens", .list(token, count: 0...(1 << 20)), required: true),
            Field("model", .model), Field("skip_special_tokens", .boolean),
        ]
    }
}

extension Service {
    /// Answers `/tokenize`.
    func tokenize(_ request: ServiceRequest) throws(RequestError) -> JSONOutput {
        let body = try RequestBody(bytes: request.body, tables.tokenize)
        _ = try adapter(named: body.string("model"))
        var ids: [Int32]
        if body["messages"] != nil {
            ids = try prompt(try templateInput(body)).ids
        } else if let given = body.string("content") ?? body.string("prompt") {
            // llama.cpp adds nothing by default, vLLM adds what the model wants.
            let adds =
                body.optionalBool("add_special") ?? body.optionalBool("add_special_tokens")
                ?? (body["prompt"] != nil)
            ids = text.tokenizer.encode(
                given, parseSpecial: body.optionalBool("parse_special") ?? true, addSpecial: adds)
        } else {
            throw .field(
                param: "content", message: "is missing; expected it, 'prompt' or 'messages'")
        }
        let pieces = ids.map { id -> JSONOutput in
            guard body.bool("with_pieces") else { return .integer(Int(id)) }
            let bytes = text.tokenizer.bytes(of: id)
            let piece = String(validating: bytes, as: UTF8.self)
            return [
                "id": .integer(Int(id)),
                "piece": piece.map { .string($0) } ?? .array(bytes.map { .integer(Int($0)) }),
            ]
        }
        let texts = body.bool("return_token_strs")
        return .fields([
            ("tokens", .array(pieces)), ("count", .integer(ids.count)),
            ("max_model_len", .integer(engine.contextLimit)),
            (
                "token_strs",
                texts ? .array(ids.map { .string(text.tokenizer.text(of: $0)) }) : nil
            ),
        ])
    }

    /// Answers `/detokenize`.
    func detokenize(_ request: ServiceRequest) throws(RequestError) -> JSONOutput {
        let body = try RequestBody(bytes: request.body, tables.detokenize)
        _ = try adapter(named: body.string("model"))
        let ids = (body.list("tokens") ?? []).compactMap { $0.int.map { Int32($0) } }
        let decoded = text.tokenizer.decode(
            ids, skipSpecial: body.bool("skip_special_tokens"))
        return ["content": .string(decoded), "prompt": .string(decoded)]
    }

    /// Answers `/apply-template`.
    func applyTemplate(_ request: ServiceRequest) throws(RequestError) -> JSONOutput {
        let body = try RequestBody(bytes: request.body, tables.template)
        let (input, _) = try chatInput(body)
        return ["prompt": .string(try prompt(input).text)]
    }

    private func templateInput(_ body: RequestBody) throws(RequestError) -> ChatInput {
        let fields = try RequestBody(body.object, tables.chat, path: "")
        return try chatInput(fields).0
    }
}
