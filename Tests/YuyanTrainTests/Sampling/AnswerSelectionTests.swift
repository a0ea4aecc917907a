import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

@Suite("Which answers are kept")
struct AnswerSelectionTests {
    private func candidates(
        _ answers: (String, Double?)...
    ) -> [AnswerSelection.Candidate] {
        answers.map { AnswerSelection.Candidate(text: $0.0, reward: $0.1) }
    }

    private func rule(
        keep: Int = 1, threshold: Double? = nil, margin: Double? = nil, isScored: Bool = true
    ) -> AnswerSelection.Rule {
        var rule = AnswerSelection.Rule()
        (rule.keep, rule.threshold, rule.margin, rule.isScored) =
            (keep, threshold, margin, isScored)
        return rule
    }

    @Test("the best come first, equal ones in their order")
    func ranks() {
        let answers = candidates(("a", 1), ("b", 3), ("c", 1), ("d", 3), ("e", -1))
        #expect(AnswerSelection(answers, rule()).kept == [1])
        #expect(AnswerSelection(answers, rule(keep: 3)).kept == [1, 3, 0])
        #expect(AnswerSelection(answers, rule(keep: 9)).kept == [1, 3, 0, 2, 4])
        #expect(AnswerSelection(answers, rule(keep: 9, threshold: 1)).kept == [1, 3, 0, 2])
        #expect(AnswerSelection(answers, rule(keep: 9, threshold: 3.5)).kept.isEmpty)
    }

    @Test("what is said twice is kept once, and counted if it was good enough")
    func deduplicates() {
        let answers = candidates(
            ("x", 0), ("yes", 1), (" yes\n", 2), ("yes ", 2), ("x", 0), ("z", 1))
        let all = AnswerSelection(answers, rule(keep: 9))
        #expect(all.kept == [2, 5, 0] && all.duplicates == 3)
        let good = AnswerSelection(answers, rule(keep: 9, threshold: 1))
        #expect(good.kept == [2, 5] && good.duplicates == 2)
        #expect(AnswerSelection(answers, rule(keep: 1)).duplicates == 3)
    }

    @Test("answers without text, without a reward or not eligible are never kept")
    func leavesOut() {
        var answers = candidates((" \n", 9), ("a", nil), ("b", .nan), ("c", 1), ("d", 2))
        answers[4].isEligible = false
        let selection = AnswerSelection(answers, rule(keep: 9, margin: 0))
        #expect(selection.kept == [3] && selection.pair == nil && selection.duplicates == 0)
        #expect(AnswerSelection([], rule(margin: 0)).kept.isEmpty)
    }

    @Test("without rewards answers are kept in their order, and there are no pairs")
    func unscored() {
        let answers = candidates(("b", nil), ("", nil), ("a", nil), ("b", nil), ("c", nil))
        let selection = AnswerSelection(answers, rule(keep: 2, margin: 0, isScored: false))
        #expect(selection.kept == [0, 2] && selection.duplicates == 1 && selection.pair == nil)
    }

    @Test("a pair is the best and the worst answer, if they differ by the margin")
    func pairs() {
        let answers = candidates(("a", 1), ("b", 3), ("c", 0.5), ("d", 0.5), ("e", 3))
        let pair = AnswerSelection.Pair(chosen: 1, rejected: 2)
        #expect(AnswerSelection(answers, rule(margin: 0)).pair == pair)
        #expect(AnswerSelection(answers, rule(margin: 2.5)).pair == pair)
        #expect(AnswerSelection(answers, rule(margin: 2.6)).pair == nil)
        #expect(AnswerSelection(answers, rule()).pair == nil)
        // A threshold is for what is kept.
        #expect(AnswerSelection(answers, rule(threshold: 9, margin: 0)).pair == pair)
        let level = candidates(("a", 1), ("b", 1))
        #expect(AnswerSelection(level, rule(margin: 0)).pair == nil)
        // A program that scores the same text twice may not agree with itself.
        let same = candidates(("a", 1), (" a ", 0), ("b", 0.5))
        #expect(
            AnswerSelection(same, rule(margin: 0)).pair
                == AnswerSelection.Pair(chosen: 0, rejected: 2))
    }

    // MARK: - Rows

    private func row(_ prompt: Passage, _ columns: String, tools: [Tool] = []) throws
        -> PromptColumns
    {
        let root = try JSONDocument(bytes: Array(columns.utf8), name: "row").root
        return PromptColumns(text: "p", columns: root.entries ?? [], prompt: prompt, tools: tools)
    }

    /// What a reader of the row makes of it.
    private func read(_ row: JSONOutput) throws -> (shape: DataShape, row: DataRow) {
        let root = try JSONDocument(bytes: Array(row.description.utf8), name: "row").root
        let shape = try DataShape(of: root, ShapeNames())
        return (shape, try RowParser(shape: shape, names: ShapeNames()).parse(root))
    }

    @Test("a text's answer is a prompt with a completion, whatever columns the row has")
    func writesTexts() throws {
        let columns = #"""
            {"answer": "7", "level": [1, {"a": null}], "label": "B", "instruction": "no",
             "messages": [], "reward": 5, "kto_tag": true, "rejected_response": "x"}
            """#
        let source = try row(.text("2 + 5 = "), columns)
        let sample = source.learnable(SampledAnswer(" 7"), reward: 0.5)
        #expect(
            sample.description
                == #"{"prompt": "2 + 5 = ", "completion": " 7", "answer": "7", "level": [1, {"a": null}], "#
                + #""reward": 0.5}"#)
        guard case .completion(let prompt, let completion) = try read(sample).row else {
            Issue.record("\(sample)")
            return
        }
        #expect(prompt == "2 + 5 = " && completion == " 7")
        #expect(source.learnable(SampledAnswer(" 7"), reward: nil)["reward"] == nil)

        let pair = source.preference(
            chosen: (SampledAnswer(" 7"), 1), rejected: (SampledAnswer(" 8"), 0))
        guard case .preference(let found) = try read(pair).row else {
            Issue.record("\(pair)")
            return
        }
        #expect(found.chosen == .text(" 7") && found.rejected == .text(" 8"))
        #expect(found.margin == nil && pair["answer"] != nil && pair["chosen_reward"] != nil)
    }

    @Test("a conversation's answer is one more message, and the only one that is learnt")
    func writesMessages() throws {
        var asked = ChatTurn(role: "assistant", content: nil)
        asked.calls = [ToolCall(id: "c1", name: "add", arguments: #"{"a": 2}"#)]
        asked.reasoning = "hm"
        var result = ChatTurn(role: "tool", content: "7")
        (result.callID, result.name) = ("c1", "add")
        let turns = [
            ChatTurn(role: "system", content: "be short"), ChatTurn(role: "user", content: "2+5?"),
            asked, result,
        ]
        let tool = Tool(name: "add", summary: "adds")
        let source = try row(
            .turns(turns.map { TrainingTurn($0) }), #"{"messages": [], "answer": 7}"#,
            tools: [tool])
        let sample = source.learnable(SampledAnswer("It is 7."), reward: 1)
        let (shape, found) = try read(sample)
        guard case .conversation(let conversation) = found else {
            Issue.record("\(sample)")
            return
        }
        #expect(shape == DataShape(base: .messages))
        #expect(
            conversation.turns.map(\.turn)
                == turns + [ChatTurn(role: "assistant", content: "It is 7.")])
        #expect(conversation.turns.map(\.weight) == [nil, nil, 0, nil, nil])
        #expect(conversation.tools.map(\.name) == ["add"])

        let pair = source.preference(
            chosen: (SampledAnswer("7"), 1), rejected: (SampledAnswer("8"), 0))
        guard case .preference(let two) = try read(pair).row else {
            Issue.record("\(pair)")
            return
        }
        #expect(two.prompt == .turns(turns.map { TrainingTurn($0) }))
        #expect(
            two.rejected == .turns([TrainingTurn(ChatTurn(role: "assistant", content: "8"))]))
        #expect(two.tools.map(\.name) == ["add"])
    }
}
