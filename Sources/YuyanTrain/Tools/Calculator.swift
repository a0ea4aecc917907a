import YuyanFormats
import YuyanText

/// Exact arithmetic: fractions of whole numbers, nothing rounded.
///
/// `{"expression": "12*(3+4)/5"}` gives `84/5`: a whole number, or a fraction in lowest terms.
struct Calculator: RunnableTool {
    static let name = "calculator"

    let offer = Tool(
        name: name,
        summary: "The exact value of a calculation with + - * / ^ and brackets: a whole number or "
            + "a fraction.",
        parameters: parameters)

    private static let parameters: JSONCursor? = {
        let schema: JSONOutput = [
            "type": "object",
            "properties": [
                "expression": ["type": "string", "description": "Such as 12*(3+4)/5"]
            ],
            "required": ["expression"],
        ]
        return try? JSONDocument(bytes: Array(schema.description.utf8), name: name).root
    }()

    func replies(to calls: [AskedCall]) -> [ToolReply] { calls.map(reply) }

    private func reply(to call: AskedCall) -> ToolReply {
        guard let expression = call.arguments["expression"] else {
            return .refused("the argument 'expression' is missing, expected a calculation")
        }
        let text = expression.string ?? JSONOutput(copying: expression).description
        guard let value = ArithmeticExpression.value(text) else {
            let shown = String(text.prefix(100))
            return .refused(
                "'\(shown)' has no value, expected numbers, + - * / ^ and brackets, without a "
                    + "division by 0")
        }
        return .content(value.description)
    }
}
