import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

@Suite("Reward models that score texts")
struct ScoringModelTests {
    private let runs = AlignmentRuns()
    private let device = Device(threads: 2)

    // MARK: - Whole models

    private static let head = (0..<32).map { Float($0 * 7 % 5) - 2 }

    private func whole(_ path: String) throws -> WholeRewardModel {
        try WholeRewardModel(
            ScoringModel(path, host: RewardHost(device: device)), name: "reward_model")
    }

    private func chat(_ question: String, _ answer: String, hasEnded: Bool = true)
        -> ScoredCompletion
    {
        let turn = TrainingTurn(ChatTurn(role: "user", content: question))
        return ScoredCompletion(
            prompt: question, text: answer, hasEnded: hasEnded,
            row: PromptColumns(text: question, columns: [], prompt: .turns([turn])))
    }

    /// One text alone, on one thread.
    private func score(_ ids: [Int32], _ path: String) throws -> Double {
        let device = Device(threads: 1)
        let model = try SequenceClassifier(Checkpoint(path: path), on: device)
        let hidden = model.decoder.hiddenStates(
            whole: TokenBatch(tokens: ids, lengths: [ids.count], adapter: nil),
            checkpointing: false, on: device)
        let state = model.decoder.normalized(hidden: hidden, on: device).row(ids.count - 1)
        return zip(state, Self.head).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    @Test("a conversation is read in the model's own template and tokens, up to the answer's end")
    func conversations() throws {
        let fixture = try JudgeFixture(scoredBy: Self.head)
        let model = try whole(fixture.path)
        let tokenizer = try Tokenizer(directory: fixture.path)
        let renderer = ChatRenderer(
            tokenizer: tokenizer,
            template: try ChatTemplate(
                source: try #require(tokenizer.chatTemplate), name: "reward"))
        let said = renderer.conversation([
            ChatTurn(role: "user", content: "What is 2 + 2?"),
            ChatTurn(role: "assistant", content: "It is 4."),
        ])
        let ids = said.ids(try said.render(addsGenerationPrompt: false))
        let end = try #require(ids.lastIndex { tokenizer.endOfGeneration.contains($0) })
        #expect(end < ids.count - 1)

        let ended = try model.tokens(of: chat("What is 2 + 2?", "It is 4."))
        #expect(ended == Array(ids[...end]))
        let cut = try model.tokens(of: chat("What is 2 + 2?", "It is 4.", hasEnded: false))
        #expect(cut == Array(ids[..<end]))
        #expect(
            try model.scores([chat("What is 2 + 2?", "It is 4.")])
                == [score(ended, fixture.path)])
    }

    @Test("a text is read as it is; scores depend on nothing but the text")
    func texts() throws {
        let fixture = try JudgeFixture(scoredBy: Self.head)
        let model = try whole(fixture.path)
        let tokenizer = try Tokenizer(directory: fixture.path)
        let long = (1...4).map { String(repeating: "so 4 ", count: 60 * $0) }
        let answers = ["4", "", " four"] + long
        let completions = answers.map { ScoredCompletion(prompt: "2 + 2 =", text: $0) }
        let tokens = try completions.map { try model.tokens(of: $0) }
        var expected = tokenizer.encode("2 + 2 = four", parseSpecial: false, addSpecial: false)
        if tokenizer.addsBeginningOfSequence, let id = tokenizer.beginningOfSequence {
            expected.insert(id, at: 0)
        }
        expected += [tokenizer.endOfSequence].compactMap { $0 }
        #expect(tokens[2] == expected)
        // More than a pass takes.
        #expect(tokens.reduce(0) { $0 + $1.count } > 512)
        let scores = try model.scores(completions)
        #expect(try scores == tokens.map { try score($0, fixture.path) })
        #expect(Set(scores.compactMap { $0 }).count == answers.count)
    }

    @Test("a text that the model cannot read is a fault of its row alone")
    func faults() throws {
        let fixture = try JudgeFixture(scoredBy: Self.head)
        let long = ScoredCompletion(
            prompt: "a", text: String(repeating: "1 2 3 ", count: 2000))
        do {
            _ = try whole(fixture.path).scores([ScoredCompletion(prompt: "a", text: "b"), long])
            Issue.record("a text longer than the context was scored")
        } catch let partial as PartialRewards {
            #expect(partial.scores[0]?.isFinite == true && Array(partial.faults.keys) == [1])
            #expect(partial.faults[1]?.contains("expected at most 2048") == true)
        }
    }

    // MARK: - Models of steps

    private func base(isFrozen: Bool = true) throws -> RewardHost {
        let trained = try TrainableModel(
            Checkpoint(path: runs.model), method: .lowRank(LowRankConfiguration()), on: device)
        var host = RewardHost(device: device)
        host.base = AdapterBase(
            decoder: trained.decoder, tokenizer: try Tokenizer(gguf: GGUFFile(path: runs.model)),
            isFrozen: isFrozen)
        return host
    }

    private func steps(_ settings: String, _ host: RewardHost) throws -> any RewardFunction {
        let node = try YAMLDocument.value("[{name: prm\(settings)}]", name: "test")
        let list = try #require(RecipeRewards(node))
        return try list.functions(place: "r.yaml:3", host: host)[0]
    }

    /// What the head says at each step of the first sample of some rows, laid out as for training.
    private func trained(_ adapter: String, _ row: String) throws -> [Double] {
        let model = try TrainableModel(
            Checkpoint(path: runs.model), method: .lowRank(LowRankConfiguration()), on: device)
        let judge = try LowRankAdapter(
            name: "judge", directory: adapter, for: model.decoder, on: device)
        let head = try #require(judge.score)
        var options = DataOptions()
        options.datasets = [runs.folder.file("one.jsonl", Array((row + "\n").utf8))]
        options.stage = .stepwise
        let data = try TrainingData(
            options, tokenizer: Tokenizer(gguf: GGUFFile(path: runs.model)), template: nil)
        let batch = try #require(try data.loader(.training, epochs: 1).next()?.batch)
        guard case .steps(let steps) = batch.samples[0].companion else { return [] }
        let tokens = batch.samples[0].tokens
        var passes = GroupPassOptions()
        passes.adapter = .other(judge)
        var found: [Double] = []
        model.visit(
            [AnswerGroup(prompt: [tokens[0]], answers: [Array(tokens[1...])])], passes, on: device
        ) { pass in
            let first = pass.answers[0].lastRow + 1 - tokens.count
            let states = pass.normalized(rows: steps.map { first + $0.end })
            found = steps.indices.map { index in
                zip(states.row(index), head).reduce(0) { $0 + Double($1.0) * Double($1.1) }
            }
        }
        return found
    }

    @Test("an answer's steps have the chances that they have in training, and become one number")
    func process() throws {
        try runs.train("prm", "prm", ["--max_steps", "6"])
        let path = runs.folder.path + "/prm"
        let chances = try trained(
            path, #"{"prompt": "abc 1", "completions": ["de", "f 1"], "labels": [true, false]}"#
        ).map(sigmoid)
        #expect(chances.count == 2 && chances[0] != chances[1] && chances[0] != 0.5)
        let host = try base()
        for (settings, expected) in [
            ("", min(chances[0], chances[1])),
            (", aggregate: min", min(chances[0], chances[1])),
            (", aggregate: product", chances[0] * chances[1]),
            (", aggregate: mean", (chances[0] + chances[1]) / 2),
            (", aggregate: last", chances[1]),
        ] {
            let function = try steps(", model: \(path)\(settings)", host)
            try function.load()
            #expect(function.heldBytes > 0)
            // Blank lines are no steps, and an answer without any is as wrong as can be.
            let scores = try function.scores(
                ["de\n\nf 1", "de\nf 1\n", "", " \n"].map {
                    ScoredCompletion(prompt: "abc 1", text: $0)
                })
            #expect(scores.count == 4 && scores[2] == 0 && scores[3] == 0)
            for score in scores[..<2] {
                #expect(abs(try #require(score) - expected) < 1e-9, "\(settings)")
            }
        }
    }

    @Test("what becomes of chances", arguments: StepAggregate.allCases)
    func aggregates(_ aggregate: StepAggregate) {
        let expected: [StepAggregate: Double] = [
            .min: 0.25, .product: 0.0234375, .mean: 0.4375, .last: 0.5,
        ]
        #expect(aggregate.value(of: [0.75, 0.25, 0.25, 0.5]) == expected[aggregate])
        #expect(aggregate.value(of: []) == 0)
    }

    @Test("texts are cut into steps by lines, or by what a recipe says")
    func cuts() throws {
        func cut(_ settings: String, _ text: String) throws -> [String] {
            try #require(try steps(", model: x\(settings)", RewardHost()) as? ProcessReward)
                .steps(of: text)
        }
        #expect(try cut("", "a\nb\n\n  \nc") == ["a", "b", "c"])
        #expect(try cut("", "a\r\nb") == ["a\r", "b"])
        #expect(try cut("", " \n") == [])
        #expect(try cut(#", separator: "\n\n""#, "a\nb\n\nc\n\n") == ["a\nb", "c"])
        #expect(try cut(", separator: Step", "Step 1: a Step 2: b") == [" 1: a ", " 2: b"])
    }

    @Test(
        "settings that make no sense are refused by name",
        arguments: [
            ("", "reward_funcs.prm.model"),
            (", model: x, aggregate: maximum", "one of min, product, mean, last"),
            (", model: x, separator: ''", "reward_funcs.prm.separator"),
            (", model: x, agregate: min", "nearest: aggregate"),
        ])
    func refuses(_ settings: String, _ reason: String) {
        #expect { try steps(settings, RewardHost()) } throws: { "\($0)".contains(reason) }
    }

    @Test("a model that is no reward model, or cannot be one here, is refused when a run begins")
    func unusable() throws {
        try runs.train("prm", "prm", ["--max_steps", "1"])
        try runs.train("dpo", "dpo", ["--max_steps", "1"])
        let place = runs.folder.path
        for (model, host, reason) in [
            ("/no/such/model", RewardHost(device: device), "/no/such/model"),
            (place + "/prm", RewardHost(device: device), "there is no model here"),
            (place + "/prm", try base(isFrozen: false), "finetuning_type: lora"),
            (place + "/dpo", try base(), "score.weight"),
            (Goldens.path("models/llama-gqa"), RewardHost(device: device), "score.weight"),
        ] {
            // Nothing is opened before, so that recipes may name what is not made yet.
            let function = try steps(", model: \(model)", host)
            #expect { try function.load() } throws: {
                "\($0)".contains(reason) && "\($0)".contains("reward_funcs.prm.model")
            }
        }
    }
}
