/// A pipeline on one page: `report.html`, complete in itself, without scripts.
struct PipelinePage {
    let title: String
    let result: PipelineResult
    /// The logs of stages that were begun, by name.
    let curves: [String: [ReportPage.Line]]

    var html: String {
        var page = ReportPage.head(title) + "<p>\(outcome.escaped)</p>\n"
        page += "<h2>Stages · 阶段</h2>\n" + ReportPage.table(stageRows)
        if !result.evaluationNames.isEmpty {
            page += "<h2>After each stage · 各阶段之后</h2>\n"
            page += ReportPage.table(evaluationRows, numbers: true)
            page += "<div class=\"curves\">\n"
            for chart in evaluationCharts { if let svg = chart.svg { page += svg + "\n" } }
            page += "</div>\n"
        }
        for stage in result.stages { page += section(stage) }
        return page + "</body>\n</html>\n"
    }

    private var outcome: String {
        let done = result.stages.count { Self.isDone($0) }
        let count = "\(done) of \(result.stages.count) stages are finished"
        return result.signal == nil ? count + "." : count + "; it was interrupted."
    }

    private static func isDone(_ stage: PipelineResult.Stage) -> Bool {
        ["finished", "stopped_early"].contains(stage.status)
    }

    private var stageRows: [[String]] {
        var rows = [
            ["stage · 阶段", "method · 方法", "state · 状态", "steps · 步数", "time · 用时", "figures · 指标"]
        ]
        for (index, stage) in result.stages.enumerated() {
            let figures = stage.figures.map {
                "\($0.name) \($0.first.shortText) → \($0.last.shortText)"
            }
            rows.append([
                "\(index + 1) \(stage.name)", stage.kind, stage.status, "\(stage.steps)",
                "\(Int(stage.seconds.rounded())) s", figures.joined(separator: ", "),
            ])
        }
        return rows
    }

    /// The start and every stage that was evaluated.
    private var evaluated: [(place: Int, name: String, figures: [(name: String, value: Double)])] {
        let all =
            [(0, "start · 起点", result.start)]
            + result.stages.enumerated().map { ($0 + 1, "\($0 + 1) \($1.name)", $1.evaluation) }
        return all.filter { !$0.2.isEmpty }.map { (place: $0, name: $1, figures: $2) }
    }

    private var evaluationRows: [[String]] {
        let names = result.evaluationNames
        var rows = [["stage · 阶段"] + names]
        for row in evaluated {
            rows.append(
                [row.name]
                    + names.map { name in
                        row.figures.first { $0.name == name }?.value.shortText ?? "–"
                    })
        }
        return rows
    }

    /// One of each figure, over the places of stages; 0 is the start.
    private var evaluationCharts: [Chart] {
        result.evaluationNames.map { name in
            Chart(
                title: name,
                series: [
                    Chart.Series(
                        name: name, style: "first",
                        points: evaluated.compactMap { row in
                            row.figures.first { $0.name == name }.map {
                                (Double(row.place), $0.value)
                            }
                        })
                ])
        }
    }

    private func section(_ stage: PipelineResult.Stage) -> String {
        guard let lines = curves[stage.name] else { return "" }
        var section = "<h2>\(stage.name.escaped)</h2>\n"
        if Self.isDone(stage) {
            let link = Self.link(to: stage.folder + "/report.html", from: result.folder)
            section += "<p><a href=\"\(link)\">report · 报告</a></p>\n"
        }
        func points(_ key: String) -> [(x: Double, y: Double)] {
            lines.compactMap { line in line.values[key].map { (Double(line.step), $0) } }
        }
        let isRewarded = !points("reward").isEmpty
        let (training, validation) =
            isRewarded ? ("reward", "eval_reward") : ("loss", "eval_loss")
        let chart = Chart(
            title: isRewarded ? "Reward · 奖励" : "Loss · 损失",
            series: [
                Chart.Series(name: "training · 训练", style: "first", points: points(training)),
                Chart.Series(name: "validation · 验证", style: "second", points: points(validation)),
            ])
        if let svg = chart.svg { section += "<div class=\"curves\">\n\(svg)\n</div>\n" }
        return section
    }

    /// A path as a link in a page of a folder; what URLs cannot hold is written in hexadecimal.
    static func link(to path: String, from folder: String) -> String {
        let inside = path.hasPrefix(folder + "/")
        let place = inside ? String(path.dropFirst(folder.count + 1)) : path
        var link = ""
        for byte in place.utf8 {
            let scalar = Unicode.Scalar(byte)
            let isPlain =
                scalar.isASCII
                && (scalar.properties.isAlphabetic
                    || "0123456789-._~/".unicodeScalars.contains(scalar))
            let digits = String(byte, radix: 16, uppercase: true)
            link += isPlain ? String(Character(scalar)) : "%" + (byte < 16 ? "0" : "") + digits
        }
        // A stage's own folder outside of the pipeline's may be named from where the command ran.
        return inside || place.hasPrefix("/")
            ? link : String(repeating: "../", count: Self.depth(folder)) + link
    }

    /// How many folders up a relative path's beginning is.
    private static func depth(_ folder: String) -> Int {
        folder.hasPrefix("/") ? 0 : folder.split(separator: "/").count { $0 != "." }
    }
}
