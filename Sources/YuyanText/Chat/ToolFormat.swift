import YuyanFormats

/// A function that the model may call.
package struct Tool: Sendable {
    package var name: String
    package var summary: String?
    /// JSON schema of the arguments; nil for any object.
    package var parameters: JSONCursor?

    package init(name: String, summary: String? = nil, parameters: JSONCursor? = nil) {
        self.name = name
        self.summary = summary
        self.parameters = parameters
    }

    /// The tool as chat templates know it: `{"type": "function", "function": {...}}`.
    package var output: JSONOutput {
        [
            "type": "function",
            "function": .fields([
                ("name", .string(name)), ("description", summary.map { .string($0) }),
                (
                    "parameters",
                    parameters.map { JSONOutput($0) } ?? ["type": "object", "properties": [:]]
                ),
            ]),
        ]
    }
}

extension Tool: Hashable {
    package static func == (a: Tool, b: Tool) -> Bool {
        a.output.description == b.output.description
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// A call of a function, in an answer or in the history that a client sends back.
package struct ToolCall: Sendable, Hashable {
    package var id: String
    package var name: String
    /// JSON as a text; in a client's history it may be broken.
    package var arguments: String

    package init(id: String, name: String, arguments: String) {
        self.id = id
        self.name = name
        self.arguments = arguments
    }

    /// The call as OpenAI's messages hold it.
    package var output: JSONOutput {
        [
            "id": .string(id), "type": "function",
            "function": ["name": .string(name), "arguments": .string(arguments)],
        ]
    }
}

/// How a family of models writes calls of functions into its answers.
package struct ToolFormat: Sendable {
    /// What stands before and after one call.
    package let begin: String
    package let end: String
    /// Names under which the JSON between them gives the function and its arguments.
    package let nameKey: String
    package let argumentsKey: String

    /// `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`: Hermes, Qwen 2.5, Qwen 3.
    package static let hermes = ToolFormat(
        begin: "<tool_call>", end: "</tool_call>", nameKey: "name", argumentsKey: "arguments")

    /// A call as the model would have written it.
    package func text(of call: ToolCall) -> String {
        let name = JSONOutput.string(call.name).description
        return "\(begin)\n{\"\(nameKey)\": \(name), \"\(argumentsKey)\": \(call.arguments)}\n\(end)"
    }

    /// What a function gave, for models whose template has no role for it.
    package func text(ofResult content: String) -> String {
        "<tool_response>\n\(content)\n</tool_response>"
    }

    /// What tells a model whose template ignores tools about them: part of its system message.
    package func description(of tools: [Tool]) -> String {
        let list = tools.map(\.output.description).joined(separator: "\n")
        return """
            You may call functions to help with the user's request. These are the functions, one \
            JSON object on each line:
            <tools>
            \(list)
            </tools>

            To call one, answer with its name and its arguments as a JSON object between these tags:
            \(begin)
            {"\(nameKey)": "the function's name", "\(argumentsKey)": {"argument": "value"}}
            \(end)
            """
    }
}
