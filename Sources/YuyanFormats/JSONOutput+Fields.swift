extension JSONOutput {
    /// A text, or null for nil.
    package static func text(_ value: String?) -> JSONOutput { value.map { .string($0) } ?? .null }

    /// A whole number, or null for nil.
    package static func number(_ value: Int?) -> JSONOutput { value.map { .integer($0) } ?? .null }

    /// A value that was read, to be written again.
    package init(_ json: JSONCursor) {
        switch json.kind {
        case .null: self = .null
        case .bool: self = .bool(json.bool ?? false)
        case .number:
            if json.isInteger, let value = json.int {
                self = .integer(value)
            } else {
                self = .double(json.double ?? 0)
            }
        case .string: self = .string(json.string ?? "")
        case .array: self = .array((json.array.map(Array.init) ?? []).map { JSONOutput($0) })
        case .object: self = .object((json.entries ?? []).map { ($0.key, JSONOutput($0.value)) })
        }
    }

    /// An object without those of its entries that are nil.
    package static func fields(_ entries: [(String, JSONOutput?)]) -> JSONOutput {
        .object(entries.compactMap { key, value in value.map { (key: key, value: $0) } })
    }
}
