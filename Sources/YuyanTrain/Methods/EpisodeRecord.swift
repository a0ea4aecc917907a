import YuyanFormats
import YuyanText

/// What was said in an answer with tools, as rewards and reports see it.
package struct EpisodeRecord: Sendable, Hashable {
    /// Turns of the model and messages of tools, behind the prompt.
    package var turns: [ChatTurn] = []
    /// Calls that tools answered, well or badly.
    package var callCount = 0
    /// Those of them that failed.
    package var failureCount = 0

    package init() {}

    /// Turns of the model.
    package var answerCount: Int { turns.count { $0.role == "assistant" } }
}

extension ChatTurn {
    /// The message as OpenAI's API has it.
    var output: JSONOutput {
        .fields([
            ("role", .string(role)), ("content", .text(content)),
            ("reasoning_content", reasoning.map { .string($0) }),
            ("tool_calls", calls.isEmpty ? nil : .array(calls.map(\.output))),
            ("name", name.map { .string($0) }), ("tool_call_id", callID.map { .string($0) }),
        ])
    }
}
