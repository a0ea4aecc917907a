import YuyanFormats
import YuyanText

/// A local program as a tool, by a protocol of lines.
///
/// For each call it reads one JSON object a line, `{"id", "name", "arguments"}` and the row's columns (a
/// column of one of these names is left out), and answers with `{"id", "content"}` or `{"id", "error"}` a
/// line. See `LineProgram` for its life and limits.
struct ProgramTool: RunnableTool {
    let offer: Tool
    let program: LineProgram

    static let wording = LineProgram.Wording(
        requests: "calls", form: #"{"id": …, "content": "…"}"#)

    /// A model tries strange calls for thousands of steps, so more crashes are borne than of a reward.
    static let limits: LineProgram.Limits = {
        var limits = LineProgram.Limits()
        limits.restarts = 100
        return limits
    }()

    func replies(to calls: [AskedCall]) -> [ToolReply] {
        program.ask(calls.map(Self.request), read: Self.content).map { outcome in
            switch outcome {
            case .answer(let text): .content(text)
            case .refused(let what): .refused(what)
            case .broken(let what): .broken(what)
            }
        }
    }

    private static func request(_ call: AskedCall) -> [(key: String, value: JSONOutput)] {
        let own = ["id", "name", "arguments"]
        return [
            ("name", .string(call.call.name)),
            ("arguments", JSONOutput(copying: call.arguments)),
        ]
            + call.columns.filter { !own.contains($0.key) }
            .map { ($0.key, JSONOutput(copying: $0.value)) }
    }

    /// A text, or any other JSON as its text.
    private static func content(_ id: Int, _ line: JSONCursor) -> LineProgram.Reading<String> {
        guard let content = line["content"], !content.isNull else {
            return .nonsense("the program answered id \(id) without content")
        }
        return .answer(content.string ?? JSONOutput(copying: content).description)
    }
}
