import Testing

@testable import YuyanTrain

@Suite("report.html")
struct ReportPageTests {
    private var page: ReportPage {
        ReportPage(
            title: "A <run>", outcome: "Finished after 4 steps.",
            facts: [("model · 模型", "m & n")],
            lines: [
                .init(step: 1, values: ["loss": 2, "grad_norm": 1, "learning_rate": 1e-4]),
                .init(step: 2, values: ["eval_loss": 2.5]),
                .init(step: 2, values: ["loss": 1, "grad_norm": 0.5, "learning_rate": 5e-5]),
                .init(step: 4, values: ["loss": 0.5, "grad_norm": .nan]),
                .init(step: 4, values: ["eval_loss": 3]),
            ],
            memory: [("weights", 3 << 20), ("gradients", 1 << 20)], measuredPeak: 5 << 20,
            samples: [.init(prompt: "<|im_start|>", before: "a", after: "b", reference: "c")],
            recipe: "a: \"<b>\"\n")
    }

    @Test("nothing of a run is taken for markup, and nothing is loaded from elsewhere")
    func escapes() {
        let html = page.html
        #expect(html.contains("A &lt;run&gt;") && html.contains("m &amp; n"))
        #expect(html.contains("&lt;|im_start|&gt;") && html.contains("a: &quot;&lt;b&gt;&quot;"))
        #expect(!html.contains("<script") && !html.contains("http"))
    }

    @Test("the verdict follows validation loss")
    func judges() {
        func verdict(_ validation: [(Int, Double)]) -> FitVerdict {
            FitVerdict(
                training: [(1, 2), (2, 1)], validation: validation.map { (step: $0, loss: $1) })
        }
        #expect(verdict([]) == .unknown)
        #expect(verdict([(1, 2), (2, 1.5)]) == .improving(gap: 0.5))
        #expect(verdict([(1, 1), (2, 1.5)]) == .overfitting(since: 1, worse: 0.5, gap: 0.5))
        #expect(verdict([(1, 1), (2, 1.01)]) == .level(since: 1, gap: 1.01 - 1))
        #expect(page.verdict == .overfitting(since: 2, worse: 3 / 2.5 - 1, gap: 2.5))
    }

    @Test(
        "axes have round numbers",
        arguments: [
            (0.0, 1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1, 12, 8, [0, 2, 4, 6, 8, 10, 12]),
            (0, 5e-5, 5, [0, 1e-5, 2e-5, 3e-5, 4e-5, 5e-5]),
        ] as [(Double, Double, Int, [Double])])
    func axes(low: Double, high: Double, count: Int, ticks: [Double]) {
        let axis = Axis(from: low, to: high, ticks: count)
        #expect(axis.ticks.count == ticks.count)
        for (found, expected) in zip(axis.ticks, ticks) {
            #expect(abs(found - expected) <= 1e-9 * high)
        }
        #expect(axis.low <= low && axis.high >= high)
    }

    @Test("a flat curve, one point and a million are drawn")
    func drawsExtremes() {
        func chart(_ points: [(x: Double, y: Double)]) -> String? {
            Chart(title: "t", series: [.init(name: "n", style: "first", points: points)]).svg
        }
        #expect(chart([]) == nil)
        #expect(chart([(1, .nan)]) == nil)
        #expect(chart([(1, 2)])?.contains("<circle") == true)
        #expect(chart([(1, 2), (2, 2)])?.contains("<polyline") == true)
        #expect(chart([(1, 0), (2, 0)])?.contains("nan") == false)
        let many = chart((0..<1_000_000).map { (Double($0), Double($0 % 97)) }) ?? ""
        #expect(many.utf8.count < 60_000 && many.contains("<polyline"))
    }

    @Test("points have their words, and only steps have to be whole")
    func labels() throws {
        func svg(_ horizontal: Chart.Horizontal) -> String? {
            Chart(
                title: "t",
                series: [
                    .init(
                        name: "n", style: "first", points: [(0.5, 1), (.nan, 2), (1, 3)],
                        labels: ["<a>", "lost", "b"])
                ], horizontal: horizontal
            ).svg
        }
        let numbers = try #require(svg(.numbers))
        #expect(numbers.split(separator: "<circle").count == 3)
        #expect(numbers.contains(">&lt;a&gt;</text>") && numbers.contains(">b</text>"))
        #expect(!numbers.contains("lost") && numbers.contains(">0.7</text>"))
        #expect(try #require(svg(.steps)).contains(">0.7</text>") == false)
    }

    @Test("sections of a method stand between curves and memory")
    func sections() {
        var page = page
        page.sections = [
            ReportSection(
                title: "A <part>", text: ["x & y"],
                charts: [
                    Chart(title: "t", series: [.init(name: "n", style: "first", points: [(1, 2)])])
                ], rows: [["name", "<1>"]])
        ]
        let html = page.html
        #expect(html.contains("<h2>A &lt;part&gt;</h2>\n<p>x &amp; y</p>"))
        #expect(html.contains("<th>name</th><td class=\"number\">&lt;1&gt;</td>"))
        let places = ["Curves", "A &lt;part&gt;", "Memory"].compactMap {
            html.firstRange(of: $0)?.lowerBound
        }
        #expect(places.count == 3 && places == places.sorted())
    }

    @Test(
        "numbers are short",
        arguments: [
            (0.0, "0"), (0.0002, "0.0002"), (1.25, "1.25"), (12000, "12000"), (2e-6, "2e-06"),
            (-0.5, "-0.5"), (1e12, "1e+12"), (99.996, "100"), (0.12345, "0.1235"),
        ])
    func shortens(value: Double, text: String) { #expect(value.shortText == text) }
}
