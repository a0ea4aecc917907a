import YuyanFormats

/// One message of a conversation, whatever dialect it came in.
package struct ChatTurn: Sendable, Hashable {
    package var role: String
    package var content: String?
    package var name: String?
    package var reasoning: String?
    package var calls: [ToolCall] = []
    /// The call that a message of the role `tool` answers.
    package var callID: String?

    package init(role: String, content: String?) {
        self.role = role
        self.content = content
    }

    /// The message as a template with tools reads it.
    ///
    /// A call whose arguments are no JSON object stands in the content, as the model wrote it.
    package func templateValue(_ format: ToolFormat) -> TemplateValue {
        var text = content
        var entries: [(key: String, value: TemplateValue)] = [("role", .string(role))]
        var rendered: [TemplateValue] = []
        for call in calls {
            let document = try? JSONDocument(
                bytes: Array(call.arguments.utf8), name: "tool_calls")
            guard let root = document?.root, root.kind == .object else {
                text = (text.map { $0.isEmpty ? "" : $0 + "\n" } ?? "") + format.text(of: call)
                continue
            }
            rendered.append([
                "id": .string(call.id), "type": "function",
                "function": [
                    "name": .string(call.name), "arguments": TemplateValue(json: root),
                ],
            ])
        }
        // Templates test content for emptiness, and fail where it is absent.
        entries.append(("content", .string(text ?? "")))
        if let name { entries.append(("name", .string(name))) }
        if let reasoning { entries.append(("reasoning_content", .string(reasoning))) }
        if !rendered.isEmpty { entries.append(("tool_calls", .array(rendered))) }
        if let callID { entries.append(("tool_call_id", .string(callID))) }
        return .object(TemplateObject(entries))
    }

    /// The message for a template that knows neither calls nor the role `tool`.
    package func plain(_ format: ToolFormat) -> ChatTurn {
        var result = ChatTurn(role: role, content: content)
        result.name = name
        if role == "tool" || role == "function" {
            result.role = "user"
            result.content = format.text(ofResult: content ?? "")
        }
        if !calls.isEmpty {
            let texts = (content.map { $0.isEmpty ? [] : [$0] } ?? []) + calls.map(format.text(of:))
            result.content = texts.joined(separator: "\n")
        }
        return result
    }
}
