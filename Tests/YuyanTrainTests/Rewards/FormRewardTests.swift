import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Rewards of form")
struct FormRewardTests {
    static let golden: JSONCursor? =
        (try? JSONDocument(path: Goldens.path("training/rewards.json")))?.root

    private static func scores(_ item: JSONCursor) -> [Double?] {
        item["scores"]?.array.map { $0.map(\.double) } ?? []
    }

    private static func expectEqual(_ found: [Double?], _ wanted: [Double?]) {
        #expect(found.count == wanted.count && !wanted.isEmpty)
        for (a, b) in zip(found, wanted) {
            switch (a, b) {
            case (nil, nil): break
            // One rounding of a cosine or a quotient may differ.
            case (let a?, let b?): #expect(abs(a - b) <= 4e-16 * max(1, abs(b)), "\(a) \(b)")
            default: Issue.record("\(String(describing: a)) for \(String(describing: b))")
            }
        }
    }

    private static func completion(_ ids: [Int32]) -> ScoredCompletion {
        ScoredCompletion(prompt: "", text: "", tokens: ids)
    }

    /// Says what it was told.
    private struct Told: RewardFunction {
        let name = "told"
        let verdicts: [Double?]
        func scores(_ completions: [ScoredCompletion]) -> [Double?] { verdicts }
    }

    @Test("repetition, overlong, cosine and think tags agree with TRL")
    func agreesWithTRL() throws {
        let golden = try #require(Self.golden)
        for item in try golden.array("repetition") {
            var reward = RepetitionReward()
            reward.size = try item.int("size")
            reward.most = try item.double("most")
            let rows = try item.array("ids").map { ids in
                Self.completion(ids.array?.compactMap(\.int).map { Int32($0) } ?? [])
            }
            Self.expectEqual(reward.scores(rows), Self.scores(item))
        }
        for item in try golden.array("overlong") {
            let reward = LengthReward(
                .overlong(
                    OverlongPunishment(
                        maximumLength: try item.int("most"), cacheLength: try item.int("cache"))))
            let rows = try item.array("lengths").compactMap(\.int).map {
                Self.completion([Int32](repeating: 1, count: $0))
            }
            Self.expectEqual(try reward.scores(rows), Self.scores(item))
        }
        for item in try golden.array("cosine") {
            let ends = try item.array("ends").compactMap(\.double)
            var cosine = LengthReward.Cosine(most: try item.int("most"))
            cosine.wrong = (ends[0], ends[1])
            cosine.correct = (shortest: ends[3], longest: ends[2])
            cosine.verdict = Told(
                verdicts: try item.array("correct").compactMap(\.int).map {
                    $0 == 2 ? nil : Double($0)
                })
            let rows = try item.array("lengths").compactMap(\.int).map {
                Self.completion([Int32](repeating: 1, count: $0))
            }
            Self.expectEqual(try LengthReward(.cosine(cosine)).scores(rows), Self.scores(item))
        }
        var think = FormatReward()
        think.tags = ["think"]
        think.allowsTail = true
        think.allowsEmpty = true
        for item in try golden.array("format") {
            let text = try item.string("text")
            #expect(think.share(of: text) == (try item.double("score")), "\(text)")
        }
    }

    @Test(
        "tags stand exactly once, in order, with nothing outside",
        arguments: [
            ("<think>a</think><answer>b</answer>", 1.0),
            (" <think>a</think>\n<answer>b</answer>\n", 1),
            ("<think>a</think><answer>b", 0), ("<answer>b</answer><think>a</think>", 0),
            ("x<think>a</think><answer>b</answer>", 0), ("<think>a</think>x<answer>b</answer>", 0),
            ("<think>a</think><answer>b</answer>x", 0), ("<think>a<answer>b</think></answer>", 0),
            ("<think>a</think><think>a</think><answer>b</answer>", 0), ("", 0),
            ("<think> </think><answer>b</answer>", 0),
            ("<think>a<think>b</think><answer>c</answer>", 0),
            ("<think>a</think><answer>b</answer><answer>b</answer>", 0), ("<think>", 0),
        ])
    func judgesFormat(text: String, score: Double) {
        #expect(FormatReward().share(of: text) == score)
        var partial = FormatReward()
        partial.isPartial = true
        let share = partial.share(of: text)
        #expect(score == 1 ? share == 1 : (0..<1).contains(share))
    }

    @Test("partial credit grows with each condition, and a prompt may have opened the first tag")
    func partialFormat() throws {
        var reward = FormatReward()
        reward.isPartial = true
        let steps = [
            "", "<think>", "<think></think>", "<think></think><answer>",
            "<think></think><answer></answer>",
            "<think>a</think><answer>b</answer>",
        ]
        let shares = steps.map { reward.share(of: $0) }
        #expect(zip(shares, shares.dropFirst()).allSatisfy { $0 < $1 } && shares[0] == 0)
        let opened = try rewards("[{name: format, opened: true}]")[0]
        #expect(try opened.score("a</think><answer>b</answer>") == 1)
        #expect(try opened.score("<think>a</think><answer>b</answer>") == 0)
        let started = ContinuousClock.now
        _ = reward.share(of: String(repeating: "<think><", count: 500_000))
        #expect(ContinuousClock.now - started < .seconds(10))
    }

    @Test("a target length is worth 1, no tokens and twice as many nothing")
    func target() throws {
        let reward = try rewards("[{name: length, target: 64}]")[0]
        #expect(try reward.score("", tokens: 64) == 1 && reward.score("", tokens: 32) == 0.5)
        #expect(try reward.score("", tokens: 0) == 0 && reward.score("", tokens: 128) == 0)
        #expect(try reward.score("", tokens: 10_000) == 0)
    }

    @Test("words repeat as tokens do, and the penalty is never positive")
    func words() throws {
        let reward = try rewards(
            "[{name: repetition, unit: word, ngram_size: 2, max_penalty: -2}]")[0]
        #expect(try reward.score("one two three") == 0)
        #expect(try reward.score("a b A b a b") == -2 * (1 - 2.0 / 5))
        #expect(try reward.score("") == 0)
    }
}
