import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Rewards of right answers")
struct AnswerRewardTests {
    @Test(
        "the final answer is found and compared exactly",
        arguments: [
            ("3 + 4 = 7", #"{"answer": 7}"#), ("It is 7.", #"{"answer": "7"}"#),
            ("1 2 3 \\boxed{7} 9", #"{"answer": "3+4"}"#),
            ("\\boxed{\\frac{1}{2}}", #"{"answer": 0.5}"#),
            ("<answer>7 apples</answer> 8", #"{"answer": 7}"#),
            ("#### 1,000", #"{"answer": "1000"}"#),
            ("<answer>3 + 4 = 7</answer>", #"{"answer": 7}"#), ("50%", #"{"answer": 0.5}"#),
            ("7", #"{"solution": "We add. #### 7"}"#), ("7", #"{"answer": "So \\boxed{7}."}"#),
            ("0.1", #"{"answer": 0.1}"#),
            ("18446744073709551617", #"{"answer": 18446744073709551617}"#),
            ("7", #"{"answer": null, "solution": "7 dollars"}"#),
            ("#### -3", #"{"answer": "12*(3+4)-87"}"#),
            ("\\boxed{1} then \\boxed{7}", #"{"answer": 7}"#), ("$7$", #"{"answer": "007"}"#),
        ])
    func accepts(text: String, columns: String) throws {
        #expect(try ArithmeticReward().score(text, columns) == 1)
    }

    @Test(
        "wrong answers, guesses and questions repeated are worth nothing",
        arguments: [
            ("8", #"{"answer": 7}"#), ("", #"{"answer": 7}"#), ("7 or 8", #"{"answer": 7}"#),
            ("\\boxed{7, 8}", #"{"answer": 7}"#), ("<answer>6 7 8</answer>", #"{"answer": 7}"#),
            ("84/12", #"{"answer": "84/12"}"#), ("\\frac{84}{12}", #"{"answer": 7}"#),
            ("\\boxed{3+4}", #"{"answer": "3+4"}"#), ("\\boxed{7", #"{"answer": 8}"#),
            ("0.30000000000000004", #"{"answer": "0.1+0.2"}"#),
            ("0.3333333333", #"{"answer": "1/3"}"#),
            ("18446744073709551616", #"{"answer": 18446744073709551617}"#),
            ("-7", #"{"answer": 7}"#),
            ("7.000000000000000000001", #"{"answer": 7}"#), ("NaN", #"{"answer": 7}"#),
            ("1e999999", #"{"answer": 7}"#), ("\\boxed{}", #"{"answer": 0}"#),
            ("7 x2", #"{"answer": 7}"#),
        ])
    func refuses(text: String, columns: String) throws {
        #expect(try ArithmeticReward().score(text, columns) == 0)
    }

    @Test("of many rows only the one with the row's number is right")
    func neverConfuses() throws {
        for answer in -60...60 {
            let rows = try (-60...60).map {
                try ScoredCompletion.sample("So: \($0)", "{\"answer\": \(answer)}")
            }
            let scores = try ArithmeticReward().scores(rows)
            #expect(scores == (-60...60).map { $0 == answer ? 1 : 0 })
        }
    }

    @Test("rows without a reference are passed over, references that are no number are named")
    func references() throws {
        #expect(try ArithmeticReward().score("7") == nil)
        #expect(try ArithmeticReward().score("7", #"{"answer": null}"#) == nil)
        for columns in [#"{"answer": "blue"}"#, #"{"answer": [7]}"#, #"{"answer": "1/0"}"#] {
            #expect {
                try ArithmeticReward().score("7", columns)
            } throws: { "\($0)".contains("completion 0") && "\($0)".contains("is no number") }
        }
    }

    @Test("where the answer stands can be prescribed")
    func places() throws {
        func score(_ place: String, _ text: String) throws -> Double? {
            try rewards("[{name: arithmetic, place: \(place)}]")[0].score(text, #"{"answer": 7}"#)
        }
        #expect(try score("boxed", "\\boxed{7} 8") == 1 && score("boxed", "7") == 0)
        #expect(try score("tag", "<answer>7</answer>") == 1 && score("tag", "\\boxed{7}") == 0)
        #expect(try score("hash", "#### 7\n8") == 1 && score("hash", "# 7") == 0)
        #expect(try score("last", "\\boxed{7} 8") == 0 && score("any", "\\boxed{7} 8") == 1)
        #expect(try score("tag", "<answer>7") == 0 && score("tag", "7</answer>") == 0)
    }

    @Test(
        "a choice is a letter where answers stand, or an option's text",
        arguments: [
            ("B", 1.0), ("(B)", 1), ("**B**", 1), ("B.", 1), ("The answer is B.", 1),
            ("Answer: (B)", 1),
            ("\\boxed{B}", 1), ("<answer>b two</answer>", 0), ("<answer>two</answer>", 1),
            ("<answer>B) two</answer>", 1), ("<answer>B) one</answer>", 0), ("two", 1), ("TWO.", 1),
            ("Option A is wrong; the answer is B", 1), ("I think (A)... no, (B)", 1),
            ("so\n\nB\n", 1), ("A", 0), ("A two", 0), ("A B C D", 0), ("Bob", 0), ("", 0),
            ("AB", 0),
            ("<answer>A or B</answer>", 0), ("the answer is A", 0), ("D", 0), ("B) three", 0),
        ])
    func chooses(text: String, score: Double) throws {
        let choices = #""choices": ["one", "two", "three"]"#
        #expect(try ChoiceReward().score(text, "{\"answer\": \"B\", \(choices)}") == score)
        #expect(try ChoiceReward().score(text, "{\"answer\": 1, \(choices)}") == score)
        #expect(try ChoiceReward().score(text, "{\"answer\": \"two\", \(choices)}") == score)
    }

    @Test("a reference that is no option is named; no reference is passed over")
    func choiceReferences() throws {
        #expect(try ChoiceReward().score("A") == nil)
        for reference in ["7", "\"Z\"", "\"four\"", "-1"] {
            let columns = "{\"answer\": \(reference), \"choices\": [\"one\", \"two\"]}"
            #expect(throws: PartialRewards.self) { try ChoiceReward().score("A", columns) }
        }
        let many =
            "{\"answer\": \"A\", \"choices\": [\((0..<11).map { "\"\($0)\"" }.joined(separator: ","))]}"
        #expect(throws: PartialRewards.self) { try ChoiceReward().score("A", many) }
        let started = ContinuousClock.now
        _ = try ChoiceReward().score(String(repeating: "A ", count: 500_000), #"{"answer": "A"}"#)
        #expect(ContinuousClock.now - started < .seconds(30))
    }
}
