import YuyanFormats

/// The fields of the endpoints that load and forget adapters, as vLLM has them.
enum AdapterFields {
    static let load = [
        Field("lora_name", .string(maxBytes: 256), required: true),
        Field("lora_path", .string(maxBytes: 4096), required: true),
        Field("base_model_name", .name),
    ]
    static let unload = [
        Field("lora_name", .string(maxBytes: 256), required: true),
        Field("lora_int_id", .integer(0...Int(Int32.max))),
    ]
}

extension Service {
    /// Answers `/v1/load_lora_adapter`.
    func loadAdapter(_ request: ServiceRequest) throws(RequestError) -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.loadAdapter)
        let name = body.string("lora_name") ?? ""
        let directory = body.string("lora_path") ?? ""
        let adapters = try registry()
        guard !name.isEmpty, name != text.modelID, !text.aliases.contains(name) else {
            throw .field(
                param: "lora_name",
                message: "is \(JSONOutput.string(name)); expected a name of its own")
        }
        guard !adapters.registered.contains(where: { $0.name == name }) else {
            throw .field(
                param: "lora_name",
                message: "is \(JSONOutput.string(name)), which is loaded; unload it first")
        }
        do {
            try adapters.register(name: name, directory: directory)
        } catch {
            throw .field(param: "lora_path", message: "cannot be loaded: \(error)")
        }
        return .plain("Success: LoRA adapter '\(name)' added successfully.")
    }

    /// Answers `/v1/unload_lora_adapter`.
    func unloadAdapter(_ request: ServiceRequest) throws(RequestError) -> ServiceResponse {
        let body = try RequestBody(bytes: request.body, tables.unloadAdapter)
        let name = body.string("lora_name") ?? ""
        let adapters = try registry()
        guard adapters.registered.contains(where: { $0.name == name }) else {
            throw .notFound("no adapter has the name \(JSONOutput.string(name))")
        }
        do {
            try adapters.unregister(name: name)
        } catch {
            throw .failed("the adapter '\(name)' cannot be forgotten: \(error)")
        }
        return .plain("Success: LoRA adapter '\(name)' removed successfully.")
    }

    /// Answers `/lora-adapters`, as llama.cpp does.
    func listAdapters() -> JSONOutput {
        .array(
            (adapters?.registered ?? []).enumerated().map { index, adapter in
                [
                    "id": .integer(index), "name": .string(adapter.name),
                    "path": .string(adapter.directory), "scale": 0,
                ]
            })
    }

    private func registry() throws(RequestError) -> any AdapterRegistry {
        guard let adapters else {
            throw .body("this server loads no adapters; start it with --adapter NAME=DIR")
        }
        return adapters
    }
}

extension ServiceResponse {
    /// A line of text.
    static func plain(_ text: String) -> ServiceResponse {
        ServiceResponse(
            status: 200, headers: [("content-type", "text/plain; charset=utf-8")],
            body: .bytes(Array(text.utf8)))
    }
}
