import YuyanConstraints
import YuyanFormats

/// A function that the model may call.
struct Tool: Sendable {
    var name: String
    var summary: String?
    /// JSON schema of the arguments; nil for any object.
    var parameters: JSONCursor?

    /// The tool as chat templates know it: `{"type": "function", "function": {...}}`.
    var output: JSONOutput {
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

/// A call of a function, in an answer or in the history that a client sends back.
struct ToolCall: Sendable, Hashable {
    var id: String
    var name: String
    /// JSON as a text; in a client's history it may be broken.
    var arguments: String
}

/// Which tools an answer may or must call.
enum ToolChoice: Sendable, Hashable {
    case none
    case auto
    case required
    case named(String)
}

extension ConstraintSource {
    /// Thoughts that were begun already, their end, then this.
    ///
    /// - Parameter isRequired: Whether the thoughts must come to an end.
    func afterThoughts(isRequired: Bool = true) -> ConstraintSource {
        // Models are used to an empty line after their thoughts.
        let rest = ConstraintTag(begin: AnswerParser.closingMark, body: self, end: "", space: 2)
        return .tagged(free: true, tags: [rest], atLeastOne: isRequired, atMostOne: true)
    }
}

/// How a family of models writes calls of functions into its answers.
struct ToolFormat: Sendable {
    /// What stands before and after one call.
    let begin: String
    let end: String
    /// Names under which the JSON between them gives the function and its arguments.
    let nameKey: String
    let argumentsKey: String

    /// `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`: Hermes, Qwen 2.5, Qwen 3.
    static let hermes = ToolFormat(
        begin: "<tool_call>", end: "</tool_call>", nameKey: "name", argumentsKey: "arguments")

    /// A call as the model would have written it.
    func text(of call: ToolCall) -> String {
        let name = JSONOutput.string(call.name).description
        return "\(begin)\n{\"\(nameKey)\": \(name), \"\(argumentsKey)\": \(call.arguments)}\n\(end)"
    }

    /// What tells a model whose template ignores tools about them: part of its system message.
    func description(of tools: [Tool]) -> String {
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

    /// What an answer may look like, so that a call cannot be malformed.
    ///
    /// - Parameters:
    ///   - reasoning: Whether the answer begins inside thoughts, or may begin with some; calls come
    ///     after them.
    ///   - isParallel: Whether there may be several calls; of a function that was named, one.
    func constraint(
        _ tools: [Tool], choice: ToolChoice, reasoning: AnswerParser.Reasoning, isParallel: Bool
    ) throws(RequestError) -> ConstraintSource {
        var wanted = tools
        var isSingle = !isParallel
        if case .named(let name) = choice {
            wanted = tools.filter { $0.name == name }
            // OpenAI's clients expect the one call that they named.
            isSingle = true
        }
        var tags: [ConstraintTag] = []
        for tool in wanted {
            let schema = try Self.parsed(schema(of: tool))
            tags.append(
                ConstraintTag(begin: begin + "\n", body: .jsonSchema(schema), end: "\n" + end))
        }
        let isRequired = choice != .auto
        let calls = ConstraintSource.tagged(
            free: !isRequired, tags: tags, atLeastOne: isRequired, atMostOne: isSingle)
        switch reasoning {
        case .none: return calls
        case .open: return calls.afterThoughts(isRequired: isRequired)
        case .tagged:
            guard isRequired else { return calls }
            let thoughts = ConstraintTag(
                begin: AnswerParser.openingMark, body: calls.afterThoughts(), end: "")
            return .tagged(
                free: false, tags: [thoughts] + tags, atLeastOne: true, atMostOne: isSingle)
        }
    }

    private func schema(of tool: Tool) -> JSONOutput {
        let arguments: JSONOutput =
            tool.parameters.map { JSONOutput($0) } ?? ["type": "object"]
        // References inside the tool's schema count from the root, where its definitions must be.
        let definitions = ["$defs", "definitions"].map { name in
            (name, tool.parameters?[name].map { JSONOutput($0) })
        }
        return .fields(
            [
                ("type", "object"),
                (
                    "properties",
                    .object([
                        (key: nameKey, value: JSONOutput.object([("const", .string(tool.name))])),
                        (key: argumentsKey, value: arguments),
                    ])
                ),
                ("required", .array([.string(nameKey), .string(argumentsKey)])),
                ("additionalProperties", false),
            ] + definitions)
    }

    private static func parsed(
        _ schema: JSONOutput
    ) throws(RequestError) -> JSONCursor {
        do throws(FormatError) {
            return try JSONDocument(bytes: Array(schema.description.utf8), name: "tools").root
        } catch {
            throw .field(param: "tools", message: "hold a schema that cannot be used: \(error)")
        }
    }
}
