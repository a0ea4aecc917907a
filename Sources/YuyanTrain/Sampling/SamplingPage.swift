/// A sampling run on one page: `report.html`.
///
/// Nothing in it depends on time or machine, so equal runs have equal pages.
struct SamplingPage {
    let title: String
    let outcome: String
    let plan: SamplingPlan
    let summary: SamplingSummary
    /// The lines of `metrics.jsonl`.
    let lines: [ReportPage.Line]
    let examples: [SampledExample]
    /// The resolved recipe.
    let recipe: String

    var html: String {
        ReportPage.document(
            title, outcome: outcome, facts: plan.facts + results,
            body: ReportPage.curves(charts) + bestSection + exampleSection, recipe: recipe)
    }

    private var results: [(name: String, value: String)] {
        var facts = [
            (
                "samples · 样本",
                "\(summary.samples.grouped), of \((summary.keptShare * 100).shortText) % of the prompts"
            )
        ]
        if let pairs = summary.pairs { facts.append(("pairs · 成对", pairs.grouped)) }
        if let unrendered = summary.unrendered {
            facts.append(("not writable as rows · 无法写成数据", unrendered.grouped))
        }
        facts += [
            ("duplicates dropped · 去重", summary.duplicates.grouped),
            ("mean length · 平均长度", "\(summary.meanLength.shortText) tokens"),
            ("cut · 截断", "\((summary.clippedShare * 100).shortText) % of the answers"),
        ]
        if let reward = summary.meanReward {
            facts.append(("mean reward · 平均奖励", reward.shortText))
        }
        return facts
    }

    private var charts: [Chart] {
        func series(_ name: String, _ key: String, _ style: String) -> Chart.Series {
            Chart.Series(
                name: name, style: style,
                points: lines.compactMap { line in
                    line.values[key].map { (Double(line.step), $0) }
                })
        }
        return [
            Chart(
                title: "Best reward of n answers · n 个回答中的最高奖励",
                series: [
                    Chart.Series(
                        name: "best of n", style: "first",
                        points: summary.bestOf.map { (Double($0.count), $0.reward) })
                ]),
            Chart(
                title: "Mean reward of a batch · 每批平均奖励",
                series: [series("reward", "reward", "first")]),
            Chart(
                title: "Tokens of an answer · 回答的词元数",
                series: [
                    series("mean · 平均", "completions/mean_length", "first"),
                    series("longest · 最长", "completions/max_length", "second"),
                ]),
            Chart(
                title: "Share of prompts with a kept answer · 有保留回答的提示词占比",
                series: [series("prompts", "samples/prompt_ratio", "first")]),
        ]
    }

    private var bestSection: String {
        guard !summary.bestOf.isEmpty else { return "" }
        let rows = summary.bestOf.map { ["best of \($0.count)", $0.reward.shortText] }
        return "<h2>Best of n · n 选最佳</h2>\n" + ReportPage.table(rows, numbers: true)
    }

    private var exampleSection: String {
        guard !examples.isEmpty else { return "" }
        var section = "<h2>Examples · 样例</h2>\n"
        for example in examples {
            section += "<div class=\"sample\"><pre>\(example.prompt.escaped)</pre>\n"
            section += Self.answer(
                example.worst == nil ? "answer · 回答" : "best · 最佳", example.best)
            if let worst = example.worst { section += Self.answer("worst · 最差", worst) }
            section += "</div>\n"
        }
        return section
    }

    private static func answer(_ name: String, _ answer: SampledExample.Answer) -> String {
        let reward = answer.reward.map { ": \($0.shortText)" } ?? ""
        return "<h3>\(name)\(reward)</h3><pre>\(answer.text.escaped)</pre>\n"
    }
}
