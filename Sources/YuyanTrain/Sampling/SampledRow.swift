import YuyanFormats
import YuyanText

// Rows of answers to a prompt, for other runs to learn from.

extension PromptColumns {
    /// The prompt with an answer, as `stage: sft` reads it: messages, or prompt and completion.
    ///
    /// Earlier answers of a conversation get the weight 0: only the new one is learnt.
    ///
    /// - Parameter reward: Nil leaves the column out.
    func learnable(_ answer: String, reward: Double?) -> JSONOutput {
        var entries: [(String, JSONOutput?)]
        switch prompt {
        case .text(let text):
            entries = [("prompt", .string(text)), ("completion", .string(answer))]
        case .turns(let turns):
            let asked = turns.map { turn in
                MessageWriter.message(turn.turn, weight: turn.isAnswer ? 0 : nil)
            }
            entries = [("messages", .array(asked + [Self.message(answer)]))]
        }
        entries.append(("tools", toolsColumn))
        entries += ownColumns
        entries.append(("reward", reward.map { .double($0) }))
        return .fields(entries)
    }

    /// The prompt with a better and a worse answer, as `stage: dpo` and `rm` read it.
    func preference(
        chosen: (text: String, reward: Double), rejected: (text: String, reward: Double)
    ) -> JSONOutput {
        var entries: [(String, JSONOutput?)]
        switch prompt {
        case .text(let text):
            entries = [
                ("prompt", .string(text)), ("chosen", .string(chosen.text)),
                ("rejected", .string(rejected.text)),
            ]
        case .turns(let turns):
            entries = [
                ("prompt", .array(turns.map { MessageWriter.message($0.turn) })),
                ("chosen", [Self.message(chosen.text)]),
                ("rejected", [Self.message(rejected.text)]),
            ]
        }
        entries.append(("tools", toolsColumn))
        entries += ownColumns
        entries.append(("chosen_reward", .double(chosen.reward)))
        entries.append(("rejected_reward", .double(rejected.reward)))
        return .fields(entries)
    }

    private static func message(_ answer: String) -> JSONOutput {
        MessageWriter.message(ChatTurn(role: "assistant", content: answer))
    }

    private var toolsColumn: JSONOutput? { tools.isEmpty ? nil : MessageWriter.tools(tools) }

    /// The row's columns but those that would give the new row another shape.
    private var ownColumns: [(String, JSONOutput?)] {
        columns.filter { !Self.shapingColumns.contains($0.key) }
            .map { ($0.key, JSONOutput(copying: $0.value)) }
    }

    /// What tells readers how a row is meant, and the columns that are written here.
    private static let shapingColumns: Set<String> = [
        "messages", "conversations", "conversation", "instruction", "prompt", "completion",
        "completions", "labels", "label", "kto_tag", "chosen", "rejected", "chosen_messages",
        "rejected_messages", "rejected_response", "positive_messages", "negative_messages",
        "margin", "images", "videos", "audios", "tools", "reward", "chosen_reward",
        "rejected_reward",
    ]
}

extension Passage {
    /// Whether it is turns, not a text.
    var isConversation: Bool { if case .turns = self { true } else { false } }
}
