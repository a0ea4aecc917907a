/// Decides how far to guess, from how often guesses were right and what a row more costs.
///
/// The i-th guessed token of a draft is right with probability about `a^i`; it is worth its row if
/// that exceeds `c * n / T`: the time `c` that a row more takes (guess and verification), over the
/// time `T / n` that a token takes without guessing. All are measured as the engine runs. Where not
/// even the first guess is worth it, nothing is guessed but for a rare probe.
struct SpeculationController: Sendable {
    /// What was decided last, for people.
    enum State: Sendable, Hashable {
        case measuring
        case on
        case off
    }

    let maxLength: Int
    /// So many wrong guesses and no right one end the measuring for now.
    private static let firstMisses = 2.5
    private(set) var state = State.measuring
    /// Rows of steps without prompts, against their time in seconds: decaying sums for a line.
    private var line = DecayingLine()
    /// Seconds of guessing a token.
    private var draftTime = DecayingMean()
    private var trials = 0.0
    private var successes = 0.0
    private var perSequence: [Int: (trials: Double, successes: Double)] = [:]
    private var steps = 0
    private var stepsToProbe = 0
    private var pause = 32

    init(maxLength: Int = 8) { self.maxLength = maxLength }

    /// Share of guessed tokens that were right when their predecessors were.
    var acceptance: Double { (successes + 2) / (trials + 4) }

    /// How far to guess for each of the sequences that decode now.
    mutating func lengths(for sequences: [Int]) -> [Int: Int] {
        guard !sequences.isEmpty else { return [:] }
        if state == .off {
            stepsToProbe -= 1
            guard stepsToProbe <= 0 else { return [:] }
            return Dictionary(uniqueKeysWithValues: sequences.map { ($0, 2) })
        }
        steps += 1
        guard line.isKnown, trials >= 8 else {
            // Different lengths, so that the cost of a row shows; short ones, because nothing is
            // known of their worth.
            let length = min([1, 0, 2][steps % 3], maxLength)
            return Dictionary(uniqueKeysWithValues: sequences.map { ($0, length) })
        }
        // Now and then a step without guesses keeps the comparison fresh.
        if steps % 64 == 0 { return [:] }
        let threshold = threshold(sequences.count)
        return Dictionary(
            uniqueKeysWithValues: sequences.map { ($0, length(for: $0, threshold: threshold)) })
    }

    /// The least chance of being right that makes a row worth computing.
    private func threshold(_ count: Int) -> Double {
        let plain = max(line.value(at: Double(count)), 1e-9)
        return (max(line.slope, 0) + draftTime.value) * Double(count) / plain
    }

    private func length(for sequence: Int, threshold: Double) -> Int {
        let own = perSequence[sequence] ?? (0, 0)
        // The whole engine's rate stands for four tokens of the sequence's own experience.
        let rate = min((own.successes + 4 * acceptance) / (own.trials + 4), 0.99)
        var chance = rate
        var length = 0
        while length < maxLength, chance > threshold {
            length += 1
            chance *= rate
        }
        return length
    }

    /// A step without prompts took so long for so many rows.
    mutating func record(rows: Int, seconds: Double) { line.add(Double(rows), seconds) }

    /// Guessing so many tokens took so long.
    mutating func record(drafted: Int, seconds: Double) {
        if drafted > 0 { draftTime.add(seconds / Double(drafted)) }
    }

    /// Of a sequence's draft so many tokens were right.
    mutating func record(sequence: Int, drafted: Int, accepted: Int) {
        let tried = Double(min(accepted + 1, drafted))
        trials = trials * 0.995 + tried
        successes = successes * 0.995 + Double(accepted)
        let own = perSequence[sequence] ?? (0, 0)
        perSequence[sequence] = (own.trials * 0.9 + tried, own.successes * 0.9 + Double(accepted))
    }

    /// The step with these sequences is over: is guessing worth it?
    mutating func decide(_ sequences: [Int]) {
        guard !sequences.isEmpty else { return }
        guard line.isKnown, trials >= 8 else {
            // A short answer should not pay for being measured.
            if state == .off, stepsToProbe > 0 { return }
            if trials >= Self.firstMisses, successes == 0 {
                if state == .off { pause = min(pause * 2, 1024) }
                state = .off
                stepsToProbe = pause
            } else {
                state = .measuring
            }
            return
        }
        let threshold = threshold(sequences.count)
        let worth = sequences.contains { length(for: $0, threshold: threshold) > 0 }
        switch (worth, state) {
        case (true, _):
            state = .on
            pause = 32
        case (false, .off):
            guard stepsToProbe <= 0 else { return }
            pause = min(pause * 2, 1024)
            stepsToProbe = pause
        case (false, _):
            state = .off
            stepsToProbe = pause
        }
    }

    /// The decision and its reasons in one sentence.
    var explanation: String {
        let rate = "\((acceptance * 1000).rounded() / 10) % of guesses are right"
        let cost = (max(line.slope, 0) + draftTime.value) * 1000
        let row = "a guess costs \((cost * 100).rounded() / 100) ms"
        return switch state {
        case .measuring: "measuring"
        case .on: "on: \(rate), \(row)"
        case .off: "off, because it does not pay: \(rate), \(row)"
        }
    }

    mutating func forget(_ sequences: [Int]) {
        for id in sequences { perSequence[id] = nil }
    }
}

/// A mean that forgets.
struct DecayingMean: Sendable {
    private var sum = 0.0
    private var weight = 0.0

    mutating func add(_ value: Double) {
        sum = sum * 0.95 + value
        weight = weight * 0.95 + 1
    }

    var value: Double { weight > 0 ? sum / weight : 0 }
}

/// A least-squares line through points that are forgotten with time; its slope is kept for as long
/// as all new points stand at one place.
struct DecayingLine: Sendable {
    private var weight = 0.0
    private var x = 0.0
    private var y = 0.0
    private var xx = 0.0
    private var xy = 0.0
    /// Rise per unit; 0 until points at different places were seen.
    private(set) var slope = 0.0
    /// Whether points at different places were seen.
    private(set) var isKnown = false

    mutating func add(_ newX: Double, _ newY: Double) {
        let keep = 0.98
        weight = weight * keep + 1
        x = x * keep + newX
        y = y * keep + newY
        xx = xx * keep + newX * newX
        xy = xy * keep + newX * newY
        let variance = xx / weight - (x / weight) * (x / weight)
        guard variance > 0.02 else { return }
        slope = (xy / weight - x / weight * (y / weight)) / variance
        isKnown = isKnown || weight >= 4
    }

    /// The line's value at a place.
    func value(at place: Double) -> Double {
        weight > 0 ? y / weight + slope * (place - x / weight) : 0
    }
}
