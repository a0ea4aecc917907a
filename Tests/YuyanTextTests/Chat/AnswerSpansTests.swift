import TestSupport
import Testing
import YuyanFormats

@testable import YuyanText

@Suite("Answer spans")
struct AnswerSpansTests {
    private func chat(
        _ source: String, _ turns: [ChatTurn], variables: [String: TemplateValue] = [:]
    ) throws -> RenderableChat {
        let renderer = ChatRenderer(
            tokenizer: try Tokenizer(directory: Goldens.path("tokenizers/qwen2")),
            template: try ChatTemplate(source: source))
        return renderer.conversation(turns, variables: variables)
    }

    private let dialogue = [
        ChatTurn(role: "system", content: "Be brief."), ChatTurn(role: "user", content: "One?"),
        ChatTurn(role: "assistant", content: "Yes"), ChatTurn(role: "user", content: "Yes"),
        ChatTurn(role: "assistant", content: "Two."),
    ]

    private func texts(_ answers: RenderedAnswers) -> [String] {
        let bytes = Array(answers.text.marked.utf8)
        return answers.spans.map { String(decoding: bytes[$0.bytes], as: UTF8.self) }
    }

    @Test("are what a prompt's rendering lacks, where prefixes are stable")
    func prefixes() throws {
        let answers = try chat(ChatFixture.chatML, dialogue).answers([2, 4])
        #expect(texts(answers) == ["Yes<|im_end|>\n", "Two.<|im_end|>\n"])
        #expect(answers.spans.map(\.method) == [.prefixes, .prefixes])
        #expect(answers.spans.map(\.turn) == [2, 4])
    }

    @Test("end with the stop token where history loses its reasoning")
    func rewrittenHistory() throws {
        let source = """
            {% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and \
            loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ m.content + '<|im_end|>\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
            """
        let answers = try chat(source, dialogue).answers([2, 4])
        #expect(
            texts(answers) == ["Yes<|im_end|>", "<think>\n\n</think>\n\nTwo.<|im_end|>\n"])
        #expect(answers.spans.map(\.method) == [.untilStop, .prefixes])
        #expect(AnswerSpan.Method.untilStop.explanation?.contains("mask_history") == true)
    }

    @Test("start where prompt and conversation part, if a prompt opens thoughts")
    func openedThoughts() throws {
        let source = """
            {% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}
            """
        let answers = try chat(source, dialogue).answers([2, 4])
        #expect(texts(answers) == ["Yes<|im_end|>\n", "Two.<|im_end|>\n"])
        #expect(answers.spans.map(\.method) == [.sharedStart, .sharedStart])
    }

    @Test("are searched where the whole prompt moves, each behind the one before")
    func movedSystem() throws {
        // The system message goes into the last user's, as some models of Mistral have it.
        let source = """
            {% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' }}{% if loop.last or \
            loop.index0 == messages|length - 2 %}{{ messages[0].content }}{% endif %}{{ m.content + \
            '[/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + m.content + '<|im_end|>' }}{% endif %}\
            {% endfor %}
            """
        let answers = try chat(source, dialogue).answers([2, 4])
        #expect(answers.spans.map(\.method) == [.search, .prefixes])
        #expect(texts(answers) == ["Yes<|im_end|>", " Two.<|im_end|>"])
    }

    @Test("that cannot be found are an error that names the turn")
    func missing() throws {
        let source =
            "{% for m in messages %}{{ m.content | upper + 'x' * messages|length }}{% endfor %}"
        #expect(throws: AnswerNotFound(turn: 3)) { try chat(source, dialogue).answers([2]) }
    }

    @Test("of a conversation that the template refuses are its error")
    func refusal() throws {
        let source = "{{ raise_exception('no ' + messages[0].role) }}"
        #expect(throws: TemplateError.self) { try chat(source, dialogue).answers([2]) }
    }

    @Test("need no conversation before the first answer")
    func startsWithAnswer() throws {
        let turns = [
            ChatTurn(role: "assistant", content: "Hello"), ChatTurn(role: "user", content: "Hi"),
        ]
        let answers = try chat(ChatFixture.chatML, turns).answers([0])
        #expect(texts(answers) == ["Hello<|im_end|>\n"])
    }
}

@Suite("Chat fingerprints")
struct ChatFingerprintTests {
    @Test("tell templates and tokenizers apart, and are the same for the same")
    func differences() throws {
        func fingerprint(_ tokenizer: String, _ source: String) throws -> String {
            ChatRenderer(
                tokenizer: try Tokenizer(directory: Goldens.path("tokenizers/" + tokenizer)),
                template: try ChatTemplate(source: source)
            ).fingerprint
        }
        let first = try fingerprint("qwen2", ChatFixture.chatML)
        #expect(first.utf8.count == 16)
        #expect(try fingerprint("qwen2", ChatFixture.chatML + "{# a comment #}") == first)
        #expect(try fingerprint("qwen2", ChatFixture.chatML + " ") != first)
        #expect(try fingerprint("smollm", ChatFixture.chatML) != first)
    }
}
