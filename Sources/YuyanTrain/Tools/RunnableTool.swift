import YuyanFormats
import YuyanText

/// Something that answers the model's calls while it writes.
protocol RunnableTool: Sendable {
    /// What the model is told of it.
    var offer: Tool { get }

    /// One reply to each call, in order; what goes wrong is a reply too.
    func replies(to calls: [AskedCall]) -> [ToolReply]

    /// Whether its replies are its own; not in a dry run that does not start it.
    var isAsked: Bool { get }
}

extension RunnableTool {
    var isAsked: Bool { true }
}

/// A call with what its tool may look at.
struct AskedCall: Sendable {
    let call: ToolCall
    /// The arguments, an object.
    let arguments: JSONCursor
    /// The columns of the row that is answered.
    let columns: [(key: String, value: JSONCursor)]
}

/// What a tool says.
enum ToolReply: Sendable, Hashable {
    case content(String)
    /// The call makes no sense to the tool.
    case refused(String)
    /// The tool itself failed.
    case broken(String)

    /// What the model reads.
    var text: String {
        switch self {
        case .content(let text): text
        case .refused(let what), .broken(let what):
            (["error": .string(what)] as JSONOutput).description
        }
    }

    var isFailure: Bool {
        if case .content = self { false } else { true }
    }
}

/// What becomes of a tool that hangs, crashes or says something else than the protocol has.
public enum ToolFaultPolicy: String, CaseIterable, Sendable {
    /// The model reads the error, and the failure is counted.
    case tell
    /// The run ends.
    case stop
}

extension ToolFaultPolicy: RecipeChoice {}
