import YuyanFormats
import YuyanText

// Rows of answers to a prompt, for other runs to learn from.

extension PromptColumns {
    /// The prompt with an answer, as `stage: sft` reads it: messages, or prompt and completion.
    ///
    /// Earlier answers of a conversation get the weight 0: only the new one is learnt.
    ///
    /// - Parameter reward: Nil leaves the column out.
    func learnable(_ answer: SampledAnswer, reward: Double?) -> JSONOutput {
        var entries: [(String, JSONOutput?)]
        switch prompt {
        case .text(let text):
            entries = [("prompt", .string(text)), ("completion", .string(answer.text))]
        case .turns(let turns):
            let asked = turns.map { turn in
                MessageWriter.message(turn.turn, weight: turn.isAnswer ? 0 : nil)
            }
            entries = [("messages", .array(asked + Self.messages(answer)))]
        }
        entries.append(("tools", toolsColumn))
        entries += ownColumns
        entries.append(("reward", reward.map { .double($0) }))
        return .fields(entries)
    }

    /// The prompt with a better and a worse answer, as `stage: dpo` and `rm` read it.
    func preference(
        chosen: (answer: SampledAnswer, reward: Double),
        rejected: (answer: SampledAnswer, reward: Double)
    ) -> JSONOutput {
        var entries: [(String, JSONOutput?)]
        switch prompt {
        case .text(let text):
            entries = [
                ("prompt", .string(text)), ("chosen", .string(chosen.answer.text)),
                ("rejected", .string(rejected.answer.text)),
            ]
        case .turns(let turns):
            entries = [
                ("prompt", .array(turns.map { MessageWriter.message($0.turn) })),
                ("chosen", .array(Self.messages(chosen.answer))),
                ("rejected", .array(Self.messages(rejected.answer))),
            ]
        }
        entries.append(("tools", toolsColumn))
        entries += ownColumns
        entries.append(("chosen_reward", .double(chosen.reward)))
        entries.append(("rejected_reward", .double(rejected.reward)))
        return .fields(entries)
    }

    private static func messages(_ answer: SampledAnswer) -> [JSONOutput] {
        answer.turns.map { MessageWriter.message($0) }
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
