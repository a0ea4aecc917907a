import Testing
import YuyanEngine
import YuyanFormats

@testable import YuyanTrain

@Suite("Rows of an evaluation")
struct EvaluationRowsTests {
    private func rows(
        _ text: String, _ task: EvaluationTask = EvaluationTask(), limit: Int? = nil
    ) throws -> EvaluationRows {
        try EvaluationRows(Array(text.utf8), file: "f.jsonl", task: task, limit: limit)
    }

    private func fault(_ text: String, _ task: EvaluationTask = EvaluationTask()) -> String {
        do {
            _ = try rows(text, task)
            return "accepted"
        } catch { return "\(error)" }
    }

    @Test("tell by their columns what is asked")
    func kinds() throws {
        let choice = try rows(
            #"{"question": "a", "choices": ["x", "y"], "answer": 1}"#)
        #expect(choice.kind == .choice && choice.rows[0].right == [1])
        let written = try rows(#"{"question": "a", "answer": "x"}"#)
        #expect(written.kind == .generate && written.rows[0].answers == ["x"])
        #expect(try rows(#"{"text": "a"}"#).kind == .text)
        var task = EvaluationTask()
        task.kind = .continuation
        let continued = try rows(#"{"prompt": "a", "target": "b"}"#, task)
        #expect(continued.kind == .continuation && continued.rows[0].choices == ["b"])
    }

    @Test("name the right choice by index, digits, letter, label or text")
    func answers() throws {
        for (target, right) in [
            ("1", [1]), ("\"1\"", [1]), ("\"B\"", [1]), ("\"yes\"", [1]), ("\" yes\"", [1]),
            ("[0, 1]", [0, 1]), ("[\"A\", \"no\"]", [0, 0]),
        ] {
            let row = try rows(
                #"{"start": "s", "endings": ["no", "yes"], "label": \#(target)}"#
            ).rows[0]
            #expect(row.right == right, "\(target)")
        }
        let arc = try rows(
            #"{"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}"#
        ).rows[0]
        #expect(arc.choices == ["x", "y"] && arc.right == [1])
        let letters = try rows(#"{"question": "q", "options": ["B", "A"], "answer": "A"}"#).rows[0]
        #expect(letters.right == [1], "a text goes before a letter")
    }

    @Test("follow columns and templates that are named")
    func templates() throws {
        var task = EvaluationTask()
        task.docToText = "Q: {{ q|trim }}\nA:"
        task.docToChoice = #"["{{ right_word }}", "not {{ right_word }}"]"#
        task.docToTarget = "0"
        let row = try rows(#"{"q": " why ", "right_word": "so"}"#, task).rows[0]
        #expect(row.prompt == "Q: why\nA:")
        #expect(row.choices == ["so", "not so"] && row.right == [0])
        task = EvaluationTask()
        task.docToText = "b"
        task.docToTarget = "{{ c + 1 }}"
        let written = try rows(#"{"a": 1, "b": "B", "c": 2}"#, task).rows[0]
        #expect(written.prompt == "B" && written.answers == ["3"])
    }

    @Test("are read up to a limit, past empty lines, and know their line")
    func lines() throws {
        let text =
            "\n" + #"{"text": "a"}"# + "\r\n\n  \n" + #"{"text": "b"}"# + "\n" + #"{"text": "c"}"#
        let all = try rows(text).rows
        #expect(all.map(\.line) == [2, 5, 6] && all.map(\.prompt) == ["a", "b", "c"])
        #expect(try rows(text, limit: 2).rows.count == 2)
    }

    @Test("that are wrong are named by file and line")
    func refusals() {
        #expect(fault("").contains("f.jsonl: no rows"))
        #expect(fault("{\"text\": \"a\"}\n{").hasPrefix("f.jsonl:2:2"))
        let wanted = ", expected one JSON object a line"
        #expect(fault("[1]").contains("f.jsonl:1: a JSON array" + wanted))
        #expect(fault("\n [\n{\"text\": \"a\"}]").contains("f.jsonl:2: a JSON array" + wanted))
        #expect(fault("1").contains("f.jsonl:1: number" + wanted))
        #expect(throws: EvaluationTaskError.self) {
            try EvaluationRows([0x1F, 0x8B, 8], file: "f", task: EvaluationTask())
        }
        #expect(fault(#"{"x": 1}"#).contains("--doc-to-text"))
        #expect(fault(#"{"question": "a"}"#).contains("--doc-to-target"))
        let start = #"{"question": "a", "choices": "#
        for (rest, expected) in [
            (#"["x"], "answer": 0}"#, "at least two"), (#"["x", ""], "answer": 0}"#, "empty"),
            (#"["x", "y"], "answer": 2}"#, "none of the 2 choices"),
            (#"["x", "y"], "answer": "z"}"#, "none of the 2 choices"),
            (#"["x", null], "answer": 0}"#, "2 choices"), (#"5, "answer": 0}"#, "no list"),
        ] {
            #expect(fault(start + rest).contains(expected), "\(rest): \(fault(start + rest))")
        }
        let two = #"{"question": "a", "answer": "b"}"# + "\n" + #"{"question": "a"}"#
        #expect(fault(two).contains("f.jsonl:2: no column 'answer'"))
        var task = EvaluationTask()
        for name in ["qestion", "q_2", "问题"] {
            task.docToText = name
            let found = fault(#"{"question": "a", "answer": "b"}"#, task)
            #expect(found.contains("--doc-to-text: no column '\(name)'"), "\(found)")
            #expect(found.contains("columns: question, answer"), "\(found)")
        }
        task.docToText = "{{ x"
        #expect(fault(#"{"answer": "a"}"#, task).contains("--doc-to-text"))
    }
}

@Suite("Matching written answers")
struct AnswerMatchTests {
    private func filtered(_ text: String, _ pattern: String, group: Int = 0) throws -> String {
        var match = AnswerMatch()
        match.pattern = pattern
        match.groupSelect = group
        return try match.filtered(text)
    }

    // What Python's `re.findall` and lm-eval's filter give.
    @Test("a pattern picks what lm-eval's filter picks")
    func patterns() throws {
        #expect(try filtered("The answer is 42.", #"(-?[0-9.]+)"#) == "42.")
        #expect(try filtered("a 1 b -2 c 3", #"-?[0-9]+"#) == "1")
        #expect(try filtered("a 1 b -2 c 3", #"(-?[0-9]+)"#, group: -1) == "3")
        #expect(try filtered("a 1 b -2 c 3", #"-?[0-9]+"#, group: 1) == "-2")
        #expect(try filtered("a 1 b", #"-?[0-9]+"#, group: 1) == "[invalid]")
        #expect(try filtered("none", #"[0-9]+"#) == "[invalid]")
        #expect(try filtered("#### 1,234", #"#### (\-?[0-9\.\,]+)"#) == "1,234")
        // Of several groups the first that is not empty.
        #expect(try filtered("b=7", #"a=(\d)|b=(\d)"#) == "7")
        #expect(try filtered("x: y ", #"x:(.*)"#) == "y")
        #expect(try filtered("雨燕 flies", #"(\w+)"#) == "雨燕")
        #expect(throws: EvaluationTaskError.self) { try filtered("a", "(") }
    }

    @Test("case and punctuation count unless they should not")
    func comparison() {
        var match = AnswerMatch()
        #expect(match.isEqual("Paris", to: "Paris") && !match.isEqual("paris", to: "Paris"))
        #expect(!match.isEqual("Paris ", to: "Paris"))
        match.ignoresCase = true
        #expect(match.isEqual("paris", to: "PARIS") && !match.isEqual("paris.", to: "Paris"))
        match.ignoresPunctuation = true
        #expect(match.isEqual("(paris.)", to: "Paris!") && !match.isEqual("2", to: "3"))
    }
}

@Suite("Figures of an evaluation")
struct EvaluationMetricTests {
    @Test("shares have lm-eval's standard error and Wilson's interval")
    func shares() {
        let metric = EvaluationMetric(name: "acc", right: [true, true, true, false])
        #expect(metric.value == 0.75)
        // sqrt(sum((x - 0.75)^2) / 3) / sqrt(4), and 0.3006 to 0.9544 by the formula.
        #expect(abs(metric.error - 0.25) < 1e-12)
        #expect(abs(metric.interval.lowerBound - 0.300_642) < 1e-5)
        #expect(abs(metric.interval.upperBound - 0.954_413) < 1e-5)
        let all = EvaluationMetric(name: "acc", right: [true, true])
        #expect(all.value == 1 && all.error == 0 && all.interval.upperBound > 0.999_999)
        #expect(all.interval.lowerBound < 0.4)
        #expect(EvaluationMetric(name: "acc", right: [false]).error == 0)
    }

    @Test("quotients have the error of a ratio")
    func ratios() {
        let metric = EvaluationMetric(
            name: "r", totals: [2, 4, 6], weights: [1, 2, 3]
        ) { ($0, 1) }
        #expect(metric.value == 2 && metric.error == 0 && metric.interval == 2...2)
        let spread = EvaluationMetric(
            name: "r", totals: [1, 5], weights: [1, 1]
        ) { (-$0, -1) }
        #expect(spread.value == -3 && abs(spread.error - 2) < 1e-12)
        #expect(abs(spread.interval.lowerBound - (-3 - 2 * 1.959_963_98)) < 1e-6)
    }

    @Test("words are counted as Python splits them")
    func words() {
        #expect(wordCount("a b\n\n c") == 3)
        #expect(wordCount(" a ") == 3 && wordCount("") == 1)
    }

    @Test("windows predict every token once, with as much before it as fits")
    func windows() {
        let tokens = (0..<10).map { Int32($0) }
        for limit in [3, 4, 9, 10, 11] {
            let windows = RollingWindows(tokens, prefix: 99, limit: limit).sequences
            let predicted = windows.flatMap { $0.tokens[$0.firstScored...] }
            #expect(predicted == tokens, "\(limit)")
            #expect(windows.allSatisfy { $0.tokens.count <= limit + 1 })
            #expect(windows[0].tokens[0] == 99 && windows[0].firstScored == 1)
            for window in windows.dropFirst() {
                #expect(window.tokens.count == limit + 1)
                #expect(
                    window.tokens.elementsEqual(tokens[Int(window.tokens[0])...].prefix(limit + 1)))
            }
        }
        #expect(RollingWindows([], prefix: 9, limit: 4).sequences.isEmpty)
    }
}
