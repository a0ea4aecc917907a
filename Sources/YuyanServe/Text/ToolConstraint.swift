import YuyanConstraints
import YuyanFormats
import YuyanText

/// Which tools an answer may or must call.
enum ToolChoice: Sendable, Hashable {
    case none
    case auto
    case required
    case named(String)
}

extension ConstraintSource {
    static let opening = "<think>"
    static let closing = "</think>"

    /// Thoughts that were begun already, their end, then this.
    ///
    /// - Parameter isRequired: Whether the thoughts must come to an end.
    func afterThoughts(isRequired: Bool = true) -> ConstraintSource {
        // Models are used to an empty line after their thoughts.
        let rest = ConstraintTag(begin: Self.closing, body: self, end: "", space: 2)
        return .tagged(free: true, tags: [rest], atLeastOne: isRequired, atMostOne: true)
    }
}

extension ToolFormat {
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
                begin: ConstraintSource.opening, body: calls.afterThoughts(), end: "")
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
