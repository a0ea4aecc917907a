import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Losses of reward models")
struct RewardLossTests {
    @Test(
        "agree with trl in value and gradient, with margins and centring",
        arguments: [("plain", 0), ("margin", 0), ("centred", 0.01), ("both", 0.2)])
    func agree(name: String, centering: Double) throws {
        let golden = try GoldenFile("alignment/rewards.safetensors")
        let (scores, margins) = (try golden.rows("scores"), try golden.doubles("margins"))
        let hasMargins = name == "margin" || name == "both"
        let loss = BradleyTerryLoss(centering: centering)
        let found = margins.indices.map {
            loss.evaluated(
                chosen: scores[0][$0], rejected: scores[1][$0],
                margin: hasMargins ? margins[$0] : 0)
        }
        let count = Double(found.count)
        expectClose(
            [Moments(found.map(\.loss)).mean], try golden.doubles("\(name).loss"),
            Alignment.tolerance)
        expectClose(
            (found.map(\.chosenGradient) + found.map(\.rejectedGradient)).map { $0 / count },
            try golden.doubles("\(name).gradients"), Alignment.tolerance)
    }

    @Test("steps' cross-entropy agrees with PyTorch, and does not depend on the cut")
    func steps() throws {
        let golden = try GoldenFile("alignment/rewards.safetensors")
        let (scores, labels) = (try golden.doubles("steps"), try golden.doubles("labels"))
        let whole = ProcessRewardLoss.evaluated(
            scores: scores, labels: labels, stepCount: scores.count)
        expectClose([whole.loss], try golden.doubles("steps_loss"), Alignment.tolerance)
        expectClose(whole.gradients, try golden.doubles("steps_gradients"), Alignment.tolerance)
        let parts = [0..<9, 9..<scores.count].map {
            ProcessRewardLoss.evaluated(
                scores: Array(scores[$0]), labels: Array(labels[$0]), stepCount: scores.count)
        }
        #expect(parts.flatMap(\.gradients) == whole.gradients)
        expectClose([parts[0].loss + parts[1].loss], [whole.loss], Alignment.tolerance)
    }

    @Test("more steps than the mean is over are refused")
    func refuses() async {
        await #expect(processExitsWith: trap) {
            _ = ProcessRewardLoss.evaluated(scores: [1, 2], labels: [0, 1], stepCount: 1)
        }
    }
}

@Suite("Reports on reward models")
struct RewardReportTests {
    private func pairs(_ golden: GoldenFile) throws -> [ScoredPair] {
        let (scores, lengths) = (try golden.rows("scores"), try golden.rows("lengths"))
        return scores[0].indices.map {
            ScoredPair(
                chosenScore: scores[0][$0], rejectedScore: scores[1][$0],
                chosenLength: Int(lengths[0][$0]), rejectedLength: Int(lengths[1][$0]))
        }
    }

    @Test("calibration agrees with numpy, row by row")
    func calibration() throws {
        let golden = try GoldenFile("alignment/rewards.safetensors")
        let found = RewardCalibration(try pairs(golden))
        expectClose(
            found.bins.flatMap { [Double($0.count), $0.confidence, $0.accuracy] },
            try golden.doubles("table"), Alignment.tolerance)
        expectClose(
            [try #require(found.expectedError)], try golden.doubles("error"),
            Alignment.tolerance)
        #expect(found.bins.first?.lower == 0.5 && found.bins.last?.upper == 1)
        #expect(RewardCalibration([]).expectedError == nil)
    }

    @Test("every pair is in a bin, however certain the model is")
    func extremes() {
        for difference in [0, 1e-300, 1e-9, 40, 1e4, -1e4] {
            let pair = ScoredPair(
                chosenScore: difference, rejectedScore: 0, chosenLength: 1, rejectedLength: 1)
            let bins = RewardCalibration([pair], binCount: 4).bins
            #expect(bins.map(\.count) == (abs(difference) > 1 ? [0, 0, 0, 1] : [1, 0, 0, 0]))
        }
    }

    @Test("scores that say what is true are calibrated")
    func calibrated() {
        // Three of four pairs with the odds of 3 to 1 are ranked right.
        let pairs = (0..<400).map { index in
            let sign: Double = index % 4 == 0 ? -1 : 1
            return ScoredPair(
                chosenScore: sign * 1.098_612_288_668_109_8, rejectedScore: 0, chosenLength: 3,
                rejectedLength: 3)
        }
        #expect((RewardCalibration(pairs).expectedError ?? 1) < 1e-12)
    }

    @Test("length bias agrees with numpy")
    func lengthBias() throws {
        let golden = try GoldenFile("alignment/rewards.safetensors")
        let found = LengthBias(try pairs(golden))
        expectClose(
            [try #require(found.correlation)], try golden.doubles("correlation"),
            Alignment.tolerance)
        expectClose(
            [
                try #require(found.accuracyOfLonger), try #require(found.accuracyOfShorter),
                Double(found.longerCount), Double(found.shorterCount),
            ], try golden.doubles("shares"), Alignment.tolerance)
    }

    private func pair(_ score: Double, _ chosen: Int, _ rejected: Int) -> ScoredPair {
        ScoredPair(
            chosenScore: score, rejectedScore: 0, chosenLength: chosen, rejectedLength: rejected)
    }

    @Test("the curve over lengths has groups of neighbours, and keeps equal differences together")
    func lengthCurve() {
        let pairs = [
            pair(4, 9, 2), pair(-1, 1, 3), pair(2, 5, 5), pair(3, 4, 4), pair(7, 6, 6),
            pair(1, 8, 2),
        ]
        let bins = LengthCurve(pairs, binCount: 3).bins
        // Differences -2, 0, 0, 0, 6, 7; two to a group, but for the third of three alike.
        #expect(bins.map(\.count) == [4, 2])
        #expect(bins.map(\.lengthDifference) == [-0.5, 6.5])
        #expect(bins.map(\.scoreDifference) == [2.75, 2.5])
        #expect(abs(bins[1].scoreDeviation - 4.5.squareRoot()) < 1e-12)
        #expect(LengthCurve([]).bins.isEmpty)
        let one = LengthCurve([pairs[0]]).bins
        #expect(one.count == 1 && one[0].scoreDeviation == 0)
        let same = LengthCurve(Array(repeating: pairs[2], count: 50)).bins
        #expect(same.map(\.count) == [50])
    }

    @Test("a report is read back as it was written, and drawn")
    func report() throws {
        let pairs = try pairs(GoldenFile("alignment/rewards.safetensors"))
        let report = try #require(RewardReport(pairs))
        #expect(report.count == pairs.count)
        #expect(report.reliability.reduce(0) { $0 + $1.count } == pairs.count)
        #expect(report.lengths.reduce(0) { $0 + $1.count } == pairs.count)
        let folder = TemporaryFolder()
        #expect(try RewardReport.read(from: folder.path) == nil)
        try report.write(to: folder.path)
        #expect(try RewardReport.read(from: folder.path) == report)
        let bare = try #require(RewardReport([pair(1, 3, 3)]))
        #expect(bare.lengthCorrelation == nil && bare.accuracyOfLonger == nil)
        try bare.write(to: folder.path)
        #expect(try RewardReport.read(from: folder.path) == bare)
        #expect(RewardReport([]) == nil)
        _ = folder.file("reward_report.json", Array("{\"pairs\": true}".utf8))
        #expect(throws: FormatError.self) { try RewardReport.read(from: folder.path) }

        for report in [report, bare] {
            let section = ReportSection(report)
            let drawn = section.charts.compactMap(\.svg)
            #expect(drawn.count == 2)
            let points = drawn[0].split(separator: "<circle").count - 1
            #expect(points == report.reliability.count { $0.count > 0 })
            #expect(drawn[0].contains("class=\"guide\"") && drawn[0].contains(">0.8</text>"))
        }
    }

    @Test("a model that scores length alone is found out, and constants have no correlation")
    func lengthAlone() {
        let pairs = [(9, 4), (3, 8), (7, 7), (12, 2)].map { chosen, rejected in
            ScoredPair(
                chosenScore: Double(chosen) / 2, rejectedScore: Double(rejected) / 2,
                chosenLength: chosen, rejectedLength: rejected)
        }
        let bias = LengthBias(pairs)
        #expect(abs((bias.correlation ?? 0) - 1) < 1e-12)
        #expect(bias.accuracyOfLonger == 1 && bias.accuracyOfShorter == 0)
        let same = LengthBias(Array(repeating: pairs[2], count: 5))
        #expect(same.correlation == nil && same.accuracyOfLonger == nil)
    }
}
