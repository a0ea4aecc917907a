import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What lies beside an adapter that was trained over other, merged adapters: `merged_adapters.json`.
///
/// `adapter_config.json` can only name the model under all of them: PEFT has no word for a base that is
/// on no disk. Loaded over that model alone, such an adapter would give other answers and no error.
struct MergedAdapters {
    static let name = "merged_adapters.json"
    /// The model without any adapter, as the recipe names it.
    let model: String
    /// In the order in which they are added to it.
    let adapters: [String]

    /// Nil if a recipe merges nothing.
    init?(_ recipe: Recipe) {
        guard !recipe.model.mergedAdapters.isEmpty else { return nil }
        model = recipe.model.path
        adapters = recipe.model.mergedAdapters
    }

    /// Reads what lies beside an adapter.
    ///
    /// - Parameter adapter: Its folder.
    /// - Returns: Nil if nothing does.
    /// - Throws: `FormatError` naming file and key.
    init?(beside adapter: String) throws {
        let path = adapter + "/" + Self.name
        guard access(path, F_OK) == 0 else { return nil }
        let root = try JSONDocument(path: path).root
        model = try root.string("model_name_or_path")
        adapters = try root.array("merged_adapters").map { entry in
            guard let text = entry.string else {
                throw FormatError.badValue(
                    file: path, key: "merged_adapters", found: "a list with \(entry.kind)",
                    expected: "a list of paths")
            }
            return text
        }
    }

    /// Writes the file into the adapter's folder.
    func write(to folder: String) throws {
        let json: JSONOutput = [
            "model_name_or_path": .string(model),
            "merged_adapters": .array(adapters.map { .string($0) }),
            "how_to_apply": .string(advice),
        ]
        try writeAtomically(folder + "/" + Self.name) { try $0.write(json.indented + "\n") }
    }

    private var advice: String {
        "This adapter was trained over \(model) with the merged_adapters added to its weights, in "
            + "this order. Add them first. Yuyan: `yuyan adapter merge ADAPTER merged --model MODEL "
            + "--type f32` for each, with the result before as MODEL, then this adapter with "
            + "`--model merged --adapter`. PEFT: model = PeftModel.from_pretrained(model, "
            + "ADAPTER).merge_and_unload() for each, then this one. Recipes of Yuyan and "
            + "LLaMA-Factory: adapter_name_or_path lists them all, this one last."
    }

    /// A line for each adapter of a recipe that was trained over others than those before it in the list.
    static func notes(_ recipe: Recipe) throws -> [String] {
        let given = recipe.model.adapters
        return try given.indices.compactMap { index in
            let count = try MergedAdapters(beside: given[index])?.adapters.count ?? 0
            guard count > 0, count != index else { return nil }
            return "'\(given[index])' was trained over \(count) merged "
                + (count == 1 ? "adapter" : "adapters")
                + " (see its \(name)), and adapter_name_or_path has \(index) before it; unless they "
                + "are in the model's weights already, list them first"
        }
    }
}
