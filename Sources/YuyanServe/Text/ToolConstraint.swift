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

extension ToolFormat {
    /// What an answer may look like, so that a call cannot be malformed.
    ///
    /// - Parameters:
    ///   - thinks: Whether free text must be possible before a call that is required.
    ///   - isParallel: Whether there may be several calls; of a function that was named, one.
    func constraint(
        _ tools: [Tool], choice: ToolChoice, thinks: Bool, isParallel: Bool
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
        return .tagged(
            free: choice == .auto || thinks, tags: tags, atLeastOne: choice != .auto,
            atMostOne: isSingle)
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
