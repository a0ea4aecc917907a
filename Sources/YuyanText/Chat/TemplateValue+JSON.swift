import YuyanFormats

extension TemplateValue {
    /// A JSON value as templates read it.
    package init(json: JSONCursor) {
        switch json.kind {
        case .null: self = .none
        case .bool: self = .bool(json.bool ?? false)
        case .number:
            if json.isInteger, let value = json.int {
                self = .integer(value)
            } else {
                self = .float(json.double ?? 0)
            }
        case .string: self = .string(json.string ?? "")
        case .array:
            self = .array((json.array.map(Array.init) ?? []).map { TemplateValue(json: $0) })
        case .object:
            let entries = json.entries ?? []
            self = .object(
                TemplateObject(entries.map { (key: $0.key, value: TemplateValue(json: $0.value)) })
            )
        }
    }

    /// Calls `body` with every text in the value, names of entries included.
    package func forEachText(_ body: (String) -> Void) {
        switch self {
        case .string(let text): body(text)
        case .array(let items): for item in items { item.forEachText(body) }
        case .object(let object):
            for (key, value) in object.entries {
                body(key)
                value.forEachText(body)
            }
        default: break
        }
    }

    /// The value with every text replaced.
    package func mapTexts(_ change: (String) -> String) -> TemplateValue {
        switch self {
        case .string(let text): .string(change(text))
        case .array(let items): .array(items.map { $0.mapTexts(change) })
        case .object(let object):
            .object(
                TemplateObject(
                    object.entries.map { (key: change($0.key), value: $0.value.mapTexts(change)) }))
        default: self
        }
    }
}

extension TemplateValue {
    /// A JSON value that was built here, as templates read it.
    package init(_ output: JSONOutput) {
        switch output {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .double(let value): self = .float(value)
        case .float(let value): self = .float(Double(value))
        case .string(let value): self = .string(value)
        case .array(let items): self = .array(items.map { TemplateValue($0) })
        case .object(let entries):
            self = .object(TemplateObject(entries.map { ($0.key, TemplateValue($0.value)) }))
        }
    }
}
