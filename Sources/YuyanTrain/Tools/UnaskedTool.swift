import YuyanText

/// A tool that a dry run looks at and does not start.
struct UnaskedTool: RunnableTool {
    let offer: Tool

    func replies(to calls: [AskedCall]) -> [ToolReply] {
        calls.map { _ in .refused("a dry run starts no program") }
    }

    var isAsked: Bool { false }
}
