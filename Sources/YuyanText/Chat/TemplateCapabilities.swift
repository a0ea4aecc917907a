/// What a chat template does by itself, read off its source.
package struct TemplateCapabilities: Sendable {
    /// Whether it writes the descriptions of tools into the prompt.
    package let rendersTools: Bool
    /// Whether its model thinks between `<think>` and `</think>` before it answers.
    package let thinks: Bool
    /// Whether `enable_thinking` turns that off.
    package let switchesThinking: Bool

    package init(_ template: ChatTemplate?) {
        let source = template?.source ?? ""
        rendersTools = source.containsText("tools")
        thinks = source.containsText("<think>")
        switchesThinking = source.containsText("enable_thinking")
    }
}
