import YuyanFormats
import YuyanText

/// A row of a data set, whatever shape it was written in.
package enum DataRow: Sendable {
    /// Text to be learnt as it is; a passage may be a part of a longer text.
    case text(String, endsDocument: Bool)
    /// A conversation whose answers are learnt.
    case conversation(TrainingConversation)
    /// Plain texts without a chat template, of which the second is learnt.
    case completion(prompt: String, completion: String)
    /// Something to be answered by the model that is trained.
    case prompt(PromptRow)
    /// Two answers, of which one is better.
    case preference(PreferenceRow)
    /// An answer that is good or bad.
    case unpaired(UnpairedRow)
    /// An answer in steps, each right or wrong.
    case stepwise(StepwiseRow)
}

/// One turn, and what learning it counts for.
package struct TrainingTurn: Sendable, Hashable {
    package var turn: ChatTurn
    /// Factor of the loss on this turn, if it is the model's; nil is 1.
    package var weight: Float?

    package init(_ turn: ChatTurn, weight: Float? = nil) {
        self.turn = turn
        self.weight = weight
    }

    package var isAnswer: Bool { turn.role == "assistant" }
}

/// Turns and the functions that the model may call in them.
package struct TrainingConversation: Sendable {
    package var turns: [TrainingTurn]
    package var tools: [Tool] = []

    package init(turns: [TrainingTurn], tools: [Tool] = []) {
        self.turns = turns
        self.tools = tools
    }
}

/// A plain text, or turns of a conversation.
package enum Passage: Sendable, Hashable {
    case text(String)
    case turns([TrainingTurn])
}

/// A prompt, and the columns that reward functions see.
package struct PromptRow: Sendable {
    package var prompt: Passage
    package var tools: [Tool]
    package var columns: [(key: String, value: JSONCursor)]
}

/// A prompt and two answers.
package struct PreferenceRow: Sendable {
    package var prompt: Passage
    package var chosen: Passage
    package var rejected: Passage
    package var tools: [Tool]
    /// By how much the chosen one is better, for reward models.
    package var margin: Double?
}

/// A prompt and an answer with a verdict.
package struct UnpairedRow: Sendable {
    package var prompt: Passage
    package var completion: Passage
    package var isDesirable: Bool
    package var tools: [Tool]
}

/// A prompt and an answer whose steps have verdicts.
package struct StepwiseRow: Sendable, Hashable {
    package var prompt: String
    package var steps: [String]
    package var labels: [Bool]
}
