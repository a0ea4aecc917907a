import TestSupport
import Testing
import YuyanConstraints
import YuyanFormats

@testable import YuyanTrain

@Suite("The reward judge")
struct JudgeRewardTests {
    private let judge: JudgeFixture
    private static let prompt = "prompt: 'Grade {completion}'"

    init() throws { judge = try JudgeFixture() }

    private func rows(_ texts: [String]) throws -> [ScoredCompletion] {
        try texts.map { try .sample($0, #"{"answer": "4", "level": 2}"#) }
    }

    @Test(
        "gives grades within the scale, the same in any company and on any number of threads",
        arguments: [
            "reason: 0", "reason: 12", "reason: 12, samples: 3", "reason: 12, expectation: false",
            "reason: 0, expectation: false, samples: 4", "reason: 6, scale: [-3, 12]",
        ])
    func grades(_ settings: String) throws {
        let texts = try rows(["one", "two and three", "one", "<|im_end|> is text"])
        let settings = settings + ", " + Self.prompt
        let alone = try judge.reward(settings, threads: 1)
        let expected = try texts.map { try alone.scores([$0])[0] }
        for score in expected { #expect((0...1).contains(try #require(score))) }
        #expect(expected[0] == expected[2])
        for threads in 1...3 {
            #expect(try judge.reward(settings, threads: threads).scores(texts) == expected)
        }
    }

    @Test("its samples follow the seed")
    func seeds() throws {
        let texts = try rows(["one", "two", "three", "four"])
        let settings = "reason: 0, expectation: false, samples: 8, " + Self.prompt
        let first = try judge.reward(settings, seed: 1).scores(texts)
        #expect(try judge.reward(settings, seed: 1).scores(texts) == first)
        #expect(try judge.reward(settings, seed: 2).scores(texts) != first)
    }

    @Test(
        "the expectation is that of the model's probabilities",
        arguments: [0...10, -3...12, 0...100, 4...5])
    func expectation(_ grades: ClosedRange<Int>) throws {
        let (low, high) = (grades.lowerBound, grades.upperBound)
        let settings = "reason: 0, scale: [\(low), \(high)], " + Self.prompt
        for text in ["one", "quite another text"] {
            let mean = try judge.mean("Grade \(text)", grades)
            let raw = try #require(try judge.reward("raw: true, " + settings).score(text))
            #expect(abs(raw - mean) < 1e-4 * Double(high - low), "\(raw), expected \(mean)")
            let share = try #require(try judge.reward(settings).score(text))
            #expect(abs(share * Double(high - low) + Double(low) - raw) < 1e-9)
        }
    }

    @Test("columns of the row stand in the question, and a row without one is not graded")
    func columns() throws {
        let settings = "reason: 0, raw: true, prompt: '{answer} of {level}: {completion}'"
        let function = try judge.reward(settings)
        let scores = try function.scores(rows(["x"]) + [.sample("x", #"{"answer": "4"}"#)])
        let mean = try judge.mean("4 of 2: x", 0...10)
        #expect(abs(try #require(scores[0]) - mean) < 1e-3)
        #expect(scores[1] == nil)
    }

    @Test("a prompt is filled as it is written")
    func fills() throws {
        let scale = try #require(GradeScale([1, 5]))
        func text(_ template: String) throws -> String? {
            let row = try ScoredCompletion.sample(
                "{answer}",
                #"{"answer": "a", "n": 2.5, "list": [1], "prompt": "own", "none": null}"#)
            return JudgePrompt(template).text(for: row, scale)
        }
        #expect(try text("{prompt} {completion} {lowest}-{highest}") == "p {answer} 1-5")
        #expect(try text("{answer}{n}{list}") == "a2.5[1]")
        #expect(
            try text("{{answer}} {\"score\": 1} {} { x } {") == "{answer} {\"score\": 1} {} { x } {"
        )
        #expect(try text("{none}") == nil)
        #expect(try text("{missing}") == nil)
        #expect(JudgePrompt("{a} {b} {a} {prompt}").names == ["a", "b", "prompt"])
        #expect(JudgePrompt("{a} {prompt}").columns == ["a"])
        #expect(JudgePrompt(JudgePrompt.usual).columns.isEmpty)
        #expect(JudgePrompt.usualWithReason.contains("\"reason\""))
    }

    @Test("a tree of grades asks where they part, and nowhere else")
    func tree() throws {
        let tree = try #require(
            GradeTree([(1, [9, 1, 5]), (10, [9, 1, 0, 5]), (2, [9, 2, 5])]))
        #expect(tree.stem == [9])
        #expect(tree.branches.map(\.path) == [[], [1]])
        #expect(tree.branches.map(\.children) == [[1, 2], [5, 0]])
        // Three quarters go to 1, and three quarters of these to 10.
        let likely: [Int32: Float] = [1: -0.5, 2: -1.598_612_3, 7: -0.1]
        let later: [Int32: Float] = [5: -3, 0: -1.901_387_7]
        let mean = try #require(tree.expectation([likely, later]))
        #expect(abs(mean - (0.25 * 2 + 0.75 * (0.25 * 1 + 0.75 * 10))) < 1e-5)
        #expect(tree.expectation([[2: -1], [:]]) == 2)
        #expect(tree.expectation([[1: -1, 2: -1], [:]]) == nil)
        #expect(tree.expectation([[7: -1], later]) == nil)
        #expect(GradeTree([(1, [3, 4]), (2, [3, 4])]) == nil)
        #expect(GradeTree([(1, [3, 4]), (2, [3, 4, 5])]) == nil)
        #expect(GradeTree([(1, [3])]) == nil)
    }

    @Test("an answer is cut before its grade, and is what the schema says")
    func answers() throws {
        let scale = try #require(GradeScale([-2, 12]))
        let answer = JudgeAnswer(scale: scale, reasonLength: 20)
        let schema = try JSONDocument(
            bytes: Array(answer.schema.description.utf8), name: "schema"
        ).root
        let verdict = try SchemaVerdict(schema)
        for (text, head, grade) in [
            (#"{"reason": "3 \"x\"", "score": -2}"#, #"{"reason": "3 \"x\"", "score": "#, -2),
            ("{\"reason\":\"\",\"score\":12\n }", #"{"reason":"","score":"#, 12),
        ] {
            let found = try answer.parsed(text)
            #expect(found.head == head && found.grade == grade)
            #expect(
                try verdict.allows(
                    JSONDocument(bytes: Array(text.utf8), name: "answer").root))
        }
        for text in ["", "{}", #"{"score": 3}"#, #"{"reason": "", "score": 13}"#, "{\"reason\": "] {
            #expect(throws: RewardFault.self) { try answer.parsed(text) }
        }
        #expect(answer.endings(of: "x").map(\.text).first == "x-2}")
    }

    @Test("what goes wrong is a fault of the rows that it concerns")
    func faults() throws {
        func faults(_ settings: String, model: String? = nil, _ texts: [String]) throws
            -> [Int: String]
        {
            let function = try judge.reward(settings + ", " + Self.prompt, model: model)
            do {
                _ = try function.scores(rows(texts))
                return [:]
            } catch let partial as PartialRewards {
                #expect(partial.scores.count == texts.count)
                for row in texts.indices where partial.faults[row] == nil {
                    #expect(partial.scores[row] != nil)
                }
                return partial.faults
            }
        }
        let long = String(repeating: "many words ", count: 2000)
        let overlong = try faults("reason: 0", ["one", long, "two"])
        #expect(overlong.keys.sorted() == [1])
        #expect(overlong[1]?.contains("context") == true, "\(overlong)")
        let broken = judge.folder.file("broken.gguf", Array("no model".utf8))
        let unloaded = try faults("reason: 0", model: broken, ["one", "two"])
        #expect(unloaded.keys.sorted() == [0, 1])
        #expect(unloaded[0]?.contains("cannot be loaded") == true, "\(unloaded)")
        let short = try faults("reason: 8, max_tokens: 3", ["one"])
        #expect(short[0]?.contains("max_tokens is 3") == true, "\(short)")
        let late = try faults("reason: 5000, timeout: 0.000001", ["one", "two"])
        #expect(late[1]?.contains("raise timeout") == true, "\(late)")
        let bare = judge.folder.file("empty.jinja", Array("{{ raise_exception('no') }}".utf8))
        let refused = try faults("reason: 0, template: \(bare)", ["one"])
        #expect(refused[0]?.contains("no") == true, "\(refused)")
    }

    @Test("faults stop the run or are counted, as the recipe says")
    func policies() throws {
        let broken = judge.folder.file("broken.gguf", Array("no model".utf8))
        let function = try judge.reward("reason: 0", model: broken)
        #expect {
            try RewardSet([function]).score(try rows(["one"]))
        } throws: {
            "\($0)".contains("reward 'judge', completion 0") && "\($0)".contains("cannot be loaded")
        }
        let skipped = try RewardSet([function], policy: .skip).score(try rows(["one", "two"]))
        #expect(skipped.totals == [nil, nil] && skipped.faults.count == 2)
    }

    @Test("a place that no row can fill is refused, with the columns that there are")
    func places() throws {
        let function = try judge.reward("prompt: '{completion} {anwser}'")
        #expect {
            try function.check(columns: ["answer", "level"])
        } throws: {
            "\($0)".contains("{anwser}") && "\($0)".contains("answer, level")
                && "\($0)".contains("nearest: answer") && "\($0)".contains("r.yaml")
        }
        try function.check(columns: ["anwser"])
    }

    @Test(
        "wrong settings are errors that name the key",
        arguments: [
            ("scale: [5, 5]", "two whole numbers"), ("scale: [0, 101]", "at most 100 apart"),
            ("scale: [1, 2, 3]", "two whole numbers"),
            ("scale: [0.5, 2]", "is [0.5, 2], expected two whole numbers"),
            ("reason: -1", "0 or more"), ("reason: 10001", "at most 10000"),
            ("prompt: 'Grade it'", "{completion}"), ("samples: 65", "at most 64"),
            ("prompt: '{completion}', prompt_file: x", "one of them"),
            ("prompt_file: /no/such/file", "prompt_file"),
            ("samples: 2, reason: 0", "all samples are alike"),
            ("samples: 2, temperature: 0", "0.01 or more"), ("temperature: -1", "0 to 100"),
            ("max_tokens: 0", "1 or more"), ("timeout: 0", "above 0"),
            ("expectaton: true", "nearest"),
        ])
    func refuses(_ settings: String, _ reason: String) {
        #expect { try judge.reward(settings) } throws: {
            "\($0)".contains(reason) && "\($0)".contains("reward_funcs.judge")
        }
    }

    @Test("a judge must be a model that is there")
    func names() throws {
        #expect { try rewards("[judge]") } throws: { "\($0)".contains("reward_funcs.judge.model") }
        #expect {
            try judge.reward("reason: 0", model: "/no/such/model")
        } throws: {
            "\($0)".contains("/no/such/model") && "\($0)".contains("No such file")
        }
        struct Unknown: Error {}
        let host = RewardHost(modelPath: { _ in throw Unknown() })
        let node = try YAMLDocument.value("[{name: judge, model: tiny}]", name: "t")
        #expect {
            try RecipeRewards(node)?.functions(place: "r.yaml:3", host: host)
        } throws: {
            "\($0)".contains("'tiny'") && "\($0)".contains("Unknown")
        }
        let path = judge.path
        let known = RewardHost(modelPath: { name in name == "tiny" ? path : name })
        #expect(try RecipeRewards(node)?.functions(place: "r.yaml:3", host: known).count == 1)
    }
}
