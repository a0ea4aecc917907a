import ArgumentParser
import YuyanEngine
import YuyanFormats
import YuyanText

struct Chat: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talk with a model.",
        discussion: """
            Example: yuyan chat --model smollm2-135m --system "Answer in one sentence."

            On a terminal: type a message; Ctrl-C stops the answer, Ctrl-D ends. Commands:
            \(ChatInput.list)
            From a pipe or file, every line is a message (or a command), and answers go to stdout.

            With --json, stdin holds requests, one after the other: a list of messages, or an object \
            {"messages": [{"role": "user", "content": "..."}], "tools": [...], "max_tokens": N, \
            "temperature": X, "top_p": X, "seed": N} of which only "messages" is needed. For each, one \
            line is printed: {"message": {"role": "assistant", "content": "..."}, "prompt_tokens": \
            [id], "cached_tokens": N, "tokens": [id], "finish_reason": "stop" or "length", "timings": \
            {"prefill_tok_s", "decode_tok_s", "first_token_s", "peak_rss_bytes"}}.

            Chat samples by default at temperature 0.6 with top-p 0.9: lively, yet small models stay on \
            their subject. The same seed and the same messages give the same answers. What earlier \
            turns left in the cache is not computed again.
            """)

    @Option(help: "A GGUF file, a Hugging Face directory, or a cached name.")
    var model: String
    @Option(help: "A LoRA adapter for the model: a directory that PEFT saved.")
    var adapter: String?
    @Option(help: "System message; the template's own by default.")
    var system: String?
    @Option(help: "Most tokens to an answer.")
    var maxTokens = 1024
    @Flag(help: "Read requests as JSON and print one object per answer.")
    var json = false
    @OptionGroup var sampling: SamplingOptions
    @OptionGroup var cache: CacheOptions
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard maxTokens >= 1 else {
            throw ValidationError("--max-tokens is \(maxTokens); use at least 1.")
        }
        try sampling.check(maxTokens: maxTokens)
    }

    func run() throws {
        let chosen = try sampling.parameters(maxTokens: maxTokens, defaults: (0.6, 0.9))
        let loaded = try LoadedModel(model, device: compute.device())
        let conversation = Conversation(
            model: loaded, session: try loaded.session(cache, adapter: adapter), system: system,
            parameters: sampling.breaking(chosen, tokenizer: loaded.tokenizer))
        if json {
            try answerRequests(conversation)
        } else {
            try talk(conversation)
        }
    }

    private func talk(_ conversation: Conversation) throws {
        let isTerminal = Terminal.inputIsTerminal && Terminal.outputIsTerminal
        if isTerminal {
            Interrupts.catchAll()
            Terminal.report("\(conversation.model.path): /help lists the commands, Ctrl-D ends")
        }
        var loop = ChatLoop(
            conversation: conversation, show: { Terminal.write($0) },
            report: { Terminal.report($0) })
        var reader = LineReader()
        while true {
            if isTerminal { Terminal.write("> ") }
            switch try reader.next() {
            case .text(let line):
                guard try loop.handle(line) else { return }
            case .interrupted:
                Terminal.write("\n")
                Terminal.report("(Ctrl-D or /quit ends)")
            case .end:
                if isTerminal { Terminal.write("\n") }
                return
            }
        }
    }

    private func answerRequests(_ conversation: Conversation) throws {
        var reader = LineReader()
        var splitter = JSONSplitter()
        var count = 0
        func answer(_ text: String) throws {
            count += 1
            let request = try ChatRequest(text, name: "standard input, request \(count)")
            let answer = try conversation.answer(request) { _ in }
            Terminal.write(answer.json.description + "\n")
        }
        while case .text(let line) = try reader.next() {
            if let text = splitter.append(line) { try answer(text) }
        }
        if let rest = splitter.rest { try answer(rest) }
        guard count > 0 else {
            throw CommandError.badArgument(
                "standard input holds no request; expected {\"messages\": [...]} or [...]")
        }
    }
}
