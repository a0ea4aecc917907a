import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Sets of rewards")
struct RewardSetTests {
    private struct Fixed: RewardFunction {
        let name: String
        let values: [Double?]
        var error: PartialRewards?

        func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
            if let error { throw error }
            return values
        }
    }

    private struct Throwing: RewardFunction {
        let name = "throwing"
        func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
            throw RewardFault("no power")
        }
    }

    private static let rows = (0..<3).map {
        ScoredCompletion(prompt: "", text: "", place: "d.jsonl:\($0 + 1)")
    }

    @Test("a total is the weighted sum of the functions that apply, and every part is kept")
    func totals() throws {
        let set = try RewardSet(
            [Fixed(name: "a", values: [1, 2, nil]), Fixed(name: "b", values: [10, nil, 30])],
            weights: [1, 0.5])
        let result = try set.score(Self.rows)
        #expect(result.totals == [6, 2, 15])
        #expect(result.parts == [[1, 2, nil], [10, nil, 30]] && result.names == ["a", "b"])
        #expect(result.faults.isEmpty)
        #expect(result.statistics(of: 0)?.mean == 1.5)
        #expect(result.statistics(of: 0)?.deviation == 0.5.squareRoot())
        #expect(try RewardSet([Fixed(name: "a", values: [])]).score([]).totals.isEmpty)
    }

    @Test(
        "bad rewards are errors that name function and row, or are counted",
        arguments: [Double.nan, .infinity, -.infinity, 1e300, -1e300, 2e9])
    func notFinite(value: Double) throws {
        let function = Fixed(name: "bad", values: [1, value, 2])
        #expect {
            try RewardSet([function]).score(Self.rows)
        } throws: {
            "\($0)".contains("'bad'") && "\($0)".contains("completion 1 of d.jsonl:2")
                && "\($0)".contains("\(value)")
        }
        let skipped = try RewardSet([function], policy: .skip).score(Self.rows)
        #expect(skipped.totals == [1, nil, 2] && skipped.faults.map(\.row) == [1])
        let zero = try RewardSet([function], policy: .zero).score(Self.rows)
        #expect(zero.totals == [1, 0, 2] && zero.faults.count == 1)
    }

    @Test("wrong counts, throwing functions and partial failures are named and bounded")
    func failures() throws {
        let cases: [(any RewardFunction, String, Int)] = [
            (Fixed(name: "few", values: [1]), "1 scores for 3 completions", 3),
            (Throwing(), "no power", 3),
            (
                Fixed(
                    name: "partial", values: [],
                    error: PartialRewards(scores: [1, nil, 3], faults: [1: "odd"])), "odd", 1
            ),
            (
                Fixed(
                    name: "broken", values: [],
                    error: PartialRewards(scores: [1], faults: [1: "odd"])),
                "odd", 1
            ),
        ]
        for (function, what, count) in cases {
            #expect {
                try RewardSet([function]).score(Self.rows)
            } throws: { "\($0)".contains(what) && "\($0)".contains(function.name) }
            let good = Fixed(name: "good", values: [5, 5, 5])
            let result = try RewardSet([good, function], policy: .skip).score(Self.rows)
            #expect(result.faults.count == count && result.totals.allSatisfy { $0 != nil })
        }
    }

    @Test("a row to which nothing applies is an error under every policy")
    func nothingApplies() throws {
        for policy in RewardFaultPolicy.allCases {
            #expect {
                try RewardSet([Fixed(name: "a", values: [1, nil, 1])], policy: policy)
                    .score(Self.rows)
            } throws: { "\($0)".contains("completion 1") && "\($0)".contains("columns") }
        }
    }

    @Test("sets that make no sense are refused")
    func refusals() {
        let one = Fixed(name: "a", values: [])
        #expect(throws: RewardError.noFunctions) { try RewardSet([]) }
        #expect(throws: RewardError.sameName("a")) { try RewardSet([one, one]) }
        #expect(throws: RewardError.weightCount(weights: 2, functions: 1)) {
            try RewardSet([one], weights: [1, 2])
        }
        #expect(throws: RewardError.self) { try RewardSet([one], weights: [.nan]) }
        let huge = Fixed(name: "h", values: [1e8, 1e8, 1e8])
        #expect { try RewardSet([huge], weights: [1e10]).score(Self.rows) } throws: {
            "\($0)".contains("weighted sum")
        }
    }

    @Test("a recipe's list builds the functions, with weights and labels")
    func recipe() throws {
        let list = """
            [arithmetic, format, {name: length, target: 64, label: short}, choice, repetition,
             {name: regex, pattern: '\\d'}, {name: json_schema, schema: {type: object}},
             {program: /bin/cat, timeout: 0.5, memory: 512MB, arguments: [-u]}]
            """.replacing("\n", with: " ")
        #expect(
            try rewards(list).map(\.name) == [
                "arithmetic", "format", "short", "choice", "repetition", "regex", "json_schema",
                "program",
            ])
        #expect(try rewards("arithmetic, format").map(\.name) == ["arithmetic", "format"])
        let node = try YAMLDocument.value("[arithmetic, {name: length, target: 64}]", name: "t")
        let value = try #require(RecipeRewards(node))
        let again = try YAMLDocument.value(value.node.inline, name: "again")
        #expect(RecipeRewards(again)?.node.inline == value.node.inline)
        let set = try RewardSet(value, weights: [1, 0.5], policy: .stop, place: "r.yaml:1")
        #expect(set.weights == [1, 0.5])
    }

    @Test(
        "wrong entries are errors that name place, key, what was found and what was expected",
        arguments: [
            ("[arithmetik]", "nearest: arithmetic"), ("[{target: 64}]", "{name: length"),
            ("[{name: length, targt: 64}]", "nothing"),
            ("[{name: length, target: 0}]", "1 or more"),
            ("[{name: length, target: 5, x: 1}]", "'reward_funcs.length.x' is unknown"),
            ("[{name: length, target: many}]", "a whole number"),
            ("[{name: length, mode: cosine}]", "max_len"),
            (
                "[{name: length, mode: overlong, max_completion_len: 5, soft_punish_cache: 6}]",
                "no fewer"
            ),
            ("[{name: arithmetic, place: box}]", "one of any, boxed"),
            ("[[a]]", "a list in the list"),
            ("[{name: format, tags: [a, a]}]", "all different"),
            ("[{name: format, tags: ['<a>']}]", "brackets"),
            ("[{name: repetition, max_penalty: 1}]", "0 or less"),
            ("[{name: regex}]", "a regular expression"),
            ("[{name: choice, letters: AA}]", "all different"),
            ("[{name: length, mode: cosine, max_len: 9, correct_by: no}]", "one of arithmetic"),
            ("[{program: ./no-such-program}]", "not there"), ("[{program: /etc/passwd}]", "chmod"),
            ("[{program: /bin/cat, memory: little}]", "512MB"),
            ("[{program: /bin/cat, timeout: 0}]", "above 0"),
            ("[{name: program}]", "./reward.py"),
            ("[{name: json_schema, schema: {}, schema_column: s}]", "2 times"),
        ])
    func refusesEntries(list: String, reason: String) {
        #expect { try rewards(list) } throws: {
            "\($0)".contains(reason) && "\($0)".contains("r.yaml")
                && "\($0)".contains("reward_funcs")
        }
    }
}
