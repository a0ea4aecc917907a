import YuyanFormats
import YuyanText

/// Reads turns in OpenAI's way, with the additions of ms-swift.
enum MessageReader {
    /// The turns of a list of messages.
    ///
    /// Consecutive messages of the role `tool_call` are calls of one turn, that of the answer before
    /// them if there is one; `tool_response` is another name of `tool`.
    static func turns(_ value: JSONCursor?, at key: String) throws(RowFault) -> [TrainingTurn] {
        guard let list = value?.array else {
            throw RowFault(key, value, expected: "a list of messages")
        }
        var turns: [TrainingTurn] = []
        for (index, message) in list.enumerated() {
            let place = "\(key)[\(index)]"
            guard message.kind == .object else {
                throw RowFault(place, message, expected: "an object with role and content")
            }
            guard let role = message["role"]?.string else {
                throw RowFault(place + ".role", message["role"], expected: "the name of a role")
            }
            if role == "tool_call" {
                let call = try ToolReader.call(message["content"], at: place + ".content")
                if let last = turns.last, last.isAnswer {
                    turns[turns.count - 1].turn.calls.append(call)
                } else {
                    var turn = ChatTurn(role: "assistant", content: nil)
                    turn.calls = [call]
                    turns.append(TrainingTurn(turn, weight: try weight(message, at: place)))
                }
                continue
            }
            let turn = try turn(message, role, at: place)
            // An empty system message is none.
            if turn.role == "system", !turn.isSaying { continue }
            turns.append(TrainingTurn(turn, weight: try weight(message, at: place)))
        }
        guard !turns.isEmpty else { throw RowFault(key, "empty", expected: "messages") }
        return turns
    }

    private static let roles = [
        "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
        "tool": "tool", "function": "tool", "tool_response": "tool",
    ]

    private static func turn(
        _ message: JSONCursor, _ role: String, at place: String
    ) throws(RowFault) -> ChatTurn {
        guard let name = roles[role] else {
            throw RowFault(
                place + ".role", JSONOutput.string(role).description,
                expected: "system, user, assistant or tool")
        }
        var turn = ChatTurn(role: name, content: nil)
        try setContent(&turn, message["content"], at: place + ".content")
        turn.name = try message.optionalText("name")
        turn.callID = try message.optionalText("tool_call_id")
        for key in ["reasoning_content", "reasoning"] where turn.reasoning == nil {
            turn.reasoning = try message.optionalText(key)
        }
        if let calls = message["tool_calls"], !calls.isNull {
            guard let list = calls.array else {
                throw RowFault(place + ".tool_calls", calls, expected: "a list of calls")
            }
            for (index, call) in list.enumerated() {
                turn.calls.append(try ToolReader.call(call, at: "\(place).tool_calls[\(index)]"))
            }
        }
        // Functions may have nothing to say; people and models must.
        if name == "user" || name == "assistant", !turn.isSaying {
            throw RowFault(place + ".content", message["content"], expected: "a turn's text")
        }
        return turn
    }

    /// What learning a message counts for: ms-swift's `loss` and `loss_scale`,
    /// LLaMA-Factory's `loss_weight`, OpenAI's `weight`.
    private static func weight(
        _ message: JSONCursor, at place: String
    ) throws(RowFault) -> Float? {
        var weight: Float?
        for key in ["loss", "loss_scale", "loss_weight", "weight"] {
            guard let value = message[key], !value.isNull else { continue }
            let number = value.bool.map { $0 ? 1.0 : 0.0 } ?? value.double
            let product = number.map { (weight ?? 1) * Float($0) }
            guard let number, number >= 0, let product, product.isFinite else {
                throw RowFault(
                    "\(place).\(key)", value,
                    expected: "true, false or a number from 0 that float32 can hold")
            }
            weight = product
        }
        return weight
    }

    /// Sets what a message says: a text, or parts of which texts stand on lines of their own, as in
    /// requests.
    ///
    /// Parts hold their text under `text` as OpenAI's, or `value` as LLaMA-Factory's, which may also
    /// be of the types `reasoning` and `tool_call`.
    private static func setContent(
        _ turn: inout ChatTurn, _ value: JSONCursor?, at place: String
    ) throws(RowFault) {
        guard let value, !value.isNull else { return }
        if let text = value.string {
            turn.content = text
            return
        }
        guard let parts = value.array else {
            throw RowFault(place, value, expected: "a text or a list of parts")
        }
        var (texts, thoughts): ([String], [String]) = ([], [])
        for (index, part) in parts.enumerated() {
            let place = "\(place)[\(index)]"
            let content = part["text"] ?? part["value"]
            switch part["type"]?.string {
            case "tool_call":
                turn.calls.append(try ToolReader.call(content, at: place))
                continue
            case "text", "input_text", "output_text", "reasoning": break
            default:
                throw RowFault(place + ".type", part["type"], expected: "text")
            }
            guard let text = content?.string else {
                throw RowFault(place + ".text", content, expected: "a text")
            }
            if part["type"]?.string == "reasoning" {
                thoughts.append(text)
            } else {
                texts.append(text)
            }
        }
        turn.content = texts.joined(separator: "\n")
        if !thoughts.isEmpty { turn.reasoning = thoughts.joined(separator: "\n") }
    }
}

/// Reads functions and calls of them, in each of the ways in which they are written.
enum ToolReader {
    /// A list of functions, or a text that holds one in JSON.
    static func tools(_ value: JSONCursor?, at key: String) throws(RowFault) -> [Tool] {
        guard let value, !value.isNull, value.string != "" else { return [] }
        let list = value.kind == .string ? try parsed(value, at: key) : value
        guard let elements = list.array else {
            throw RowFault(key, list, expected: "a list of functions")
        }
        var tools: [Tool] = []
        for (index, element) in elements.enumerated() {
            let place = "\(key)[\(index)]"
            let outer = element.kind == .string ? try parsed(element, at: place) : element
            let function = outer["function"] ?? outer
            guard let name = function["name"]?.string, !name.isEmpty else {
                throw RowFault(place + ".name", function["name"], expected: "a function's name")
            }
            let parameters = function["parameters"].flatMap { $0.isNull ? nil : $0 }
            guard parameters.map({ $0.kind == .object }) ?? true else {
                throw RowFault(place + ".parameters", parameters, expected: "a JSON schema")
            }
            tools.append(
                Tool(
                    name: name, summary: try function.optionalText("description"),
                    parameters: parameters))
        }
        return tools
    }

    /// One call: `{"name", "arguments"}`, maybe as a text or under `function`.
    static func call(_ value: JSONCursor?, at place: String) throws(RowFault) -> ToolCall {
        guard let value else { throw RowFault(place, value, expected: "a call") }
        let outer = value.kind == .string ? try parsed(value, at: place) : value
        let function = outer["function"] ?? outer
        guard let name = function["name"]?.string, !name.isEmpty else {
            throw RowFault(place, value, expected: "a call with the function's name")
        }
        let arguments = function["arguments"] ?? function["parameters"]
        return ToolCall(
            id: try outer.optionalText("id") ?? "", name: name,
            arguments: arguments.map { $0.string ?? JSONOutput($0).description } ?? "{}")
    }

    /// Several calls in one text, as sharegpt has them: an object, or a list of objects.
    static func calls(_ value: JSONCursor?, at place: String) throws(RowFault) -> [ToolCall] {
        guard let value else { throw RowFault(place, value, expected: "a call") }
        let outer = value.kind == .string ? try parsed(value, at: place) : value
        guard let list = outer.array else { return [try call(outer, at: place)] }
        var calls: [ToolCall] = []
        for (index, element) in list.enumerated() {
            calls.append(try call(element, at: "\(place)[\(index)]"))
        }
        return calls
    }

    private static func parsed(_ value: JSONCursor, at place: String) throws(RowFault) -> JSONCursor
    {
        do throws(FormatError) {
            return try JSONDocument(bytes: Array((value.string ?? "").utf8), name: place).root
        } catch {
            throw RowFault(place, "\(value.brief), not JSON", expected: "JSON")
        }
    }
}
