import TestSupport
import Testing
import YuyanFormats
import YuyanTensor
import YuyanText

@testable import YuyanTrain

/// The root of a value that was written and read again.
func jsonRoot(_ value: JSONOutput) throws -> JSONCursor {
    try JSONDocument(bytes: Array(value.description.utf8), name: "written").root
}

@Suite("Training data")
struct TrainingDataTests {
    private let good = #"{"instruction": "a", "output": "b"}"#

    @Test("stops at a bad row and names it, or leaves it out and counts it")
    func badRows() throws {
        let cases: [(String, String)] = [
            ("{\"instruction\": ", ":2:"),
            (#"{"instruction": "a"}"#, ":2: 'output' is missing"),
            (#"{"text": "a"}"#, ":2: the row has the shape text, the first row alpaca"),
            (#"[1, 2]"#, ":2: the row is of the type array"),
            (#"{"instruction": "a", "output": ""}"#, ":2: 'output' is empty"),
        ]
        for (index, (bad, message)) in cases.enumerated() {
            let fixture = try DataFixture()
            var options = fixture.options(fixture.file("x\(index).jsonl", [good, bad, good]))
            let refusal = fixture.refusal(options)
            #expect(refusal.contains("x\(index).jsonl") && refusal.contains(message), "\(refusal)")
            options.badRows = .skip
            let survey = try fixture.data(options).survey(
                .training, pool: ThreadPool(threadCount: 2))
            #expect(survey.tally.samples == 2 && survey.tally.skippedCount == 1)
            #expect(survey.tally.problems.first?.source.row == 2)
            let batches = try drain(try fixture.data(options).loader(.training, epochs: 2))
            #expect(batches.count == 4)
            #expect(batches.reduce(0) { $0 + $1.tally.skippedCount } == 2)
        }
    }

    @Test("that gives nothing to learn is refused, whatever is left out")
    func nothing() throws {
        let fixture = try DataFixture()
        let unanswered = #"{"messages": [{"role": "user", "content": "a"}]}"#
        var options = fixture.options(fixture.file("x.jsonl", [unanswered, unanswered]))
        #expect(fixture.refusal(options).contains("x.jsonl:1: has no answer"))
        options.badRows = .skip
        #expect(
            fixture.refusal(options).contains("none of 2 rows gives anything to learn; the first"))
        let loader = try fixture.data(options).loader(.training)
        #expect(throws: DataError.self) { try loader.next() }
        #expect(throws: DataError.self) { try fixture.data(options).preview() }
    }

    @Test("over-long rows are left out by choice, also where bad rows stop the run")
    func overlong() throws {
        let fixture = try DataFixture()
        let long = (0..<80).map { "w\($0)" }.joined(separator: " ")
        var options = fixture.options(
            fixture.file("x.jsonl", [good, #"{"instruction": "a", "output": "\#(long)"}"#]))
        options.cutoffLength = 30
        options.overlong = .stop
        #expect(fixture.refusal(options).contains("x.jsonl:2: has"))
        options.overlong = .skip
        let survey = try fixture.data(options).survey(.training, pool: ThreadPool(threadCount: 1))
        #expect(survey.tally.skipped == [.overlong: 1])
        options.overlong = .truncate
        let cut = try fixture.data(options).survey(.training, pool: ThreadPool(threadCount: 1))
        #expect(cut.tally.truncatedRows == 1 && cut.tally.longest == 30)
    }

    @Test("divides rows between training and validation, and none is in both")
    func split() throws {
        let fixture = try DataFixture()
        var options = fixture.options(
            fixture.dialogues("a.jsonl", count: 37), fixture.dialogues("b.jsonl", count: 13))
        for (size, expected): (DataOptions.ValidationSize, Int) in [
            (.rows(10), 10), (.share(0.1), 5), (.rows(1), 1), (.share(0.001), 1),
        ] {
            options.validation = size
            let data = try fixture.data(options)
            func texts(_ part: TrainingData.Part) throws -> Set<String> {
                Set(
                    try drain(data.loader(part, epochs: 1)).map {
                        fixture.tokenizer.decode($0.batch.tokens)
                    })
            }
            let (training, held) = (try texts(.training), try texts(.validation))
            #expect(held.count == expected && training.count == 50 - expected)
            #expect(training.isDisjoint(with: held))
            #expect(data.rowCount(.validation) == expected)
        }
        options.validation = .rows(50)
        #expect(fixture.refusal(options).contains("val_size"))
        options.validation = .none
        options.evaluationDatasets = [fixture.dialogues("c.jsonl", count: 4)]
        let data = try fixture.data(options)
        #expect(data.hasValidation && data.rowCount(.training) == 50)
        #expect(try drain(data.loader(.validation)).count == 4)
        options.validation = .share(0.5)
        #expect(fixture.refusal(options).contains("eval_dataset"))
    }

    @Test("takes fetched sets by name, after everything else, and says where it looked")
    func fetched() throws {
        let (fixture, cache) = (try DataFixture(), try DataFixture())
        _ = cache.dialogues("demo.jsonl", count: 3)
        _ = cache.dialogues("formed.json", count: 4)
        _ = cache.file(
            "dataset_info.json",
            [#"{"formed": {"file_name": "formed.json"}, "absent": {"file_name": "absent.json"}}"#])
        func options(_ name: String) -> DataOptions {
            var options = fixture.options(name)
            options.fetchedFolder = cache.folder.path
            return options
        }
        #expect(try fixture.data(options("demo")).rowCount(.training) == 3)
        #expect(try fixture.data(options("formed#2")).rowCount(.training) == 2)
        for name in ["absent", "other"] {
            let found = fixture.refusal(options(name))
            #expect(found.contains("dataset_dir (\(fixture.folder.path)/dataset_info.json)"))
            #expect(found.contains(cache.folder.path) && found.contains("scripts/fetch-data"))
        }
        _ = fixture.dialogues("demo.jsonl", count: 7)
        #expect(try fixture.data(options("demo.jsonl")).rowCount(.training) == 7)
    }

    @Test("takes names, columns and forms from dataset_info.json, and #N rows of anything")
    func registry() throws {
        let fixture = try DataFixture()
        _ = fixture.dialogues("a.jsonl", count: 20)
        _ = fixture.file(
            "talk.jsonl",
            [
                #"{"talk": [{"who": "U", "what": "x"}, {"who": "A", "what": "y"}]}"#
            ])
        _ = fixture.file("plain.jsonl", [#"{"body": "some words"}"#])
        _ = fixture.file(
            "dataset_info.json",
            [
                """
                {"first": {"file_name": "a.jsonl"}, "few": {"file_name": "a.jsonl", "num_samples": 5},
                 "fewer": {"file_name": "a.jsonl", "num_samples": -5},
                 "talk": {"file_name": "talk.jsonl", "formatting": "sharegpt", "columns": {"messages": "talk"},
                  "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "U", "assistant_tag": "A"}},
                 "plain": {"file_name": "plain.jsonl", "columns": {"prompt": "body"}},
                 "remote": {"hf_hub_url": "x/y"}, "odd": {"file_name": "a.jsonl", "formatting": "new"},
                 "gone": {"file_name": "gone.jsonl"}}
                """
            ])
        func rows(_ name: String) throws -> Int {
            try fixture.data(fixture.options(name)).rowCount(.training)
        }
        #expect(try rows("first") == 20)
        #expect(try rows("few") == 5)
        #expect(try rows("first#7") == 7)
        #expect(try rows("few#30") == 30)
        #expect(try rows("a.jsonl") == 20)
        #expect(try rows(fixture.folder.path + "/a.jsonl#3") == 3)
        #expect(try fixture.data(fixture.options("talk")).reports.map(\.shape) == ["sharegpt"])
        #expect(try fixture.data(fixture.options("plain")).reports.map(\.shape) == ["text"])
        #expect(fixture.refusal(fixture.options("frist")).contains("nearest: first"))
        #expect(fixture.refusal(fixture.options("remote")).contains("hf_hub_url"))
        #expect(fixture.refusal(fixture.options("odd")).contains("formatting"))
        #expect(fixture.refusal(fixture.options("gone")).contains("gone.jsonl"))
        for count in ["x", "0", "\(Int.max)"] {
            #expect(fixture.refusal(fixture.options("first#" + count)).contains("number of rows"))
        }
        #expect(fixture.refusal(fixture.options("fewer")).contains("fewer.num_samples"))
        var options = fixture.options("first")
        options.maxSamples = 4
        #expect(try fixture.data(options).rowCount(.training) == 4)
        // Rows taken at random are the same in every run, and no row comes twice.
        let texts = try drain(try fixture.data(fixture.options("few")).loader(.training, epochs: 1))
            .map { fixture.tokenizer.decode($0.batch.tokens) }
        #expect(Set(texts).count == 5)
    }

    @Test("reads all files of a folder, in the order of their names")
    func folder() throws {
        let fixture = try DataFixture()
        _ = fixture.dialogues("2.jsonl", count: 3)
        _ = fixture.dialogues("1.jsonl", count: 2)
        let data = try fixture.data(fixture.options(fixture.folder.path))
        #expect(data.reports.map(\.rows) == [2, 3])
        #expect(data.rowCount(.training) == 5)
    }

    @Test("has a fingerprint that changes with its files")
    func fingerprint() throws {
        let fixture = try DataFixture()
        let path = fixture.dialogues("a.jsonl", count: 5)
        func fingerprint(isWhole: Bool = true) throws -> String {
            try fixture.data(fixture.options(path)).fingerprint(isWhole: isWhole)
        }
        let first = try fingerprint()
        #expect(try fingerprint() == first)
        _ = fixture.dialogues("a.jsonl", count: 5, seed: 2)
        #expect(try fingerprint() != first)
        // A change in the middle of a long file: rows, lengths and ends are the same.
        var lines = (0..<4000).map {
            #"{"instruction": "a", "output": "row \#($0 + 1000) of many"}"#
        }
        _ = fixture.file("a.jsonl", lines)
        let (long, ends) = (try fingerprint(), try fingerprint(isWhole: false))
        lines.swapAt(1999, 2000)
        _ = fixture.file("a.jsonl", lines)
        #expect(try fingerprint() != long && fingerprint(isWhole: false) == ends)
        lines.reverse()
        _ = fixture.file("a.jsonl", lines)
        #expect(try fingerprint(isWhole: false) != ends)
        var options = fixture.options(path + "#5000")
        options.validation = .rows(1)
        #expect(fixture.refusal(options).contains("repeated rows"))
    }

    @Test("weighs data sets")
    func weights() throws {
        let fixture = try DataFixture()
        var options = fixture.options(
            fixture.dialogues("a.jsonl", count: 2), fixture.dialogues("b.jsonl", count: 2))
        options.lossWeights = [1, 0.5]
        let batches = try drain(try fixture.data(options).loader(.training, epochs: 1))
        for batch in batches {
            let text = fixture.tokenizer.decode(batch.batch.tokens)
            #expect(batch.batch.weights.max() == (text.contains("a.jsonl") ? 1 : 0.5))
        }
        options.lossWeights = [1, .nan]
        #expect(fixture.refusal(options).contains("dataset_weights"))
        for weight in [0, 1e-60, 1e300] {
            options.lossWeights = [1, weight]
            #expect(fixture.refusal(options).contains("dataset_weights"))
        }
        options.lossWeights = [1]
        #expect(fixture.refusal(options).contains("dataset_weights"))
    }

    @Test("names settings that cannot be, and rows that are for other stages")
    func settings() throws {
        let fixture = try DataFixture()
        let path = fixture.file("x.jsonl", [good])
        var options = fixture.options()
        #expect(fixture.refusal(options).contains("'dataset' is empty"))
        options = fixture.options(path)
        options.cutoffLength = 1
        #expect(fixture.refusal(options).contains("cutoff_len"))
        options = fixture.options(path, path)
        options.mixing = .interleaveUnder
        options.probabilities = [1, -1]
        #expect(fixture.refusal(options).contains("interleave_probs"))
        let preference = fixture.file(
            "p.jsonl", [#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#])
        #expect(fixture.refusal(fixture.options(preference)).contains("not for the stage sft"))
        #expect(throws: DataError.self) {
            try TrainingData(fixture.options(path), tokenizer: fixture.tokenizer, template: nil)
                .preview()
        }
    }

    @Test("names the row whose token the model does not have, also where bad rows are left out")
    func unknownTokens() throws {
        let fixture = try DataFixture()
        var options = fixture.options(fixture.file("x.jsonl", [good, good]))
        options.badRows = .skip
        let size = fixture.tokenizer.vocabularySize
        func open(_ count: Int) throws -> TrainingData {
            try TrainingData(
                options, tokenizer: fixture.tokenizer, template: fixture.template,
                vocabularySize: count)
        }
        let most = try #require(
            drain(open(size).loader(.training, epochs: 1)).flatMap(\.batch.tokens).max())
        _ = try open(Int(most) + 1).preview()
        #expect {
            _ = try open(Int(most)).survey(.training, pool: ThreadPool(threadCount: 1))
        } throws: { error in
            guard case DataError.unknownToken(let source, most, _, Int(most)) = error else {
                return false
            }
            return source.row == 1 && "\(error)".contains("x.jsonl:1: holds token \(most), ")
        }
    }

    @Test("explains what the chat template does to history")
    func explanations() throws {
        let source = """
            {% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and \
            loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ m.content + '<|im_end|>\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
            """
        let fixture = try DataFixture(template: source)
        let row = #"{"instruction": "c", "output": "d", "history": [["a", "b"]]}"#
        let data = try fixture.data(fixture.options(fixture.file("x.jsonl", [row])))
        let tally = try data.survey(.training, pool: ThreadPool(threadCount: 1)).tally
        #expect(tally.methods[AnswerSpan.Method.untilStop.rawValue] == 1)
        #expect(tally.notes.contains { $0.contains("mask_history") })
    }
}
