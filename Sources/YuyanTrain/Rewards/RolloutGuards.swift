import YuyanFormats

/// What a step of reinforcement learning looked like; nil for what was not measured.
package struct RolloutStep: Sendable, Hashable {
    package var step: Int
    /// Mean number of tokens of a completion.
    package var meanLength: Double?
    /// Mean share of n-grams that occurred before in their completion, as `repeatedShare` counts.
    package var repetition: Double?
    /// Share of completions with the right format.
    package var formatShare: Double?
    /// Mean KL divergence from the reference, in nats a token.
    package var divergence: Double?
    /// Mean entropy of the policy, in nats a token.
    package var entropy: Double?
    /// Share of groups whose rewards are all equal, so that they teach nothing.
    package var flatGroupShare: Double?
    /// Share of completions that ended by themselves.
    package var endedShare: Double?

    package init(step: Int) { self.step = step }

    fileprivate subscript(_ guardName: GuardName) -> Double? {
        switch guardName {
        case .length: meanLength
        case .repetition: repetition
        case .format: formatShare
        case .divergence: divergence
        case .entropy: entropy
        case .flatGroups: flatGroupShare
        case .unended: endedShare.map { 1 - $0 }
        }
    }
}

/// The guards, as recipes and metrics call them.
public enum GuardName: String, CaseIterable, Sendable {
    case length, repetition, format, entropy
    case divergence = "kl"
    case flatGroups = "zero_variance"
    case unended = "missing_eos"
}

/// Alarms for what reward hacking and collapse look like, over a window of steps.
///
/// Length, format and entropy are compared with the run's own first steps, the others with limits.
/// A guard speaks when the mean of a full window crosses its limit, and again only after the mean has
/// been back inside; it asks for a stop once that has lasted for `patience` steps. A pure state
/// machine: the same steps give the same alarms, also across `json` and back.
package struct RolloutGuards: Sendable, Hashable {
    /// Limits and what they are taken over.
    package struct Settings: Sendable, Hashable {
        /// Steps whose mean is judged, and steps at the start that later ones are compared with.
        package var window = 10
        /// The mean length may grow or shrink by this factor.
        package var lengthFactor = 2.0
        package var mostRepetition = 0.3
        /// The share of right formats may fall by so much.
        package var formatLoss = 0.2
        package var mostDivergence = 0.5
        /// The entropy may fall to this share of what it was.
        package var leastEntropyShare = 0.2
        package var mostFlatGroups = 0.8
        package var mostUnended = 0.5
        /// Guards that may end the run.
        package var stops: Set<GuardName> = []
        /// Steps beyond the limit before one of them does.
        package var patience = 10

        package init() {}
    }

    /// A limit that was crossed.
    package struct Alarm: Sendable, Hashable, CustomStringConvertible {
        package let name: GuardName
        package let step: Int
        /// The mean over the window.
        package let value: Double
        /// What it should not have crossed.
        package let limit: Double
        /// Whether the run should end.
        package let isStop: Bool

        /// Step, name, value, limit and what to try.
        package var description: String {
            let isAbove = value > limit
            return "step \(step): guard '\(name.rawValue)': \(name.quantity) is "
                + "\(Self.short(value)), \(isAbove ? "above" : "below") \(Self.short(limit))"
                + (isStop ? "; stopping" : "") + "; \(name.suggestion)"
        }

        private static func short(_ value: Double) -> String {
            value.isFinite && abs(value) < 1e12 ? "\((value * 1000).rounded() / 1000)" : "\(value)"
        }
    }

    package let settings: Settings
    private var watches: [GuardName: Watch] = [:]

    /// What a guard remembers.
    private struct Watch: Sendable, Hashable {
        /// Mean of the first window, once it is full.
        var baseline: Double?
        var recent: [Double] = []
        /// Steps in a row beyond the limit.
        var beyond = 0
    }

    /// - Precondition: The window has a step or more.
    package init(_ settings: Settings = Settings()) {
        precondition(settings.window > 0, "a window of \(settings.window) steps")
        self.settings = settings
    }

    /// Takes in a step; what is not finite alarms at once.
    package mutating func add(_ step: RolloutStep) -> [Alarm] {
        GuardName.allCases.compactMap { name in
            guard let value = step[name] else { return nil }
            return judge(name, value, step.step)
        }
    }

    private mutating func judge(_ name: GuardName, _ value: Double, _ step: Int) -> Alarm? {
        var watch = watches[name] ?? Watch()
        defer { watches[name] = watch }
        var mean = value
        var limit: Double?
        if value.isFinite {
            watch.recent.append(value)
            if watch.recent.count > settings.window { watch.recent.removeFirst() }
            guard watch.recent.count == settings.window else { return nil }
            mean = watch.recent.reduce(0, +) / Double(settings.window)
            let baseline = watch.baseline ?? mean
            if watch.baseline == nil { watch.baseline = mean }
            limit = crossedLimit(name, mean, baseline)
        } else {
            limit = crossedLimit(name, 0, watch.baseline ?? 0) ?? 0
        }
        guard let limit else {
            watch.beyond = 0
            return nil
        }
        watch.beyond += 1
        let isStop = settings.stops.contains(name) && watch.beyond == max(1, settings.patience)
        guard watch.beyond == 1 || isStop else { return nil }
        return Alarm(name: name, step: step, value: mean, limit: limit, isStop: isStop)
    }

    /// The limit that a mean has crossed, if any.
    private func crossedLimit(_ name: GuardName, _ mean: Double, _ baseline: Double) -> Double? {
        func above(_ limit: Double) -> Double? { mean > limit ? limit : nil }
        func below(_ limit: Double) -> Double? { mean < limit ? limit : nil }
        return switch name {
        case .length:
            above(baseline * settings.lengthFactor) ?? below(baseline / settings.lengthFactor)
        case .repetition: above(settings.mostRepetition)
        case .format: below(baseline - settings.formatLoss)
        case .divergence: above(settings.mostDivergence)
        case .entropy: below(baseline * settings.leastEntropyShare)
        case .flatGroups: above(settings.mostFlatGroups)
        case .unended: above(settings.mostUnended)
        }
    }
}

extension GuardName {
    fileprivate var quantity: String {
        switch self {
        case .length: "the mean length"
        case .repetition: "the share of repeated n-grams"
        case .format: "the share of right formats"
        case .divergence: "the KL divergence from the reference"
        case .entropy: "the entropy"
        case .flatGroups: "the share of groups without a difference in reward"
        case .unended: "the share of completions without an end"
        }
    }

    fileprivate var suggestion: String {
        switch self {
        case .length:
            "look whether a reward pays for length; add a length reward, or raise beta"
        case .repetition: "add the repetition reward, or lower the temperature"
        case .format: "give the format reward more weight, or start from a fine-tuned model"
        case .divergence: "raise beta, or lower learning_rate"
        case .entropy: "raise the temperature or epsilon_high, or lower learning_rate"
        case .flatGroups: "take easier or harder prompts, or more completions a group"
        case .unended: "raise max_completion_length, or punish completions that are cut"
        }
    }
}

extension RolloutGuards {
    /// Everything that later alarms depend on, but for the settings.
    package var json: JSONOutput {
        .object(
            GuardName.allCases.compactMap { name in
                guard let watch = watches[name] else { return nil }
                let state: JSONOutput = [
                    "baseline": watch.baseline.map { .double($0) } ?? .null,
                    "recent": .array(watch.recent.map { .double($0) }),
                    "beyond": .integer(watch.beyond),
                ]
                return (key: name.rawValue, value: state)
            })
    }

    /// Reads what `json` wrote.
    ///
    /// - Throws: `FormatError` naming the key.
    package init(_ settings: Settings, json: JSONCursor) throws(FormatError) {
        self.init(settings)
        for name in GuardName.allCases where json[name.rawValue] != nil {
            let state = try json.object(name.rawValue)
            var watch = Watch()
            watch.baseline = try state.optionalDouble("baseline")
            watch.recent = Array(try state.array("recent")).compactMap(\.double)
            watch.beyond = try state.int("beyond")
            watches[name] = watch
        }
    }
}

extension RolloutStep {
    /// What the completions themselves tell of a step: lengths, repetition, ends.
    ///
    /// - Parameter size: Tokens of an n-gram.
    package init(step: Int, completions: [ScoredCompletion], ngramSize size: Int = 4) {
        self.init(step: step)
        guard !completions.isEmpty else { return }
        let count = Double(completions.count)
        meanLength = Double(completions.reduce(0) { $0 + $1.tokens.count }) / count
        repetition =
            completions.reduce(0) { $0 + repeatedShare(of: $1.tokens, size: size) } / count
        endedShare = Double(completions.filter(\.hasEnded).count) / count
    }

    /// The share of groups whose rewards are all equal; nil without groups.
    package static func flatGroupShare(_ totals: [Double], groupSize: Int) -> Double? {
        let groups = groupSize > 0 ? totals.count / groupSize : 0
        guard groups > 0 else { return nil }
        let flat = (0..<groups).filter { group in
            let rewards = totals[group * groupSize..<(group + 1) * groupSize]
            return rewards.allSatisfy { $0 == rewards[rewards.startIndex] }
        }
        return Double(flat.count) / Double(groups)
    }
}
