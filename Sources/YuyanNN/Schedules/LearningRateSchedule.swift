import YuyanFormats
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a recipe says about the course of the learning rate.
package struct ScheduleSettings: Sendable, Hashable {
    /// `learning_rate`.
    package var learningRate: Double
    /// Steps of the whole run.
    package var totalSteps: Int
    /// `warmup_steps`; 0 lets `warmupRatio` decide.
    package var warmupSteps: Int
    /// `warmup_ratio`: part of all steps, rounded up.
    package var warmupRatio: Double
    /// `lr_scheduler_kwargs`, by the names of transformers.
    package var options: [String: ScheduleOption]

    package init(
        learningRate: Double, totalSteps: Int, warmupSteps: Int = 0, warmupRatio: Double = 0,
        options: [String: ScheduleOption] = [:]
    ) {
        self.learningRate = learningRate
        self.totalSteps = totalSteps
        self.warmupSteps = warmupSteps
        self.warmupRatio = warmupRatio
        self.options = options
    }

    /// The steps of the warm-up.
    package var warmup: Int {
        warmupSteps > 0 ? warmupSteps : Int((Double(totalSteps) * warmupRatio).rounded(.up))
    }
}

/// A value under `lr_scheduler_kwargs`.
package enum ScheduleOption: Sendable, Hashable {
    case number(Double)
    case text(String)
}

/// The learning rate of every step of a run, under the names that transformers gives its schedules.
package struct LearningRateSchedule: Sendable {
    /// `lr_scheduler_type`.
    package let name: String
    private let base: Double
    private let factor: @Sendable (Int) -> Double

    /// - Throws: `OptimizerError.unknownSchedule` with the nearest names, or `.badSetting`.
    package init(_ name: String, _ settings: ScheduleSettings) throws(OptimizerError) {
        guard let entry = schedules.first(where: { $0.name == name }) else {
            throw .unknownSchedule(name: name, nearest: nearestNames(to: name, in: scheduleNames))
        }
        guard settings.learningRate >= 0, settings.learningRate.isFinite else {
            throw .badSetting(
                name: "learning_rate", found: "\(settings.learningRate)",
                expected: "a number of at least 0")
        }
        guard settings.warmupRatio >= 0, settings.warmupRatio <= 1 else {
            throw .badSetting(
                name: "warmup_ratio", found: "\(settings.warmupRatio)",
                expected: "a number in [0, 1]")
        }
        guard settings.warmupSteps >= 0, settings.totalSteps >= 0 else {
            throw .badSetting(
                name: "warmup_steps", found: "\(settings.warmupSteps)", expected: "at least 0")
        }
        let unknown = settings.options.keys.filter { !entry.options.contains($0) }.sorted()
        if let first = unknown.first {
            throw .badSetting(
                name: "lr_scheduler_kwargs", found: "'\(first)'",
                expected: entry.options.isEmpty
                    ? "nothing with '\(name)'" : entry.options.joined(separator: ", "))
        }
        self.name = name
        base = settings.learningRate
        factor = try entry.make(settings)
    }

    /// The rate of a step, counted from 0.
    package func rate(step: Int) -> Double { base * factor(step) }
}

/// The values of `lr_scheduler_type` that there are.
package let scheduleNames = schedules.map(\.name)

// MARK: - The table

private typealias Factor = @Sendable (Int) -> Double

private struct Entry: Sendable {
    let name: String
    let options: [String]
    let make: @Sendable (ScheduleSettings) throws(OptimizerError) -> Factor
}

private let schedules: [Entry] = [
    Entry(name: "linear", options: [], make: linear),
    Entry(name: "cosine", options: ["num_cycles"], make: cosine),
    Entry(name: "cosine_with_restarts", options: ["num_cycles"], make: cosineWithRestarts),
    Entry(name: "polynomial", options: ["lr_end", "power"], make: polynomial),
    Entry(name: "constant", options: [], make: { _ in { _ in 1 } }),
    Entry(name: "constant_with_warmup", options: [], make: constantWithWarmup),
    Entry(name: "inverse_sqrt", options: ["timescale"], make: inverseRoot),
    Entry(
        name: "cosine_with_min_lr", options: ["num_cycles", "min_lr", "min_lr_rate"], make: cosine),
    Entry(
        name: "cosine_warmup_with_min_lr",
        options: ["num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"],
        make: cosineFromFirstStep),
    Entry(
        name: "warmup_stable_decay",
        options: [
            "num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio",
            "num_cycles",
        ], make: warmupStableDecay),
]

extension ScheduleSettings {
    fileprivate func number(_ name: String) throws(OptimizerError) -> Double? {
        switch options[name] {
        case nil: return nil
        case .number(let value) where value.isFinite: return value
        case .number(let value):
            throw .badSetting(name: name, found: "\(value)", expected: "a finite number")
        case .text(let text):
            throw .badSetting(name: name, found: "'\(text)'", expected: "a number")
        }
    }

    fileprivate func count(_ name: String) throws(OptimizerError) -> Int? {
        guard let value = try number(name) else { return nil }
        guard let count = Int(exactly: value), count >= 0 else {
            throw .badSetting(name: name, found: "\(value)", expected: "a whole number")
        }
        return count
    }

    /// `min_lr_rate`, or `min_lr` over the learning rate.
    fileprivate func leastFactor() throws(OptimizerError) -> Double? {
        let (least, rate) = (try number("min_lr"), try number("min_lr_rate"))
        guard let least else { return rate }
        guard rate == nil else {
            throw .badSetting(
                name: "lr_scheduler_kwargs", found: "min_lr and min_lr_rate",
                expected: "one of them")
        }
        return least / learningRate
    }
}

/// How far a step is between the end of the warm-up and the end of the run.
private func progress(_ step: Int, warmup: Int, total: Int) -> Double {
    Double(step - warmup) / Double(max(1, total - warmup))
}

private func rising(_ step: Int, warmup: Int) -> Double { Double(step) / Double(max(1, warmup)) }

private func constantWithWarmup(_ settings: ScheduleSettings) -> Factor {
    let warmup = settings.warmup
    return { $0 < warmup ? rising($0, warmup: warmup) : 1 }
}

private func linear(_ settings: ScheduleSettings) -> Factor {
    let (warmup, total) = (settings.warmup, settings.totalSteps)
    return { step in
        if step < warmup { return rising(step, warmup: warmup) }
        return max(0, Double(total - step) / Double(max(1, total - warmup)))
    }
}

/// Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", arXiv:1608.03983,
/// half a wave by default and without restarts.
private func cosine(_ settings: ScheduleSettings) throws(OptimizerError) -> Factor {
    let (warmup, total) = (settings.warmup, settings.totalSteps)
    let cycles = try settings.number("num_cycles") ?? 0.5
    let least = try settings.leastFactor() ?? 0
    return { step in
        if step < warmup { return rising(step, warmup: warmup) }
        let wave = cycles * progress(step, warmup: warmup, total: total)
        return max(0, 0.5 * (1 + cosineOfWaves(wave)) * (1 - least) + least)
    }
}

/// The wave begins one step earlier, and the first step of the warm-up is not zero.
private func cosineFromFirstStep(_ settings: ScheduleSettings) throws(OptimizerError) -> Factor {
    let (warmup, total) = (settings.warmup, settings.totalSteps)
    let cycles = try settings.number("num_cycles") ?? 0.5
    let least = try settings.leastFactor() ?? 0
    let start = try settings.number("warmup_lr_rate")
    return { step in
        if step < warmup {
            guard let start else { return Double(step + 1) / Double(max(1, warmup)) }
            return start + (1 - start) * Double(step) / Double(max(1, warmup - 1))
        }
        let wave = cycles * progress(step + 1, warmup: warmup, total: total)
        return max(0, 0.5 * (1 + cosineOfWaves(wave)) * (1 - least) + least)
    }
}

private func cosineWithRestarts(_ settings: ScheduleSettings) throws(OptimizerError) -> Factor {
    let (warmup, total) = (settings.warmup, settings.totalSteps)
    let cycles = try settings.number("num_cycles") ?? 1
    return { step in
        if step < warmup { return rising(step, warmup: warmup) }
        let part = progress(step, warmup: warmup, total: total)
        if part >= 1 { return 0 }
        let wave = cycles * part
        return max(0, 0.5 * (1 + cosineOfWaves((wave - wave.rounded(.down)) / 2)))
    }
}

private func polynomial(_ settings: ScheduleSettings) throws(OptimizerError) -> Factor {
    let (warmup, total) = (settings.warmup, settings.totalSteps)
    let end = try settings.number("lr_end") ?? 1e-7
    let exponent = try settings.number("power") ?? 1
    let base = settings.learningRate
    guard base > end else {
        throw .badSetting(
            name: "lr_end", found: "\(end)", expected: "less than the learning rate, \(base)")
    }
    return { step in
        if step < warmup { return rising(step, warmup: warmup) }
        if step > total || total == warmup { return end / base }
        let rest = 1 - Double(step - warmup) / Double(total - warmup)
        let decay = exponent == 1 ? rest : pow(rest, exponent)
        return ((base - end) * decay + end) / base
    }
}

private func inverseRoot(_ settings: ScheduleSettings) throws(OptimizerError) -> Factor {
    let warmup = settings.warmup
    let scale = try settings.count("timescale") ?? (warmup > 0 ? warmup : 10_000)
    guard scale > 0 else {
        throw .badSetting(name: "timescale", found: "0", expected: "at least 1")
    }
    return { step in
        if step < warmup { return rising(step, warmup: warmup) }
        return 1 / (Double(step + scale - warmup) / Double(scale)).squareRoot()
    }
}

/// Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
/// Strategies", arXiv:2404.06395. As in LLaMA-Factory, a third of what follows the warm-up is stable
/// unless the options say otherwise.
private func warmupStableDecay(_ settings: ScheduleSettings) throws(OptimizerError) -> Factor {
    let warmup = settings.warmup
    let rest = max(0, settings.totalSteps - warmup)
    let (givenStable, givenDecay) = (
        try settings.count("num_stable_steps"), try settings.count("num_decay_steps")
    )
    let stable = givenStable ?? givenDecay.map { max(0, rest - $0) } ?? rest / 3
    let decay = givenDecay ?? max(0, rest - stable)
    let least = try settings.number("min_lr_ratio") ?? 0
    let cycles = try settings.number("num_cycles") ?? 0.5
    let up = try curve("warmup_type", settings, default: "linear", cycles: 0.5)
    let down = try curve("decay_type", settings, default: "cosine", cycles: cycles)
    return { step in
        if step < warmup {
            // The warm-up runs its curve backwards.
            let factor = up(rising(step, warmup: warmup), true)
            return max(0, factor * (1 - least) + least)
        }
        if step < warmup + stable { return 1 }
        guard step < warmup + stable + decay else { return least }
        let part = Double(step - warmup - stable) / Double(max(1, decay))
        return max(0, down(part, false) * (1 - least) + least)
    }
}

/// From 1 to 0 over `[0, 1]`, or from 0 to 1 if rising.
private func curve(
    _ option: String, _ settings: ScheduleSettings, default name: String, cycles: Double
) throws(OptimizerError) -> @Sendable (Double, _ isRising: Bool) -> Double {
    let found = settings.options[option] ?? .text(name)
    switch found {
    case .text("linear"): return { $1 ? $0 : 1 - $0 }
    case .text("cosine"):
        return { 0.5 * ($1 ? 1 - cosineOfWaves($0 / 2) : 1 + cosineOfWaves(cycles * $0)) }
    case .text("1-sqrt"): return { 1 - ($1 ? 1 - $0 : $0).squareRoot() }
    case .text(let text):
        throw .badSetting(
            name: option, found: "'\(text)'", expected: "'linear', 'cosine' or '1-sqrt'")
    case .number(let value):
        throw .badSetting(
            name: option, found: "\(value)", expected: "'linear', 'cosine' or '1-sqrt'")
    }
}

/// The cosine of so many whole waves, with the same bits on every machine.
private func cosineOfWaves(_ waves: Double) -> Double {
    cosineOfTurns(abs(waves) - abs(waves).rounded(.down))
}
