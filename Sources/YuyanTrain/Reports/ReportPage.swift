import YuyanFormats

/// A run on one page: `report.html`, complete in itself, without scripts.
public struct ReportPage: Sendable {
    /// The run's name.
    public var title: String
    /// How it ended, in one sentence.
    public var outcome: String
    /// Facts in pairs: model, parameters, data, steps.
    public var facts: [(name: String, value: String)]
    /// The lines of `metrics.jsonl`.
    public var lines: [Line]
    /// Memory by part as predicted, in bytes.
    public var memory: [(part: String, bytes: Int)]
    /// The most that the process held.
    public var measuredPeak: Int?
    /// Answers before and after.
    public var samples: [Sample]
    /// What the method adds.
    public var sections: [ReportSection]
    /// The resolved recipe.
    public var recipe: String

    /// One logged line: a step and its numbers.
    public struct Line: Sendable {
        /// Counted from 1.
        public let step: Int
        /// By key.
        public let values: [String: Double]

        /// One line.
        public init(step: Int, values: [String: Double]) {
            self.step = step
            self.values = values
        }
    }

    /// A prompt, and what the model answered before and after.
    public struct Sample: Sendable, Hashable {
        /// As the model read it.
        public var prompt: String
        /// The untrained model's answer.
        public var before: String
        /// The trained model's answer.
        public var after: String
        /// The answer in the data, if the prompt has one.
        public var reference: String?

        /// One prompt with its answers.
        public init(prompt: String, before: String, after: String, reference: String? = nil) {
            self.prompt = prompt
            self.before = before
            self.after = after
            self.reference = reference
        }
    }

    /// Gathers what is known of a run.
    public init(
        title: String, outcome: String, facts: [(name: String, value: String)], lines: [Line],
        memory: [(part: String, bytes: Int)] = [], measuredPeak: Int? = nil,
        samples: [Sample] = [], sections: [ReportSection] = [], recipe: String
    ) {
        self.sections = sections
        self.title = title
        self.outcome = outcome
        self.facts = facts
        self.lines = lines
        self.memory = memory
        self.measuredPeak = measuredPeak
        self.samples = samples
        self.recipe = recipe
    }

    /// Reads the lines of a log.
    ///
    /// - Throws: `FormatError` if a line is damaged.
    public static func lines(of path: String) throws -> [Line] {
        let file = try MappedFile(path: path)
        let bytes = file.withBytes { all in all.withUnsafeBytes { Array($0) } }
        return try bytes.split(separator: 0x0A).map { line in
            let root = try JSONDocument(bytes: Array(line), name: path).root
            var values: [String: Double] = [:]
            for (key, value) in root.entries ?? [] { values[key] = value.double }
            return Line(step: try root.int("step"), values: values)
        }
    }

    /// What the losses say.
    public var verdict: FitVerdict {
        if points("loss").isEmpty, !points("eval_loss").isEmpty { return .untrained }
        let rewards = points("eval_reward")
        if let first = rewards.first, let last = rewards.last {
            return .rewarded(first: first.loss, last: last.loss)
        }
        // The loss of a policy says nothing about its fit.
        let losses = points("reward").isEmpty ? points("loss") : []
        return FitVerdict(
            training: losses, validation: losses.isEmpty ? [] : points("eval_loss"))
    }

    private func points(_ key: String) -> [(step: Int, loss: Double)] {
        lines.compactMap { line in line.values[key].map { (line.step, $0) } }
    }

    // MARK: - HTML

    /// The page.
    public var html: String {
        var body = "<h2>Fit · 拟合</h2>\n"
        let verdict = verdict.text
        body +=
            "<p>\(verdict.english.escaped)<br><span lang=\"zh\">\(verdict.chinese.escaped)</span></p>\n"
        body +=
            Self.curves(charts) + sections.map(Self.html).joined() + memorySection + sampleSection
        return Self.document(title, outcome: outcome, facts: facts, body: body, recipe: recipe)
    }

    /// The frame of a page: title, facts, what `body` shows, and the recipe.
    static func document(
        _ title: String, outcome: String, facts: [(name: String, value: String)], body: String,
        recipe: String
    ) -> String {
        var page = head(title) + "<p>\(outcome.escaped)</p>\n"
        page += table(facts.map { [$0.name, $0.value] })
        page += body
        page += "<h2>Recipe · 配置</h2>\n<pre>\(recipe.escaped)</pre>\n</body>\n</html>\n"
        return page
    }

    /// The beginning of a page, up to its title.
    static func head(_ title: String) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(title.escaped)</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <h1>\(title.escaped)</h1>

        """
    }

    /// Charts side by side; those without points are left out.
    static func curves(_ charts: [Chart]) -> String {
        let pictures = charts.compactMap(\.svg).map { $0 + "\n" }.joined()
        return "<h2>Curves · 曲线</h2>\n<div class=\"curves\">\n\(pictures)</div>\n"
    }

    private static func html(_ section: ReportSection) -> String {
        var text = "<h2>\(section.title.escaped)</h2>\n"
        for line in section.text { text += "<p>\(line.escaped)</p>\n" }
        text += "<div class=\"curves\">\n"
        for chart in section.charts { if let svg = chart.svg { text += svg + "\n" } }
        return text + "</div>\n" + (section.rows.isEmpty ? "" : table(section.rows, numbers: true))
    }

    private var charts: [Chart] {
        func series(_ name: String, _ key: String, _ style: String) -> Chart.Series {
            Chart.Series(
                name: name, style: style, points: points(key).map { (Double($0.step), $0.loss) })
        }
        return [
            Chart(
                title: "Loss · 损失",
                series: [
                    series("training · 训练", "loss", "first"),
                    series("validation · 验证", "eval_loss", "second"),
                ]),
            Chart(
                title: "Token accuracy · 词元准确率",
                series: [
                    series("training · 训练", "mean_token_accuracy", "first"),
                    series("validation · 验证", "eval_mean_token_accuracy", "second"),
                ]),
            Chart(
                title: "Gradient norm · 梯度范数", series: [series("grad_norm", "grad_norm", "first")]),
            Chart(
                title: "Learning rate · 学习率",
                series: [series("learning_rate", "learning_rate", "first")]),
            Chart(
                title: "Tokens a second · 每秒词元",
                series: [series("tokens_per_second", "tokens_per_second", "first")]),
        ]
    }

    private var memorySection: String {
        guard !memory.isEmpty else { return "" }
        var rows = memory.map { [$0.part, $0.bytes.binarySize] }
        let total = memory.reduce(0) { $0 + $1.bytes }
        rows.append(["predicted in all · 预测合计", total.binarySize])
        if let measuredPeak {
            let share = Double(measuredPeak - total) / Double(max(1, total)) * 100
            rows.append([
                "measured peak · 实测峰值",
                "\(measuredPeak.binarySize) (\(share < 0 ? "" : "+")\(share.shortText) %)",
            ])
        }
        return "<h2>Memory · 内存</h2>\n" + Self.table(rows, numbers: true)
    }

    private var sampleSection: String {
        guard !samples.isEmpty else { return "" }
        var section = "<h2>Samples · 样例</h2>\n"
        for sample in samples {
            section += "<div class=\"sample\"><pre>\(sample.prompt.escaped)</pre>\n"
            section += "<h3>before · 训练前</h3><pre>\(sample.before.escaped)</pre>\n"
            section += "<h3>after · 训练后</h3><pre>\(sample.after.escaped)</pre>\n"
            if let reference = sample.reference {
                section += "<h3>in the data · 数据</h3><pre>\(reference.escaped)</pre>\n"
            }
            section += "</div>\n"
        }
        return section
    }

    static func table(_ rows: [[String]], numbers: Bool = false) -> String {
        let body = rows.map { row in
            "<tr>"
                + row.enumerated().map { index, cell in
                    let style = numbers && index > 0 ? " class=\"number\"" : ""
                    return index == 0
                        ? "<th>\(cell.escaped)</th>" : "<td\(style)>\(cell.escaped)</td>"
                }.joined() + "</tr>"
        }
        return "<table>\n" + body.joined(separator: "\n") + "\n</table>\n"
    }

    static let style = """
        :root { color-scheme: light dark; --line: #8884; --first: #2563eb; --second: #d97706; }
        @media (prefers-color-scheme: dark) { :root { --first: #7aa2f7; --second: #e0af68; } }
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 1340px; margin: 2em auto; padding: 0 1em; }
        h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; } h3 { font-size: 0.9em; margin: 0.6em 0 0; }
        table { border-collapse: collapse; } th, td { border-bottom: 1px solid var(--line); padding: 0.25em 1em 0.25em 0; text-align: left; font-weight: normal; vertical-align: top; }
        th { opacity: 0.7; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
        pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); padding: 0.6em; margin: 0.3em 0; font-size: 13px; }
        .sample { margin-bottom: 1.6em; }
        .curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1em; }
        svg { width: 100%; height: auto; border: 1px solid var(--line); }
        svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
        svg .title { font-weight: 600; } svg .tick { opacity: 0.65; font-size: 11px; }
        svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
        svg .grid { stroke: currentColor; opacity: 0.15; }
        svg polyline { fill: none; stroke-width: 1.6; }
        svg polyline.first { stroke: var(--first); } svg polyline.second { stroke: var(--second); }
        svg polyline.guide { stroke: currentColor; opacity: 0.5; stroke-dasharray: 4 4; }
        svg circle.first, svg .legend.first { fill: var(--first); }
        svg circle.second, svg .legend.second { fill: var(--second); }
        """
}

extension Int {
    /// As a size of memory: B, KiB, MiB or GiB.
    package var binarySize: String {
        let value = Double(self)
        func decimal(_ value: Double) -> String {
            let tenths = Int((value * 10).rounded())
            return "\(tenths / 10).\(abs(tenths % 10))"
        }
        return switch self {
        case ..<1024: "\(self) B"
        case ..<(1 << 20): decimal(value / 1024) + " KiB"
        case ..<(1 << 30): decimal(value / Double(1 << 20)) + " MiB"
        default: decimal(value / Double(1 << 30)) + " GiB"
        }
    }
}
