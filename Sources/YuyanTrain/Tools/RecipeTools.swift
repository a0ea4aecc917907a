import YuyanFormats
import YuyanText

/// The value of the recipe's key `tools`: names of built-in tools, or mappings with a program.
///
/// `[calculator, {name: search, description: …, parameters: {…}, program: ./search.py, timeout: 5}]`.
public struct RecipeTools: Sendable, Hashable {
    /// Each entry as it was written.
    public var nodes: [YAMLNode]

    /// Takes entries as they are.
    public init(_ nodes: [YAMLNode] = []) { self.nodes = nodes }

    var isEmpty: Bool { nodes.isEmpty }

    private static let key = "tools"
    private static let builtIn: [any RunnableTool] = [Calculator()]

    /// Builds the tools; programs are looked for, not started.
    ///
    /// - Parameters:
    ///   - place: The recipe, or file and line of the key, for messages.
    ///   - host: When programs are to be ended, and whether they may be started.
    /// - Throws: `RecipeError` naming the entry and its key.
    func set(
        place: String, host: RewardHost = RewardHost()
    ) throws(RecipeError) -> ToolSet {
        var tools: [any RunnableTool] = []
        for node in nodes {
            let tool = try Self.tool(node, place: place, host: host)
            guard !tools.contains(where: { $0.offer.name == tool.offer.name }) else {
                throw .badValue(
                    place: Self.place(place, node), key: Self.key,
                    found: "two tools called '\(tool.offer.name)'",
                    expected: "a name of its own for each")
            }
            tools.append(tool)
        }
        return ToolSet(tools: tools)
    }

    private static func place(_ place: String, _ node: YAMLNode) -> String {
        node.line > 0 ? "\(place.prefixBeforeLine):\(node.line)" : place
    }

    private static func tool(
        _ node: YAMLNode, place: String, host: RewardHost
    ) throws(RecipeError) -> any RunnableTool {
        let place = Self.place(place, node)
        var entries: [YAMLNode.Entry] = []
        let name: String
        switch node {
        case .scalar(let text, _, _): name = text
        case .mapping(let found, _):
            entries = found
            guard let node = found.last(where: { $0.key == "name" })?.value,
                let text = String(node)
            else {
                throw .badValue(
                    place: place, key: key, found: "a mapping without name",
                    expected: "calculator, or {name: search, program: ./search.py, …}")
            }
            name = text
        case .sequence:
            throw .badValue(
                place: place, key: key, found: "a list in the list",
                expected: "names or mappings")
        }
        var settings = RewardSettings(
            list: key, kind: name, label: name, place: place, host: host, entries: entries,
            known: ["name"])
        let tool: any RunnableTool
        if entries.contains(where: { $0.key == "program" }) {
            tool = try program(name, &settings)
        } else {
            let names = builtIn.map(\.offer.name)
            guard let found = builtIn.first(where: { $0.offer.name == name }) else {
                let nearest = nearestNames(to: name, in: names)
                throw .badValue(
                    place: place, key: key, found: "'\(name)'",
                    expected: "one of \(names.joined(separator: ", ")), or a program: {name: "
                        + "\(name), program: ./\(name).py}"
                        + (nearest.isEmpty ? "" : "; nearest: \(nearest[0])"))
            }
            tool = found
        }
        try settings.finish()
        return tool
    }

    private static func program(
        _ name: String, _ settings: inout RewardSettings
    ) throws(RecipeError) -> any RunnableTool {
        let isName = name.utf8.allSatisfy { byte in
            byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_")
                || byte == UInt8(ascii: "-")
        }
        guard isName, (1...64).contains(name.utf8.count) else {
            throw settings.fault(
                "name", "'\(name)'", expected: "1 to 64 letters of A to Z, digits, _ and -")
        }
        let description: String? = try settings.value("description", nil)
        var parameters: JSONCursor?
        if let node = settings.node("parameters") {
            let text =
                if case .scalar(let text, _, _) = node { text } else { node.json.description }
            let document = try? JSONDocument(bytes: Array(text.utf8), name: "parameters")
            guard let root = document?.root, root.kind == .object else {
                throw settings.fault(
                    "parameters", node.summary,
                    expected: "a JSON schema, such as {type: object, properties: {…}}")
            }
            parameters = root
        }
        let tool = ProgramTool(
            offer: Tool(name: name, summary: description, parameters: parameters),
            program: try LineProgram(
                &settings, example: "./\(name).py", limits: ProgramTool.limits,
                wording: ProgramTool.wording))
        return settings.host.isDry ? UnaskedTool(offer: tool.offer) : tool
    }
}

extension RecipeTools: RecipeEntries {
    static var expectation: String { "a list of tools: names, or mappings with name and program" }
}
