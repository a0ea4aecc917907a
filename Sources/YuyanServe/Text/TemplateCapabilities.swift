import YuyanFormats
import YuyanText

/// What a chat template does by itself, read off its source.
struct TemplateCapabilities: Sendable {
    /// Whether it writes the descriptions of tools into the prompt.
    let rendersTools: Bool
    /// Whether its model thinks between `<think>` and `</think>` before it answers.
    let thinks: Bool
    /// Whether `enable_thinking` turns that off.
    let switchesThinking: Bool

    init(_ template: ChatTemplate?) {
        let source = template?.source ?? ""
        rendersTools = source.containsText("tools")
        thinks = source.containsText(AnswerParser.openingMark)
        switchesThinking = source.containsText("enable_thinking")
    }
}

extension String {
    /// Whether the bytes of a text occur in this one.
    func containsText(_ text: String) -> Bool { utf8Range(of: text, last: false) != nil }

    /// Where the bytes of a text lie, first or last, as offsets in UTF-8.
    func utf8Range(of text: String, last: Bool) -> Range<Int>? {
        let bytes = Array(utf8)
        let wanted = Array(text.utf8)
        guard wanted.count <= bytes.count else { return nil }
        func matches(_ start: Int) -> Bool {
            for offset in wanted.indices where bytes[start + offset] != wanted[offset] {
                return false
            }
            return true
        }
        let starts = 0...(bytes.count - wanted.count)
        let found = last ? starts.last(where: matches) : starts.first(where: matches)
        return found.map { $0..<$0 + wanted.count }
    }
}

extension TemplateValue {
    /// A JSON value as templates read it.
    init(json: JSONCursor) {
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
    func forEachText(_ body: (String) -> Void) {
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
    func mapTexts(_ change: (String) -> String) -> TemplateValue {
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
