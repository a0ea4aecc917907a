import YuyanFormats

extension YAMLNode {
    /// The value as JSON that reads back to an equal node, but for a number's way of being written.
    var json: JSONOutput {
        switch self {
        case .sequence(let items, _): return .array(items.map(\.json))
        case .mapping(let entries, _): return .object(entries.map { ($0.key, $0.value.json) })
        case _ where isNull: return .null
        case .scalar(let text, true, _): return .string(text)
        case .scalar(let text, false, _):
            if let number = Int(text) { return .integer(number) }
            if let number = Double(self) { return .double(number) }
            return text == "true" || text == "false" ? .bool(text == "true") : .string(text)
        }
    }
}
