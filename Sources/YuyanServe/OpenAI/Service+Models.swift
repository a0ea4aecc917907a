import YuyanEngine
import YuyanFormats

extension Service {
    /// Answers `/v1/models`: the model, then its adapters.
    func models() -> JSONOutput {
        let all = [model] + (adapters?.registered ?? []).map { adapter($0.name, $0.directory) }
        return ["object": "list", "data": .array(all)]
    }

    /// Answers `/v1/models/{id}`.
    func model(_ id: String) throws(RequestError) -> JSONOutput {
        if id == text.modelID || text.aliases.contains(id) { return model }
        let registered = adapters?.registered ?? []
        guard let found = registered.first(where: { $0.name == id }) else {
            throw .unknownModel(id, known: [text.modelID] + registered.map(\.name))
        }
        return adapter(found.name, found.directory)
    }

    private var model: JSONOutput {
        .fields([
            ("id", .string(text.modelID)), ("object", "model"),
            ("created", .integer(text.created)), ("owned_by", "yuyan"),
            ("root", .string(text.modelID)), ("parent", .null),
            ("max_model_len", .integer(engine.contextLimit)), ("permission", []),
            (
                "meta",
                .fields([
                    ("n_vocab", .integer(engine.vocabularySize)),
                    ("n_ctx", .integer(engine.contextLimit)),
                    ("n_ctx_train", .integer(text.trainedContext)),
                    ("n_params", text.parameterCount.map { .integer($0) }),
                    ("size", text.byteCount.map { .integer($0) }),
                ])
            ),
        ])
    }

    private func adapter(_ name: String, _ directory: String) -> JSONOutput {
        [
            "id": .string(name), "object": "model", "created": .integer(text.created),
            "owned_by": "yuyan", "root": .string(directory), "parent": .string(text.modelID),
            "max_model_len": .integer(engine.contextLimit), "permission": [],
        ]
    }
}
