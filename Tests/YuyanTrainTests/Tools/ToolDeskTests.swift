import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

@Suite("What the model reads of tools")
struct ToolDeskTests {
    private let folder = TemporaryFolder()
    private let tokenizer: Tokenizer

    init() throws { tokenizer = try Tokenizer(directory: Goldens.path("tokenizers/qwen2")) }

    private static let chatML = DataFixture.chatML

    private func desk(
        _ tools: String, tokens: Int = 256, faults: ToolFaultPolicy = .tell,
        template: String? = nil, vocabularySize: Int = .max
    ) throws -> ToolDesk {
        var recipe = Recipe()
        recipe.alignment.tools = try #require(
            RecipeTools(try YAMLDocument.value(tools, name: "test")))
        recipe.alignment.toolTokens = tokens
        recipe.alignment.toolFaults = faults
        return try ToolDesk(
            recipe, tokenizer: tokenizer,
            template: try template.map { try ChatTemplate(source: $0) },
            vocabularySize: vocabularySize, place: "r.yaml", makeReader: ServedTurnReader.init)
    }

    /// An episode whose one turn holds calls of `f`.
    private func episode(
        _ calls: Int, isChat: Bool, hasEnded: Bool, tool: String = "f"
    ) -> Episode {
        var columns = PromptColumns(text: "?", columns: [])
        (columns.prompt, columns.tools) = (isChat ? .turns([]) : .text(""), [Tool(name: tool)])
        var episode = Episode(
            TrainingSample(
                tokens: [1, 2], weights: [0, 0], source: SampleSource(file: "d.jsonl", row: 7),
                companion: .prompt(columns)))
        var turn = WrittenTurn()
        turn.draws = [.init(token: 5, logProbability: -1, support: [5, 6])]
        (turn.hasEnded, turn.isOver) = (hasEnded, true)
        turn.parsed.content = "Look:"
        turn.parsed.calls = (0..<calls).map { _ in
            ToolCall(id: "", name: tool, arguments: #"{"expression": "1+1"}"#)
        }
        episode.append(turn, version: 3)
        return episode
    }

    @Test("is tokens that are not learnt, behind what the model wrote")
    func tokens() throws {
        let desk = try desk("[calculator]", template: Self.chatML)
        var episodes = [
            episode(2, isChat: true, hasEnded: true, tool: "calculator"),
            episode(1, isChat: false, hasEnded: false, tool: "calculator"),
        ]
        var notes: [String] = []
        let open = try desk.answer(&episodes, [0, 1], version: 4) { notes.append($0) }
        #expect(open == [0, 1] && notes.isEmpty)
        let chat = episodes[0].written
        #expect(chat.tokens.first == 5 && chat.isWritten.first == true && chat.writtenCount == 1)
        #expect(chat.isWritten.dropFirst().allSatisfy { !$0 })
        #expect(chat.logProbabilities.dropFirst().allSatisfy { $0 == 0 })
        #expect(chat.supports.first == [5, 6] && chat.supports.dropFirst().allSatisfy(\.isEmpty))
        #expect(chat.weightVersions.first == 3 && chat.weightVersions.last == 4)
        #expect(
            tokenizer.decode(chat.tokens.dropFirst())
                == "\n<|im_start|>user\n<tool_response>\n2\n</tool_response><|im_end|>\n"
                + "<|im_start|>user\n<tool_response>\n2\n</tool_response><|im_end|>\n"
                + "<|im_start|>assistant\n")
        let record = try #require(chat.episode)
        #expect(record.callCount == 2 && record.failureCount == 0 && record.answerCount == 1)
        #expect(record.turns.map(\.role) == ["assistant", "tool", "tool"])
        #expect(record.turns[0].calls.map(\.id) == ["call_0_0", "call_0_1"])
        #expect(record.turns[2].callID == "call_0_1" && record.turns[2].content == "2")
        #expect(
            tokenizer.decode(episodes[1].answer.tokens.dropFirst())
                == "\n<tool_response>\n2\n</tool_response>\n")
    }

    @Test("is cut to the limit, longest results first", arguments: [150, 220, 300])
    func cuts(_ limit: Int) throws {
        let path = try folder.tool(
            "while read -r line; do n=$(id \"$line\"); text=short; "
                + "if [ $((n % 2)) = 1 ]; then text=$(printf 'é %s' $(seq 1 300)); fi; "
                + "echo \"{\\\"id\\\": $n, \\\"content\\\": \\\"$text\\\"}\"; done")
        let desk = try desk(
            "[{name: f, program: \(path)}]", tokens: limit, template: Self.chatML)
        var episodes = [
            episode(2, isChat: true, hasEnded: true), episode(2, isChat: false, hasEnded: false),
        ]
        #expect(try desk.answer(&episodes, [0, 1], version: 0, note: { _ in }) == [0, 1])
        for episode in episodes {
            let read = episode.answer.tokens.count - 1
            #expect(read <= limit && read > limit - 16, "\(read)")
            let results = episode.record.turns.filter { $0.role == "tool" }.map { $0.content ?? "" }
            #expect(results[0] == "short" && results[1].hasPrefix("é 1"))
            #expect(results[1].hasSuffix("…") && !results[1].contains("\u{FFFD}"))
        }
    }

    @Test("that finds no room ends the episode, with its calls counted")
    func noRoom() throws {
        let desk = try desk("[calculator]", tokens: 20, template: Self.chatML)
        var episodes = [episode(9, isChat: true, hasEnded: true, tool: "calculator")]
        #expect(try desk.answer(&episodes, [0], version: 0, note: { _ in }).isEmpty)
        #expect(episodes[0].answer.tokens == [5] && episodes[0].record.callCount == 9)
        #expect(episodes[0].calls.isEmpty)
    }

    @Test("of a broken tool is the error, said once to people; or the run stops")
    func broken() throws {
        let path = try folder.tool("exit 3")
        let yaml = "[{name: f, program: \(path), restarts: 0}]"
        var episodes = [episode(1, isChat: false, hasEnded: false)]
        var notes: [String] = []
        let open = try desk(yaml).answer(&episodes, [0], version: 0) { notes.append($0) }
        #expect(open == [0] && episodes[0].record.failureCount == 1)
        #expect(notes.count == 1 && notes[0].contains("tool 'f', d.jsonl:7"))
        #expect(episodes[0].record.turns.last?.content?.contains("ended with code 3") == true)
        episodes = [episode(1, isChat: false, hasEnded: false)]
        #expect {
            _ = try desk(yaml, faults: .stop).answer(&episodes, [0], version: 0, note: { _ in })
        } throws: { "\($0)".contains("tool 'f', d.jsonl:7") && "\($0)".contains("tool_faults") }
        // A call that makes no sense is the model's fault, not the tool's.
        episodes = [episode(1, isChat: false, hasEnded: false, tool: "g")]
        #expect(try desk(yaml, faults: .stop).answer(&episodes, [0], version: 0) { _ in } == [0])
    }

    @Test("has no tokens that the model does not know")
    func unknownTokens() throws {
        let path = try folder.tool(
            "while read -r line; do echo \"{\\\"id\\\": $(id \"$line\"), \\\"content\\\": \\\"气\\\"}\"; done"
        )
        let rare = tokenizer.encode("气", parseSpecial: false, addSpecial: false)
        try #require(rare.count == 1)
        func content(_ size: Int32) throws -> String {
            let desk = try desk("[{name: f, program: \(path)}]", vocabularySize: Int(size))
            var episodes = [episode(1, isChat: false, hasEnded: false)]
            #expect(try desk.answer(&episodes, [0], version: 0, note: { _ in }) == [0])
            #expect(episodes[0].answer.tokens.allSatisfy { $0 < size })
            return episodes[0].record.turns.last?.content ?? ""
        }
        #expect(try content(rare[0] + 1) == "气")
        #expect(try content(rare[0]).contains("does not know"))
    }

    @Test("must find room in max_tool_tokens, and a place in the template")
    func checks() throws {
        try desk("[calculator]", template: Self.chatML).check(isChat: true)
        try desk("[calculator]").check(isChat: false)
        #expect {
            try desk("[calculator]", tokens: 8, template: Self.chatML).check(isChat: true)
        } throws: { "\($0)".contains("max_tool_tokens") && "\($0)".contains("more than") }
        #expect {
            try desk(
                "[calculator]",
                template: "{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}"
            ).check(isChat: true)
        } throws: { "\($0)".contains("'calculator'") && "\($0)".contains("template") }
        #expect {
            try desk("[calculator]", template: "{{ raise_exception('no tools') }}")
                .check(isChat: true)
        } throws: { "\($0)".contains("no tools") }
    }
}
