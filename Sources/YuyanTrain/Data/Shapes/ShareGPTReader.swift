import YuyanFormats
import YuyanText

/// Reads turns of `{"from", "value"}`, or whatever a data set calls them.
struct ShareGPTReader {
    let names: ShapeNames
    let roleKey: String
    let contentKey: String

    private enum Role {
        case system, user, assistant, observation, function
    }

    /// The turns of a conversation.
    ///
    /// As LLaMA-Factory asks for it, turns alternate after the system's: what the model is told
    /// (`human`, `observation`), then what it says (`gpt`, `function_call`).
    func turns(
        _ value: JSONCursor?, at key: String, system: String?, endsWithAnswer: Bool
    ) throws(RowFault) -> [TrainingTurn] {
        guard let list = value?.array else {
            throw RowFault(key, value, expected: "a list of turns")
        }
        var turns: [TrainingTurn] = []
        if let system, !system.isEmpty {
            turns.append(TrainingTurn(ChatTurn(role: "system", content: system)))
        }
        var isAnswerDue = false
        for (index, element) in list.enumerated() {
            let place = "\(key)[\(index)]"
            let role = try role(element, at: place)
            if role == .system, index == 0 {
                turns.removeAll()
                let text = try element.text(contentKey)
                if !text.isEmpty {
                    turns.append(TrainingTurn(ChatTurn(role: "system", content: text)))
                }
                continue
            }
            guard role != .system, (role == .assistant || role == .function) == isAnswerDue else {
                throw RowFault(
                    "\(place).\(roleKey)", element[roleKey],
                    expected: isAnswerDue
                        ? "the model's turn" : "the turn of a person or a function")
            }
            turns.append(try turn(element, at: place))
            isAnswerDue.toggle()
        }
        guard turns.contains(where: { $0.turn.role != "system" }) else {
            throw RowFault(key, "empty", expected: "turns")
        }
        guard isAnswerDue != endsWithAnswer else {
            throw RowFault(
                key, "a conversation that ends with \(isAnswerDue ? "a prompt" : "an answer")",
                expected: endsWithAnswer
                    ? "an answer at its end" : "a prompt, which is to be answered")
        }
        return turns
    }

    /// One turn.
    func turn(_ element: JSONCursor, at place: String) throws(RowFault) -> TrainingTurn {
        let role = try role(element, at: place)
        let key = "\(place).\(contentKey)"
        if role == .function {
            var turn = ChatTurn(role: "assistant", content: nil)
            turn.calls = try ToolReader.calls(element[contentKey], at: key)
            return TrainingTurn(turn)
        }
        guard let text = element[contentKey]?.string else {
            throw RowFault(key, element[contentKey], expected: "a turn's text")
        }
        guard !text.isEmpty || role == .observation else {
            throw RowFault(key, "empty", expected: "a turn's text")
        }
        let name = role == .observation ? "tool" : role == .assistant ? "assistant" : "user"
        return TrainingTurn(ChatTurn(role: name, content: text))
    }

    private func role(_ element: JSONCursor, at place: String) throws(RowFault) -> Role {
        guard let name = element[roleKey]?.string else {
            throw RowFault("\(place).\(roleKey)", element[roleKey], expected: "who speaks")
        }
        let tags: [(tag: String, standard: [String], role: Role)] = [
            ("user_tag", ["human", "user"], .user),
            ("assistant_tag", ["gpt", "assistant"], .assistant),
            ("observation_tag", ["observation", "tool"], .observation),
            ("function_tag", ["function_call"], .function), ("system_tag", ["system"], .system),
        ]
        for (tag, standard, role) in tags {
            if names.tags[tag].map({ $0 == name }) ?? standard.contains(name) { return role }
        }
        throw RowFault(
            "\(place).\(roleKey)", JSONOutput.string(name).description,
            expected: tags.map { names.tags[$0.tag] ?? $0.standard[0] }.joined(separator: ", "))
    }
}
