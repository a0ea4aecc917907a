import YuyanFormats
import YuyanText

/// Reads the rows of one file, which all have one shape.
struct RowParser: Sendable {
    let shape: DataShape
    let names: ShapeNames
    /// Whether rows are prompts, whatever answers they come with.
    var asksOnly = false

    /// Reads a row.
    ///
    /// - Throws: `RowFault` naming the column, what it holds and what was expected.
    func parse(_ fields: JSONCursor, endsDocument: Bool = true) throws(RowFault) -> DataRow {
        // A prompt with a column 'answer' looks like a question to be learnt with its answer.
        if asksOnly, let prompt = fields["prompt"], !prompt.isNull {
            return .prompt(try promptOnly(fields))
        }
        let row = try content(fields, endsDocument: endsDocument)
        return asksOnly ? .prompt(try asked(row, fields)) : row
    }

    private func content(
        _ fields: JSONCursor, endsDocument: Bool
    ) throws(RowFault) -> DataRow {
        switch shape.base {
        case .text:
            return .text(
                try fields.text(names.column("prompt", "text")), endsDocument: endsDocument)
        case .promptOnly:
            return .prompt(try promptOnly(fields))
        case .prompt:
            return try prompt(fields)
        case .chosen:
            return .preference(try implicitPreference(fields))
        case .alpaca:
            return try row(try alpaca(fields), fields)
        case .queryResponse:
            return try row(try queryResponse(fields), fields)
        case .pairs:
            return try row(try pairs(fields), fields)
        case .sharegpt:
            return try row(try sharegpt(fields), fields)
        case .messages:
            return try row(
                TrainingConversation(
                    turns: try MessageReader.turns(fields["messages"], at: "messages"),
                    tools: try tools(fields)), fields)
        }
    }

    // MARK: - What a conversation is for

    /// Turns a conversation, whose answer may be missing, into the row that its purpose asks for.
    private func row(
        _ conversation: TrainingConversation, _ fields: JSONCursor
    ) throws(RowFault) -> DataRow {
        var conversation = conversation
        switch shape.purpose {
        case .learning:
            // ms-swift writes texts to be learnt as a single answer.
            if shape.base == .messages, conversation.turns.count == 1,
                let only = conversation.turns.first, only.isAnswer, only.turn.calls.isEmpty
            {
                return .text(only.turn.content ?? "", endsDocument: true)
            }
            return .conversation(conversation)
        case .preference:
            let (chosen, rejected) = try answers(&conversation, fields)
            return .preference(
                PreferenceRow(
                    prompt: .turns(conversation.turns), chosen: .turns(chosen),
                    rejected: .turns(rejected), tools: conversation.tools,
                    margin: try fields.margin()))
        case .unpaired:
            let tag = names.columns["kto_tag"] ?? (fields["kto_tag"] == nil ? "label" : "kto_tag")
            guard let isDesirable = fields[tag]?.bool else {
                throw RowFault(tag, fields[tag], expected: "true or false")
            }
            let answer = try takeAnswer(&conversation)
            return .unpaired(
                UnpairedRow(
                    prompt: .turns(conversation.turns), completion: .turns(answer),
                    isDesirable: isDesirable, tools: conversation.tools))
        case .stepwise:
            throw RowFault("completions", "beside turns", expected: "a prompt beside them")
        }
    }

    /// The better and the worse answer; what is left of the conversation is their prompt.
    private func answers(
        _ conversation: inout TrainingConversation, _ fields: JSONCursor
    ) throws(RowFault) -> (chosen: [TrainingTurn], rejected: [TrainingTurn]) {
        let (chosen, rejected) = (
            names.column("chosen", "chosen"), names.column("rejected", "rejected")
        )
        if fields[chosen] != nil, fields[rejected] != nil {
            return (
                try answer(fields[chosen], at: chosen), try answer(fields[rejected], at: rejected)
            )
        }
        let own = try takeAnswer(&conversation)
        if let text = fields["rejected_response"], !text.isNull {
            return (own, try answer(text, at: "rejected_response"))
        }
        let other = try MessageReader.turns(fields["rejected_messages"], at: "rejected_messages")
        guard let start = other.lastIndex(where: { !$0.isAnswer }), start + 1 < other.count else {
            throw RowFault("rejected_messages", "without a last answer", expected: "one")
        }
        return (own, Array(other[(start + 1)...]))
    }

    /// Takes the answers at the end of a conversation off.
    private func takeAnswer(
        _ conversation: inout TrainingConversation
    ) throws(RowFault) -> [TrainingTurn] {
        let start = (conversation.turns.lastIndex { !$0.isAnswer } ?? -1) + 1
        guard start > 0, start < conversation.turns.count else {
            throw RowFault(
                "the conversation", "without a last answer", expected: "one after a prompt")
        }
        defer { conversation.turns.removeSubrange(start...) }
        return Array(conversation.turns[start...])
    }

    /// An answer as a text, a turn of sharegpt, or messages.
    private func answer(
        _ value: JSONCursor?, at key: String
    ) throws(RowFault) -> [TrainingTurn] {
        let turns: [TrainingTurn]
        if let text = value?.string {
            turns = [TrainingTurn(ChatTurn(role: "assistant", content: text))]
        } else if let value, value.kind == .object {
            let role = names.tag("role_tag", value["from"] == nil ? "role" : "from")
            let content = names.tag("content_tag", value["value"] == nil ? "content" : "value")
            let reader = ShareGPTReader(names: names, roleKey: role, contentKey: content)
            turns = [try reader.turn(value, at: key)]
        } else {
            turns = try MessageReader.turns(value, at: key)
        }
        guard turns.allSatisfy(\.isAnswer), let last = turns.last, last.turn.isSaying else {
            throw RowFault(key, value, expected: "an answer that is not empty")
        }
        return turns
    }

    // MARK: - Where the turns are

    private func alpaca(_ fields: JSONCursor) throws(RowFault) -> TrainingConversation {
        let instruction = try fields.text(names.column("prompt", "instruction"))
        let input = try fields.optionalText(names.column("query", "input")) ?? ""
        let query = [instruction, input].filter { !$0.isEmpty }.joined(separator: "\n")
        let needsAnswer = shape.purpose != .preference
        let key = names.column("response", "output")
        return try turns(
            system: try fields.optionalText(names.column("system", "system")),
            history: fields[names.column("history", "history")], query: (query, "instruction"),
            response: needsAnswer ? (try fields.text(key), key) : nil, tools: try tools(fields))
    }

    private func queryResponse(_ fields: JSONCursor) throws(RowFault) -> TrainingConversation {
        let keys = Set((fields.entries ?? []).filter { !$0.value.isNull }.map(\.key))
        guard let (query, response) = DataShape.queryResponse(keys) else {
            throw RowFault("the row", "without query or response", expected: "both")
        }
        return try turns(
            system: try fields.optionalText("system"), history: fields["history"],
            query: (try fields.text(query), query),
            response: (try fields.text(response), response), tools: try tools(fields))
    }

    private func turns(
        system: String?, history: JSONCursor?, query: (text: String, key: String),
        response: (text: String, key: String)?, tools: [Tool]
    ) throws(RowFault) -> TrainingConversation {
        var turns: [TrainingTurn] = []
        func add(_ role: String, _ text: String, _ key: String) throws(RowFault) {
            guard !text.isEmpty else { throw RowFault(key, "empty", expected: "a turn's text") }
            turns.append(TrainingTurn(ChatTurn(role: role, content: text)))
        }
        if let system, !system.isEmpty { try add("system", system, "system") }
        if let history, !history.isNull {
            guard let pairs = history.array else {
                throw RowFault("history", history, expected: "a list of pairs")
            }
            for (index, pair) in pairs.enumerated() {
                let key = "history[\(index)]"
                guard pair.count == 2, let question = pair[0]?.string, let answer = pair[1]?.string
                else { throw RowFault(key, pair, expected: "a question and an answer") }
                try add("user", question, key + "[0]")
                try add("assistant", answer, key + "[1]")
            }
        }
        try add("user", query.text, query.key)
        if let response { try add("assistant", response.text, response.key) }
        return TrainingConversation(turns: turns, tools: tools)
    }

    private func pairs(_ fields: JSONCursor) throws(RowFault) -> TrainingConversation {
        guard let list = fields["conversation"]?.array else {
            throw RowFault("conversation", fields["conversation"], expected: "a list of pairs")
        }
        var turns: [TrainingTurn] = []
        if let system = try fields.optionalText("system"), !system.isEmpty {
            turns.append(TrainingTurn(ChatTurn(role: "system", content: system)))
        }
        for (index, pair) in list.enumerated() {
            for (key, role) in [("human", "user"), ("assistant", "assistant")] {
                guard let text = pair[key]?.string, !text.isEmpty else {
                    throw RowFault(
                        "conversation[\(index)].\(key)", pair[key], expected: "a turn's text")
                }
                turns.append(TrainingTurn(ChatTurn(role: role, content: text)))
            }
        }
        guard !turns.isEmpty else { throw RowFault("conversation", "empty", expected: "turns") }
        return TrainingConversation(turns: turns, tools: try tools(fields))
    }

    private func sharegpt(_ fields: JSONCursor) throws(RowFault) -> TrainingConversation {
        let reader = ShareGPTReader(
            names: names, roleKey: names.tag("role_tag", "from"),
            contentKey: names.tag("content_tag", "value"))
        let key = names.column("messages", "conversations")
        let turns = try reader.turns(
            fields[key], at: key,
            system: try fields.optionalText(names.column("system", "system")),
            endsWithAnswer: shape.purpose != .preference)
        return TrainingConversation(turns: turns, tools: try tools(fields))
    }

    private func tools(_ fields: JSONCursor) throws(RowFault) -> [Tool] {
        let key = names.column("tools", "tools")
        return try ToolReader.tools(fields[key], at: key)
    }
}

extension ChatTurn {
    /// Whether there is anything in the turn.
    var isSaying: Bool { !(content ?? "").isEmpty || !calls.isEmpty }
}

extension JSONCursor {
    /// The text of a column that must be there.
    func text(_ key: String) throws(RowFault) -> String {
        guard let text = self[key]?.string else {
            throw RowFault(key, self[key], expected: "a text")
        }
        return text
    }

    /// The text of a column that may be missing or null.
    func optionalText(_ key: String) throws(RowFault) -> String? {
        guard let value = self[key], !value.isNull else { return nil }
        guard let text = value.string else { throw RowFault(key, value, expected: "a text") }
        return text
    }

    /// By how much the chosen answer is better, in units of a score that is a Float.
    func margin() throws(RowFault) -> Double? {
        guard let margin = try number("margin") else { return nil }
        guard abs(margin) <= 1e6 else {
            throw RowFault("margin", self["margin"], expected: "a number from -1e6 to 1e6")
        }
        return margin
    }

    /// The number of a column that may be missing or null.
    func number(_ key: String) throws(RowFault) -> Double? {
        guard let value = self[key], !value.isNull else { return nil }
        guard let number = value.double else { throw RowFault(key, value, expected: "a number") }
        return number
    }
}
