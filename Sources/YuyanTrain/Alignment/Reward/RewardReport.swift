import YuyanFormats

/// How far a reward model can be trusted: `reward_report.json`, and a section of `report.html`.
package struct RewardReport: Sendable, Hashable {
    /// Pairs of the validation set.
    package let count: Int
    /// Share that is ranked as people did.
    package let accuracy: Double
    package let calibrationError: Double
    /// The reliability table.
    package let reliability: [RewardCalibration.Bin]
    /// Nothing where scores or lengths do not differ.
    package let lengthCorrelation: Double?
    /// Shares where the better answer is the longer, or the shorter one; nothing without such pairs.
    package let accuracyOfLonger: Double?
    package let accuracyOfShorter: Double?
    package let longerCount: Int
    package let shorterCount: Int
    /// Score differences over length differences.
    package let lengths: [LengthCurve.Bin]

    /// Nil of no pairs.
    package init?(_ pairs: [ScoredPair]) {
        let (calibration, bias) = (RewardCalibration(pairs), LengthBias(pairs))
        guard let accuracy = pairs.accuracy, let error = calibration.expectedError else {
            return nil
        }
        count = pairs.count
        self.accuracy = accuracy
        calibrationError = error
        reliability = calibration.bins
        lengthCorrelation = bias.correlation
        (accuracyOfLonger, accuracyOfShorter) = (bias.accuracyOfLonger, bias.accuracyOfShorter)
        (longerCount, shorterCount) = (bias.longerCount, bias.shorterCount)
        lengths = LengthCurve(pairs).bins
    }

    // MARK: - Files

    /// What the file is called, in checkpoints and beside the result.
    static let fileName = "/reward_report.json"

    /// Reads what `write` wrote; nil if there is no such file.
    static func read(from folder: String) throws -> RewardReport? {
        do {
            return try RewardReport(JSONDocument(path: folder + fileName).root)
        } catch FormatError.cannotOpen {
            return nil
        }
    }

    /// Writes the report into a folder.
    func write(to folder: String) throws {
        try writeAtomically(folder + Self.fileName) { try $0.write(json.indented + "\n") }
    }

    /// The file's object; nothing is null.
    package var json: JSONOutput {
        func value(_ number: Double?) -> JSONOutput { number.map { .double($0) } ?? .null }
        return [
            "pairs": .integer(count), "accuracy": .double(accuracy),
            "calibration_error": .double(calibrationError),
            "length_correlation": value(lengthCorrelation),
            "accuracy_longer": value(accuracyOfLonger),
            "accuracy_shorter": value(accuracyOfShorter),
            "longer": .integer(longerCount), "shorter": .integer(shorterCount),
            "reliability": .array(
                reliability.map { bin in
                    [
                        "lower": .double(bin.lower), "upper": .double(bin.upper),
                        "count": .integer(bin.count), "confidence": .double(bin.confidence),
                        "accuracy": .double(bin.accuracy),
                    ]
                }),
            "lengths": .array(
                lengths.map { bin in
                    [
                        "count": .integer(bin.count),
                        "length_difference": .double(bin.lengthDifference),
                        "score_difference": .double(bin.scoreDifference),
                        "score_deviation": .double(bin.scoreDeviation),
                    ]
                }),
        ]
    }

    package init(_ json: JSONCursor) throws(FormatError) {
        count = try json.int("pairs")
        accuracy = try json.double("accuracy")
        calibrationError = try json.double("calibration_error")
        lengthCorrelation = try json.optionalDouble("length_correlation")
        accuracyOfLonger = try json.optionalDouble("accuracy_longer")
        accuracyOfShorter = try json.optionalDouble("accuracy_shorter")
        longerCount = try json.int("longer")
        shorterCount = try json.int("shorter")
        var reliability: [RewardCalibration.Bin] = []
        for bin in try json.array("reliability") {
            reliability.append(
                RewardCalibration.Bin(
                    lower: try bin.double("lower"), upper: try bin.double("upper"),
                    count: try bin.int("count"), confidence: try bin.double("confidence"),
                    accuracy: try bin.double("accuracy")))
        }
        self.reliability = reliability
        var lengths: [LengthCurve.Bin] = []
        for bin in try json.array("lengths") {
            lengths.append(
                LengthCurve.Bin(
                    count: try bin.int("count"),
                    lengthDifference: try bin.double("length_difference"),
                    scoreDifference: try bin.double("score_difference"),
                    scoreDeviation: try bin.double("score_deviation")))
        }
        self.lengths = lengths
    }
}
