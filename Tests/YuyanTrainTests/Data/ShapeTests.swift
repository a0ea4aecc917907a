import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

@Suite("Shapes of rows")
struct ShapeTests {
    private func parse(_ row: String, _ names: ShapeNames = ShapeNames()) throws -> (
        DataShape, DataRow
    ) {
        let fields = try JSONDocument(bytes: Array(row.utf8), name: "row").root
        let shape = try DataShape(of: fields, names)
        return (shape, try RowParser(shape: shape, names: names).parse(fields))
    }

    private func turns(_ row: String, _ names: ShapeNames = ShapeNames()) throws -> [String] {
        guard case .conversation(let conversation) = try parse(row, names).1 else { return ["no"] }
        return describe(conversation.turns)
    }

    private func describe(_ turns: [TrainingTurn]) -> [String] {
        turns.map { turn in
            let calls = turn.turn.calls.map { " \($0.name)(\($0.arguments))" }.joined()
            return "\(turn.turn.role): \(turn.turn.content ?? "-")\(calls)"
        }
    }

    private func describe(_ passage: Passage) -> [String] {
        switch passage {
        case .text(let text): [text]
        case .turns(let turns): describe(turns)
        }
    }

    private func fault(_ row: String, _ names: ShapeNames = ShapeNames()) -> String {
        do {
            _ = try parse(row, names)
            return ""
        } catch let error as RowFault {
            return error.reason
        } catch {
            return "\(error)"
        }
    }

    @Test("a margin that no score could reach is refused")
    func margins() throws {
        func pair(_ margin: String) -> String {
            #"{"prompt": "a", "chosen": "b", "rejected": "c", "margin": \#(margin)}"#
        }
        guard case .preference(let row) = try parse(pair("-2.5")).1 else {
            Issue.record("no preference")
            return
        }
        #expect(row.margin == -2.5)
        for margin in ["1e300", "-1e7"] {
            #expect(fault(pair(margin)).contains("from -1e6 to 1e6"), "\(margin)")
        }
    }

    @Test("are told by their columns")
    func detection() throws {
        let rows = [
            (#"{"text": "a"}"#, "text"),
            (#"{"instruction": "a", "input": "", "output": "b"}"#, "alpaca"),
            (
                #"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"#,
                "sharegpt"
            ),
            (
                #"{"conversation": [{"human": "a", "assistant": "b"}]}"#,
                "pairs of human and assistant"
            ),
            (#"{"messages": [{"role": "user", "content": "a"}], "text": null}"#, "messages"),
            (#"{"query": "a", "response": "b"}"#, "query and response"),
            (#"{"question": "a", "answer": "b"}"#, "query and response"),
            (#"{"problem": "a", "solution": "b"}"#, "query and response"),
            (#"{"input": "a", "target": "b"}"#, "query and response"),
            (#"{"prompt": "a", "completion": "b"}"#, "prompt and completion"),
            (#"{"prompt": "a", "answer_key": 1}"#, "prompt only"),
            (
                #"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
                "prompt and completion, preference"
            ),
            (
                #"{"prompt": "a", "completion": "b", "label": true}"#,
                "prompt and completion, with a verdict"
            ),
            (
                #"{"prompt": "a", "completions": ["b"], "labels": [true]}"#,
                "prompt and completion, stepwise"
            ),
            (#"{"instruction": "a", "chosen": "b", "rejected": "c"}"#, "alpaca, preference"),
            (#"{"instruction": "a", "output": "b", "kto_tag": false}"#, "alpaca, with a verdict"),
        ]
        for (row, name) in rows { #expect(try parse(row).0.description == name, "\(row)") }
    }

    @Test("of alpaca join instruction and input and keep history")
    func alpaca() throws {
        let row = """
            {"instruction": "do", "input": "it", "output": "done", "system": "be", "history": [["q", "a"]]}
            """
        #expect(
            try turns(row)
                == ["system: be", "user: q", "assistant: a", "user: do\nit", "assistant: done"])
        #expect(
            try turns(#"{"instruction": "", "input": "i", "output": "o"}"#) == [
                "user: i", "assistant: o",
            ])
        var names = ShapeNames(base: .alpaca)
        names.columns = ["prompt": "q", "response": "a"]
        #expect(
            try turns(#"{"q": "x", "a": "y", "instruction": 3}"#, names) == [
                "user: x", "assistant: y",
            ])
    }

    @Test("of sharegpt read calls, observations, tools and other names")
    func sharegpt() throws {
        let row = #"""
            {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "h"}, \#
            {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"}, \#
            {"from": "observation", "value": ""}, {"from": "gpt", "value": "g"}], \#
            "tools": "[{\"name\": \"f\", \"description\": \"d\", \"parameters\": {\"type\": \"object\"}}]"}
            """#
        #expect(
            try turns(row)
                == ["system: s", "user: h", "assistant: - f({\"x\": 1})", "tool: ", "assistant: g"])
        guard case .conversation(let conversation) = try parse(row).1 else { return }
        #expect(conversation.tools.map(\.name) == ["f"])
        var names = ShapeNames(base: .sharegpt)
        names.columns = ["messages": "talk"]
        names.tags = [
            "role_tag": "who", "content_tag": "what", "user_tag": "U", "assistant_tag": "A",
        ]
        #expect(
            try turns(#"{"talk": [{"who": "U", "what": "x"}, {"who": "A", "what": "y"}]}"#, names)
                == ["user: x", "assistant: y"])
        let pairs =
            #"{"system": "s", "conversation": [{"human": "a", "assistant": "b"}, {"human": "c", "assistant": "d"}]}"#
        #expect(
            try turns(pairs) == ["system: s", "user: a", "assistant: b", "user: c", "assistant: d"])
    }

    @Test("of messages read parts, calls and the roles of ms-swift")
    func messages() throws {
        let row = #"""
            {"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": [{"type": \#
            "text", "text": "a"}, {"type": "text", "value": "b"}]}, {"role": "assistant", "content": "see", \#
            "tool_calls": null}, {"role": "tool_call", "content": "{\"name\": \"f\", \"arguments\": {}}"}, \#
            {"role": "tool_call", "content": {"name": "g", "arguments": "{}"}}, {"role": "tool_response", \#
            "content": "r"}, {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": \#
            "text", "value": "so"}]}]}
            """#
        #expect(
            try turns(row) == [
                "system: s", "user: a\nb", "assistant: see f({}) g({})", "tool: r", "assistant: so",
            ])
        guard case .conversation(let conversation) = try parse(row).1 else { return }
        #expect(conversation.turns.last?.turn.reasoning == "hm")
        let calls = #"""
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"id": "1", \#
            "function": {"name": "f", "arguments": "{\"x\": 2}"}}]}], "tools": [{"type": "function", \#
            "function": {"name": "f"}}]}
            """#
        #expect(try turns(calls) == ["user: a", "assistant: - f({\"x\": 2})"])
        guard
            case .text(let text, true) = try parse(
                #"{"messages": [{"role": "assistant", "content": "learn me"}]}"#
            ).1
        else { return #expect(Bool(false), "a single answer is a text") }
        #expect(text == "learn me")
    }

    @Test("of preferences give prompt, better and worse answer, in every spelling")
    func preferences() throws {
        let user = #"{"role": "user", "content": "p"}"#
        func answer(_ text: String) -> String { #"{"role": "assistant", "content": "\#(text)"}"# }
        let rows = [
            #"{"prompt": [\#(user)], "chosen": [\#(answer("c"))], "rejected": [\#(answer("r"))]}"#,
            #"{"chosen": [\#(user), \#(answer("c"))], "rejected": [\#(user), \#(answer("r"))]}"#,
            #"{"chosen_messages": [\#(user), \#(answer("c"))], "rejected_messages": [\#(user), \#(answer("r"))]}"#,
            #"{"instruction": "p", "chosen": "c", "rejected": "r"}"#,
            #"{"conversations": [{"from": "human", "value": "p"}], "chosen": {"from": "gpt", "value": "c"}, "rejected": {"from": "gpt", "value": "r"}}"#,
            #"{"messages": [\#(user), \#(answer("c"))], "rejected_response": "r"}"#,
            #"{"messages": [\#(user), \#(answer("c"))], "rejected_messages": [\#(user), \#(answer("r"))], "margin": 0.5}"#,
            #"{"query": "p", "response": "c", "rejected_response": "r"}"#,
        ]
        for row in rows {
            guard case .preference(let preference) = try parse(row).1 else {
                Issue.record("no preference: \(row)")
                continue
            }
            #expect(describe(preference.prompt) == ["user: p"], "\(row)")
            #expect(describe(preference.chosen) == ["assistant: c"], "\(row)")
            #expect(describe(preference.rejected) == ["assistant: r"], "\(row)")
            #expect(preference.margin == (row.contains("margin") ? 0.5 : nil))
        }
        let plain = #"{"prompt": "p", "chosen": "c", "rejected": "r"}"#
        guard case .preference(let preference) = try parse(plain).1 else { return }
        #expect(preference.prompt == .text("p") && preference.rejected == .text("r"))
    }

    @Test("with verdicts give prompt, answer and verdict, in every spelling")
    func verdicts() throws {
        var names = ShapeNames(base: .sharegpt)
        names.columns = ["messages": "messages", "kto_tag": "label"]
        names.tags = [
            "role_tag": "role", "content_tag": "content", "user_tag": "user",
            "assistant_tag": "assistant",
        ]
        let messages =
            #"{"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}], "label": false}"#
        let rows: [(String, ShapeNames)] = [
            (messages, ShapeNames()), (messages, names),
            (#"{"instruction": "p", "output": "c", "kto_tag": false}"#, ShapeNames()),
            (
                #"{"prompt": [{"role": "user", "content": "p"}], "completion": [{"role": "assistant", "content": "c"}], "label": false}"#,
                ShapeNames()
            ),
        ]
        for (row, names) in rows {
            guard case .unpaired(let unpaired) = try parse(row, names).1 else {
                Issue.record("no verdict: \(row)")
                continue
            }
            #expect(describe(unpaired.prompt) == ["user: p"], "\(row)")
            #expect(describe(unpaired.completion) == ["assistant: c"], "\(row)")
            #expect(!unpaired.isDesirable)
        }
        guard
            case .stepwise(let steps) = try parse(
                #"{"prompt": "p", "completions": ["a", "b"], "labels": [true, false]}"#
            ).1
        else { return #expect(Bool(false), "no steps") }
        #expect(steps == StepwiseRow(prompt: "p", steps: ["a", "b"], labels: [true, false]))
        guard case .prompt(let prompt) = try parse(#"{"prompt": "p", "answer_key": 7}"#).1 else {
            return #expect(Bool(false), "no prompt")
        }
        #expect(prompt.prompt == .text("p") && prompt.columns.map(\.key) == ["answer_key"])
    }

    @Test("name column, finding and expectation when a row is wrong")
    func faults() {
        let cases: [(String, String)] = [
            (#"{"foo": 1, "bar": 2}"#, "bar, foo"),
            (#"{"text": 7}"#, "'text' is the number 7.0, expected a text"),
            (#"{"instruction": "a"}"#, "'output' is missing"),
            (#"{"instruction": "a", "output": ""}"#, "'output' is empty"),
            (#"{"instruction": "", "input": "", "output": "b"}"#, "'instruction' is empty"),
            (#"{"instruction": "a", "output": "b", "history": [["q"]]}"#, "history[0]"),
            (#"{"conversations": []}"#, "'conversations' is empty"),
            (#"{"conversations": [{"from": "gpt", "value": "b"}]}"#, "conversations[0].from"),
            (
                #"{"conversations": [{"from": "human", "value": "b"}, {"from": "human", "value": "b"}]}"#,
                "expected the model's turn"
            ),
            (#"{"conversations": [{"from": "human", "value": "b"}]}"#, "ends with a prompt"),
            (
                #"{"conversations": [{"from": "alien", "value": "b"}]}"#,
                "\"alien\", expected human, gpt"
            ),
            (
                #"{"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "b"}]}"#,
                "conversations[0].value' is empty"
            ),
            (
                #"{"conversations": [{"from": "human", "value": "b"}, {"from": "function_call", "value": "no json"}]}"#,
                "not JSON"
            ),
            (#"{"messages": []}"#, "'messages' is empty"),
            (#"{"messages": "hi"}"#, "expected a list of messages"),
            (
                #"{"messages": [{"role": "wizard", "content": "b"}]}"#,
                "messages[0].role' is \"wizard\""
            ),
            (#"{"messages": [{"content": "b"}]}"#, "messages[0].role' is missing"),
            (#"{"messages": [{"role": "user", "content": ""}]}"#, "messages[0].content' is empty"),
            (#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#, "image_url"),
            (
                #"{"messages": [{"role": "assistant", "content": "a", "loss_scale": -1}]}"#,
                "messages[0].loss_scale"
            ),
            (
                #"{"messages": [{"role": "assistant", "content": "a", "weight": 1e300}]}"#,
                "messages[0].weight"
            ),
            (
                #"{"messages": [{"role": "assistant", "content": "a", "loss_scale": 1e30, "weight": 1e30}]}"#,
                "messages[0].weight"
            ),
            (#"{"messages": [{"role": "user", "content": "a"}], "images": ["x.png"]}"#, "pictures"),
            (
                #"{"messages": [{"role": "user", "content": "a"}], "label": 3}"#,
                "'label' is the number 3.0"
            ),
            (#"{"messages": [{"role": "user", "content": "a"}], "tools": "{"}"#, "'tools' is"),
            (
                #"{"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]}"#,
                "as the prompt is one"
            ),
            (
                #"{"prompt": "a", "completions": ["b"], "labels": [true, false]}"#,
                "'labels' is a list of 2"
            ),
            (
                #"{"chosen": [{"role": "assistant", "content": "b"}], "rejected": [{"role": "assistant", "content": "c"}]}"#,
                "turn in common"
            ),
        ]
        for (row, expected) in cases {
            #expect(fault(row).contains(expected), "\(row): \(fault(row))")
        }
    }
}
