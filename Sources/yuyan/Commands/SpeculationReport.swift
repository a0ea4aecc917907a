import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanTensor

/// What `bench --speculative` measures: where guessing ahead wins and where it loses.
struct SpeculationReport {
    /// Work of a kind, at a temperature, by so many sequences at once.
    struct Row {
        let work: String
        let temperature: Float
        let sequences: Int
        let speed: SpeculationSpeed

        var plain: Double { Spread(speed.plain).median }
        var guessed: Double { Spread(speed.guessed).median }
        var ratio: Double { plain > 0 ? guessed / plain : 0 }
        var acceptance: Double {
            speed.drafted > 0 ? Double(speed.accepted) / Double(speed.drafted) : 0
        }
    }

    let speculation: Speculation
    var rows: [Row] = []

    /// Answers that repeat their prompt, and answers that do not.
    static let work = [
        (
            "copy",
            """
            Repeat this Python code exactly, without any comment:
            def mean(values):
                total = 0
                for value in values:
                    total += value
                return total / len(values)

            def variance(values):
                average = mean(values)
                return sum((value - average) ** 2 for value in values) / len(values)
            """
        ),
        (
            "edit",
            """
            Rename `total` to `running_sum` in this code and print the whole code again:
            def cumulative(values):
                total = 0
                result = []
                for value in values:
                    total += value
                    result.append(total)
                return result
            """
        ),
        ("prose", "Write a short story about a swift that crosses the sea in autumn."),
    ]

    var text: String {
        var table = Table(left: [0, 7])
        table.add("work", "temperature", "at once", "plain", "guessing", "ratio", "right", "")
        for row in rows {
            let verdict = row.ratio >= 1.03 ? "wins" : row.ratio <= 0.97 ? "loses" : "even"
            table.add(
                row.work, "\(row.temperature)", "\(row.sequences)",
                row.plain.formatted(digits: 1) + " tok/s",
                row.guessed.formatted(digits: 1) + " tok/s",
                row.ratio.formatted(digits: 2) + "x",
                (row.acceptance * 100).formatted(digits: 0) + " %",
                verdict + (row.speed.agrees ? "" : ", OTHER TOKENS"))
        }
        return table.text + (rows.last.map { "last decision: \($0.speed.explanation)" } ?? "")
    }

    var json: JSONOutput {
        [
            "speculative": .string(speculation.rawValue),
            "rows": .array(
                rows.map { row in
                    [
                        "work": .string(row.work), "temperature": .float(row.temperature),
                        "sequences": .integer(row.sequences),
                        "plain_tok_s": Spread(row.speed.plain).json,
                        "guessing_tok_s": Spread(row.speed.guessed).json,
                        "ratio": .double(row.ratio), "acceptance": .double(row.acceptance),
                        "drafted": .integer(row.speed.drafted),
                        "same_tokens": .bool(row.speed.agrees),
                        "explanation": .string(row.speed.explanation),
                    ]
                }),
        ]
    }
}
