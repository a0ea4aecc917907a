import YuyanEngine
import YuyanFormats
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The system's exponential function, for figures that are only shown.
func exponential(_ x: Double) -> Double { exp(x) }

/// Turns prompts and continuations into tokens, by lm-eval's rules.
struct Prompter: Sendable {
    private let task: EvaluationTask
    private let tokenizer: Tokenizer
    private let template: ChatTemplate?
    private let delimiter: String

    init(_ task: EvaluationTask, tokenizer: Tokenizer) throws {
        self.task = task
        self.tokenizer = tokenizer
        guard task.appliesChatTemplate else {
            template = nil
            delimiter = task.targetDelimiter
            return
        }
        guard let source = tokenizer.chatTemplate else {
            throw EvaluationTaskError.noChatTemplate
        }
        template = try ChatTemplate(source: source, name: "chat template")
        // The template ends where the answer begins.
        delimiter = ""
    }

    /// The whole prompt of a row.
    func prompt(_ text: String) throws -> String {
        let text = task.description + text
        guard let template else { return text }
        var messages = [ChatMessage(role: "user", content: text)]
        if let system = task.systemInstruction {
            messages.insert(ChatMessage(role: "system", content: system), at: 0)
        }
        var variables: [String: TemplateValue] = [:]
        if let id = tokenizer.beginningOfSequence {
            variables["bos_token"] = .string(tokenizer.text(of: id))
        }
        if let id = tokenizer.endOfSequence {
            variables["eos_token"] = .string(tokenizer.text(of: id))
        }
        return try template.render(
            messages: messages.map(\.templateValue), tools: nil, addGenerationPrompt: true,
            variables: variables)
    }

    /// The tokens of a prompt. Special tokens in it count as such.
    func tokens(_ prompt: String) -> [Int32] {
        tokenizer.encode(prompt, parseSpecial: true, addSpecial: addsSpecial(prompt))
    }

    /// A prompt and a continuation as one sequence, of which the continuation's tokens are scored.
    ///
    /// White space at the prompt's end goes to the continuation, since words begin with their space;
    /// both are cut into tokens together, and the tokens behind the prompt's number are scored.
    func sequence(_ prompt: String, _ continuation: String) -> ScoredSequence {
        var continuation = delimiter + continuation
        var prompt = prompt
        let kept = prompt.unicodeScalars.reversed().drop { $0.properties.isWhitespace }.count
        let spaces = prompt.unicodeScalars.count - kept
        if spaces > 0 {
            continuation = String(prompt.unicodeScalars.suffix(spaces)) + continuation
            prompt = String(prompt.unicodeScalars.prefix(kept))
        }
        guard !prompt.isEmpty else {
            let prefix = tokenizer.beginningOfSequence ?? tokenizer.endOfSequence ?? 0
            return ScoredSequence(
                tokens: [prefix]
                    + tokenizer.encode(continuation, parseSpecial: true, addSpecial: false),
                firstScored: 1)
        }
        let whole = tokens(prompt + continuation)
        let first = min(max(1, tokens(prompt).count), whole.count)
        return ScoredSequence(tokens: whole, firstScored: first)
    }

    /// A rendered template, or a text that begins so, has its beginning already.
    private func addsSpecial(_ text: String) -> Bool {
        guard template == nil else { return false }
        guard let id = tokenizer.beginningOfSequence else { return true }
        return !text.hasPrefix(tokenizer.text(of: id))
    }
}
