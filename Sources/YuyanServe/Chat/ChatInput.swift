import YuyanEngine
import YuyanText

/// A request for an answer in a conversation, in no dialect: what all chat endpoints become.
struct ChatInput: Sendable {
    /// The model or adapter asked for; nil for the model that is served.
    var model: String?
    var turns: [ChatTurn]
    var tools: [Tool] = []
    var choice = ToolChoice.auto
    var isParallel = true
    var parameters: SamplingParameters
    var sampleCount = 1
    var constraint: FieldConstraint?
    var promptLogProbabilities: Int?
    var priority = 0
    var cacheSalt = ""
    /// Index of an adapter in `/lora-adapters`, in llama.cpp's way.
    var adapterIndex: Int?
    var skipsSpecial = true
    var reasoning: ServiceConfiguration.ReasoningFormat?
    var addsGenerationPrompt = true
    /// Whether the last message is to be continued instead of answered.
    var continuesFinal = false
    /// Names for the template: `enable_thinking`, `documents` and the like.
    var variables: [String: TemplateValue] = [:]
    /// Keeps only so many of the prompt's last tokens; nil refuses what is too long.
    var truncation: Int?
}

/// A chat request that is ready for the engine, and what its answer's text needs.
struct ChatJob: Sendable {
    var request: GenerationRequest
    /// The name of what answers: the model's or an adapter's.
    var model: String
    var skipsSpecial: Bool
    var reasoning: AnswerParser.Reasoning
    /// The tools whose calls are looked for; empty for none.
    var toolNames: Set<String>
    var toolFormat: ToolFormat
    var truncatedTokens: Int
}
