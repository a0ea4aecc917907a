import YuyanFormats
import YuyanText

/// The tools of a run, by their names.
struct ToolSet: Sendable {
    let tools: [any RunnableTool]

    /// What the model is told of them.
    var offers: [Tool] { tools.map(\.offer) }

    /// Names of those that a dry run does not start.
    var unasked: [String] { tools.filter { !$0.isAsked }.map(\.offer.name) }

    /// One reply to each call, in order; each tool is asked once, for all of its calls.
    func replies(
        to calls: [(call: ToolCall, columns: [(key: String, value: JSONCursor)])]
    ) -> [ToolReply] {
        var replies = calls.map { ToolReply.refused("there is no tool '\($0.call.name)'") }
        for tool in tools {
            var asked: [(place: Int, call: AskedCall)] = []
            for (place, (call, columns)) in calls.enumerated() where call.name == tool.offer.name {
                guard let arguments = Self.object(call.arguments) else {
                    replies[place] = .refused("the arguments are no JSON object")
                    continue
                }
                asked.append(
                    (place, AskedCall(call: call, arguments: arguments, columns: columns)))
            }
            guard !asked.isEmpty else { continue }
            let found = tool.replies(to: asked.map(\.call))
            precondition(
                found.count == asked.count, "\(found.count) replies to \(asked.count) calls")
            for ((place, _), reply) in zip(asked, found) { replies[place] = reply }
        }
        return replies
    }

    private static func object(_ text: String) -> JSONCursor? {
        guard let document = try? JSONDocument(bytes: Array(text.utf8), name: "arguments"),
            document.root.kind == .object
        else { return nil }
        return document.root
    }
}
