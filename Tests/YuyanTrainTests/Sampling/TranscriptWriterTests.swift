import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

@Suite("Answers with tools as messages")
struct TranscriptWriterTests {
    private let tokenizer: Tokenizer
    private let template: ChatTemplate
    private let writer: TranscriptWriter
    private static let source = SampleSource(file: "d.jsonl", row: 3)

    init() throws {
        tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/smollm"))
        template = try ChatTemplate(
            source: MappedFile(
                path: Goldens.path("templates/Qwen2.5-Coder-0.5B-Instruct.jinja")
            ).text)
        writer = TranscriptWriter(
            Recipe(), tokenizer: tokenizer, template: template, vocabularySize: .max)
    }

    private static func turn(_ role: String, _ content: String, calls: [ToolCall] = []) -> ChatTurn
    {
        var turn = ChatTurn(role: role, content: content)
        turn.calls = calls
        return turn
    }

    private static func result(_ content: String) -> ChatTurn {
        var turn = turn("tool", content)
        (turn.name, turn.callID) = ("calculator", "call_0_0")
        return turn
    }

    private static let call = ToolCall(
        id: "call_0_0", name: "calculator", arguments: #"{"expression": "2+2"}"#)

    /// What stands behind the prompt if the model calls as its template writes calls.
    private static let called = [
        turn("assistant", "", calls: [call]), result("4"), turn("assistant", "It is 4."),
    ]

    private var row: PromptColumns {
        var row = PromptColumns(text: "What is 2+2?", columns: [])
        row.prompt = .turns([TrainingTurn(Self.turn("user", "What is 2+2?"))])
        row.tools = [Calculator().offer]
        return row
    }

    /// The tokens of some turns behind the prompt, as a model would have written and read them.
    private func sampled(_ turns: [ChatTurn]) throws -> (prompt: [Int32], answer: WrittenAnswer) {
        var options = DataOptions()
        options.stage = .supervised
        let renderer = SampleRenderer(
            tokenizer: tokenizer, chat: ChatRenderer(tokenizer: tokenizer, template: template),
            options: options)
        let asked = TrainingTurn(Self.turn("user", "What is 2+2?"))
        let rendered = try renderer.conversation(
            TrainingConversation(
                turns: [asked] + turns.map { TrainingTurn($0) }, tools: row.tools), Self.source, 1,
            "messages")
        let sample = try #require(rendered.samples.first)
        let length = try #require(sample.weights.firstIndex { $0 != 0 })
        var answer = WrittenAnswer()
        for (token, weight) in zip(sample.tokens, sample.weights).dropFirst(length) {
            if weight == 0 {
                answer.append(read: [token], version: 0)
            } else {
                answer.append(token, logProbability: -1, support: [], version: 0)
            }
        }
        answer.hasEnded = true
        return (Array(sample.tokens[..<length]), answer)
    }

    private func turns(
        _ answer: WrittenAnswer, _ said: [ChatTurn], behind prompt: [Int32]
    ) -> [ChatTurn]? {
        var answer = answer
        var record = EpisodeRecord()
        record.turns = said
        answer.episode = record
        return writer.turns(of: answer, behind: prompt, row, Self.source)
    }

    @Test("calls that the template writes as the model did are calls")
    func structured() throws {
        let (prompt, answer) = try sampled(Self.called)
        #expect(answer.writtenRuns.count == 2)
        let text = tokenizer.decode(answer.writtenRuns[0])
        #expect(text.contains("<tool_call>") && text.hasSuffix("<|im_end|>"), "\(text)")
        #expect(turns(answer, Self.called, behind: prompt) == Self.called)

        let line = row.learnable(SampledAnswer(text: "", turns: Self.called), reward: 1)
            .description
        let root = try JSONDocument(bytes: Array(line.utf8), name: "row").root
        #expect(root.entries?.map(\.key) == ["messages", "tools", "reward"])
        let messages = try root.array("messages").map { $0 }
        #expect(messages.map { $0["role"]?.string } == ["user", "assistant", "tool", "assistant"])
        #expect(try messages[1].array("tool_calls").count == 1)
        #expect(try messages[2].string("content") == "4")
    }

    @Test("a call in other words stays in its turn's content")
    func verbatim() throws {
        let text = """
            <tool_call>{"name":"calculator","arguments":{"expression":"2+2"}}</tool_call>
            """
        let written = [Self.turn("assistant", text)] + Self.called.dropFirst()
        let (prompt, answer) = try sampled(written)
        var call = Self.call
        call.arguments = #"{"expression":"2+2"}"#
        let said = [Self.turn("assistant", "", calls: [call])] + Self.called.dropFirst()
        let found = try #require(turns(answer, said, behind: prompt))
        #expect(found[0].calls.isEmpty && found[0].content == text)
        #expect(Array(found.dropFirst()) == Array(Self.called.dropFirst()))
    }

    @Test("what no row would render to is none")
    func unfaithful() throws {
        let (prompt, answer) = try sampled(Self.called)
        // The tool said something else than the model read.
        let other = [Self.called[0], Self.result("5"), Self.called[2]]
        #expect(turns(answer, other, behind: prompt) == nil)
        // The model was asked something else.
        #expect(turns(answer, Self.called, behind: Array(prompt.dropLast())) == nil)
        // A part that was read would be learnt.
        var learnt = WrittenAnswer(
            tokens: answer.tokens, logProbabilities: answer.logProbabilities,
            supports: answer.supports, hasEnded: true, weightVersions: answer.weightVersions)
        #expect(turns(learnt, Self.called, behind: prompt) == nil)
        learnt.hasEnded = false
        #expect(turns(learnt, Self.called, behind: prompt) == nil)
    }

    @Test("an answer that was cut is a row that ends it")
    func cut() throws {
        let (prompt, whole) = try sampled(Self.called)
        var answer = WrittenAnswer()
        for (token, isWritten) in zip(whole.tokens, whole.isWritten).dropLast() {
            if isWritten {
                answer.append(token, logProbability: -1, support: [], version: 0)
            } else {
                answer.append(read: [token], version: 0)
            }
        }
        #expect(turns(answer, Self.called, behind: prompt) == Self.called)
        answer.hasEnded = true
        #expect(turns(answer, Self.called, behind: prompt) == nil)
    }
}
