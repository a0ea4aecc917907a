extension ReportSection {
    /// Whether a reward model is right as often as it says, and whether it pays for length.
    init(_ report: RewardReport) {
        title = "Reliability · 可靠性"
        text = [
            "Of the validation set's last evaluation: \(report.count.grouped) pairs. Where the model "
                + "gives the answer that it prefers a chance, it should be right as often: points below "
                + "the diagonal are overconfident, those above it too timid.",
            "验证集最近一次评估，共 \(report.count.grouped) 对。模型给所偏好回答的概率应等于其正确率："
                + "对角线之下为过度自信，之上为信心不足。",
        ]
        charts = [Self.reliability(report), Self.lengths(report)]
        func share(_ name: String, _ value: Double?, of count: Int) -> [String] {
            [name, value.map { "\(($0 * 100).shortText) % of \(count.grouped)" } ?? "—"]
        }
        rows = [
            share("ranked right · 排序正确", report.accuracy, of: report.count),
            ["calibration error · 校准误差", report.calibrationError.shortText],
            [
                "correlation of score and length · 分数与长度的相关",
                report.lengthCorrelation?.shortText ?? "—",
            ],
            share(
                "right where the better answer is longer · 较好回答更长时正确",
                report.accuracyOfLonger, of: report.longerCount),
            share(
                "right where it is shorter · 较好回答更短时正确", report.accuracyOfShorter,
                of: report.shorterCount),
        ]
    }

    /// Accuracy over confidence, with the number of pairs at each point.
    private static func reliability(_ report: RewardReport) -> Chart {
        let bins = report.reliability.filter { $0.count > 0 }
        return Chart(
            title: "Right over claimed · 正确率与置信度",
            series: [
                Chart.Series(
                    name: "calibrated · 理想", style: "guide", points: [(0.5, 0.5), (1, 1)]),
                Chart.Series(
                    name: "pairs · 对数", style: "first",
                    points: bins.map { ($0.confidence, $0.accuracy) },
                    labels: bins.map { $0.count.grouped }),
            ], horizontal: .numbers)
    }

    /// Score differences over length differences, with the number of pairs at each point.
    private static func lengths(_ report: RewardReport) -> Chart {
        let bins = report.lengths
        let ends = [bins.first, bins.last].compactMap { $0?.lengthDifference }
        return Chart(
            title: "Score over length, chosen less rejected · 分数差与长度差",
            series: [
                Chart.Series(name: "undecided · 无偏好", style: "guide", points: ends.map { ($0, 0) }),
                Chart.Series(
                    name: "pairs · 对数", style: "second",
                    points: bins.map { ($0.lengthDifference, $0.scoreDifference) },
                    labels: bins.map { $0.count.grouped }),
            ], horizontal: .numbers)
    }
}
