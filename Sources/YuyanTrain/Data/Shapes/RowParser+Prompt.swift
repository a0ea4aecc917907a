import YuyanFormats
import YuyanText

// The shapes of TRL, whose texts are plain, and whose messages are conversations.

extension RowParser {
    func promptOnly(_ fields: JSONCursor) throws(RowFault) -> PromptRow {
        let prompt = try passage(fields["prompt"], at: "prompt")
        let columns = (fields.entries ?? []).filter { $0.key != "prompt" && $0.key != "tools" }
        return PromptRow(
            prompt: prompt, tools: try ToolReader.tools(fields["tools"], at: "tools"),
            columns: columns)
    }

    /// The prompt of a row that has an answer; its columns stay in sight of reward functions.
    func asked(_ row: DataRow, _ fields: JSONCursor) throws(RowFault) -> PromptRow {
        let columns = fields.entries ?? []
        switch row {
        case .prompt(let row): return row
        case .completion(let prompt, _):
            return PromptRow(prompt: .text(prompt), tools: [], columns: columns)
        case .text(let text, _):
            return PromptRow(prompt: .text(text), tools: [], columns: columns)
        case .conversation(let conversation):
            var turns = conversation.turns
            if turns.last?.isAnswer == true { turns.removeLast() }
            guard !turns.isEmpty else {
                throw RowFault("the row", "an answer only", expected: "a prompt before it")
            }
            return PromptRow(
                prompt: .turns(turns), tools: conversation.tools, columns: columns)
        case .preference(let row):
            return PromptRow(prompt: row.prompt, tools: row.tools, columns: columns)
        case .unpaired(let row):
            return PromptRow(prompt: row.prompt, tools: row.tools, columns: columns)
        case .stepwise(let row):
            return PromptRow(prompt: .text(row.prompt), tools: [], columns: columns)
        }
    }

    func prompt(_ fields: JSONCursor) throws(RowFault) -> DataRow {
        let tools = try ToolReader.tools(fields["tools"], at: "tools")
        let prompt = try passage(fields["prompt"], at: "prompt")
        switch shape.purpose {
        case .stepwise:
            return .stepwise(try stepwise(fields))
        case .preference:
            let chosen = try passage(fields["chosen"], at: "chosen")
            let rejected = try passage(fields["rejected"], at: "rejected")
            try checkKinds(prompt, chosen, at: "chosen", fields)
            try checkKinds(prompt, rejected, at: "rejected", fields)
            return .preference(
                PreferenceRow(
                    prompt: prompt, chosen: chosen, rejected: rejected, tools: tools,
                    margin: try fields.margin()))
        case .unpaired, .learning:
            let completion = try passage(fields["completion"], at: "completion")
            try checkKinds(prompt, completion, at: "completion", fields)
            if shape.purpose == .unpaired {
                guard let isDesirable = fields["label"]?.bool else {
                    throw RowFault("label", fields["label"], expected: "true or false")
                }
                return .unpaired(
                    UnpairedRow(
                        prompt: prompt, completion: completion, isDesirable: isDesirable,
                        tools: tools))
            }
            switch (prompt, completion) {
            case (.turns(let given), .turns(let answer)):
                // Only the completion is learnt, whoever speaks in the prompt.
                let read = given.map { TrainingTurn($0.turn, weight: 0) }
                return .conversation(TrainingConversation(turns: read + answer, tools: tools))
            case (.text(let given), .text(let answer)):
                return .completion(prompt: given, completion: answer)
            default: throw RowFault("completion", "of another type", expected: "that of the prompt")
            }
        }
    }

    /// Two whole conversations; what they share at the start is the prompt.
    func implicitPreference(_ fields: JSONCursor) throws(RowFault) -> PreferenceRow {
        let isLong = fields["chosen_messages"].map { !$0.isNull } ?? false
        let (better, worse) =
            isLong ? ("chosen_messages", "rejected_messages") : ("chosen", "rejected")
        let chosen = try MessageReader.turns(fields[better], at: better)
        let rejected = try MessageReader.turns(fields[worse], at: worse)
        // The last turns are answers even if they are equal.
        let limit = min(chosen.count, rejected.count) - 1
        var shared = 0
        while shared < limit, chosen[shared].turn == rejected[shared].turn { shared += 1 }
        guard shared > 0 else {
            throw RowFault(
                worse, "without a turn in common with '\(better)'",
                expected: "the same prompt in both, or a column 'prompt'")
        }
        return PreferenceRow(
            prompt: .turns(Array(chosen[..<shared])), chosen: .turns(Array(chosen[shared...])),
            rejected: .turns(Array(rejected[shared...])),
            tools: try ToolReader.tools(fields["tools"], at: "tools"),
            margin: try fields.margin())
    }

    private func stepwise(_ fields: JSONCursor) throws(RowFault) -> StepwiseRow {
        let steps = fields["completions"]?.array?.compactMap(\.string) ?? []
        let labels = fields["labels"]?.array?.compactMap(\.bool) ?? []
        guard !steps.isEmpty, steps.count == fields["completions"]?.count else {
            throw RowFault("completions", fields["completions"], expected: "a list of texts")
        }
        guard labels.count == fields["labels"]?.count, labels.count == steps.count else {
            throw RowFault(
                "labels", fields["labels"], expected: "\(steps.count) times true or false")
        }
        return StepwiseRow(prompt: try fields.text("prompt"), steps: steps, labels: labels)
    }

    private func passage(_ value: JSONCursor?, at key: String) throws(RowFault) -> Passage {
        if let text = value?.string {
            guard !text.isEmpty else { throw RowFault(key, "empty", expected: "a text") }
            return .text(text)
        }
        return .turns(try MessageReader.turns(value, at: key))
    }

    private func checkKinds(
        _ prompt: Passage, _ other: Passage, at key: String, _ fields: JSONCursor
    ) throws(RowFault) {
        switch (prompt, other) {
        case (.text, .text): return
        case (.turns, .turns(let turns)):
            guard turns.contains(where: \.isAnswer) else {
                throw RowFault(key, fields[key], expected: "messages with an answer")
            }
        case (.text, .turns):
            throw RowFault(key, fields[key], expected: "a text, as the prompt is one")
        case (.turns, .text):
            throw RowFault(key, fields[key], expected: "messages, as the prompt has them")
        }
    }
}
