import YuyanFormats

extension YAMLNode {
    /// The value as JSON: a plain word that JSON knows is what JSON means by it.
    var json: String {
        switch self {
        case _ where isNull: return "null"
        case .scalar(let text, let isQuoted, _):
            if !isQuoted, let known = try? JSONDocument(bytes: Array(text.utf8), name: "scalar"),
                known.root.kind == .number || known.root.kind == .bool
            {
                return text
            }
            return JSONOutput.string(text).description
        case .sequence(let items, _): return "[" + items.map(\.json).joined(separator: ",") + "]"
        case .mapping(let entries, _):
            return "{"
                + entries.map { JSONOutput.string($0.key).description + ":" + $0.value.json }
                .joined(separator: ",") + "}"
        }
    }
}
