import YuyanFormats
import YuyanTrain

/// Shows a run of stage sample while it goes on: notes, and a progress line.
final class SampleWatcher {
    private let isQuiet: Bool
    /// Begins every line, with the space behind it.
    private let label: String
    private var progress: Progress?

    init(isQuiet: Bool, label: String = "") {
        self.isQuiet = isQuiet
        self.label = label
    }

    func observe(_ event: RunEvent) {
        switch event {
        case .note(let line): Terminal.report("\(label)note: \(line)")
        case .resumed(let batch, let path):
            Terminal.report("\(label)going on behind batch \(batch): \(path)")
        case .batch(let report): show(report)
        case .step, .logged, .preparing, .evaluating, .saved: break
        }
    }

    /// What the run will do.
    func introduce(_ plan: SamplingPlan) {
        guard !isQuiet else { return }
        for note in plan.dataNotes { Terminal.report(label + note) }
        var table = Table(left: [0, 1])
        for fact in plan.facts { table.add(fact.name.english, fact.value) }
        Terminal.status(table.text)
        Terminal.status(TrainReport.memoryTable(plan.memory, peak: nil))
        Terminal.report(
            "first prompt: "
                + (Terminal.errorIsTerminal ? plan.preview.coloured : plan.preview.plain))
    }

    private func show(_ report: BatchReport) {
        guard !isQuiet else { return }
        if progress == nil {
            progress = Progress(
                total: report.promptCount, unit: "prompts", rateName: "tok/s",
                after: report.promptsBefore, label: label)
        }
        var note = "\(report.samples.grouped) kept"
        if let reward = report.reward { note += " · reward \(reward.formatted(digits: 4))" }
        if let bytes = report.residentBytes { note += " · \(bytes.memorySize)" }
        progress?.update(report.prompts, rate: report.tokensPerSecond, note: note)
    }
}

/// What a run of stage sample came to, as text and as JSON.
struct SampleReport {
    let result: SamplingResult
    let seconds: Double

    var text: String {
        switch result.outcome {
        case .interrupted(_, let batches):
            return
                "interrupted behind batch \(batches) in \(result.folder); the same command goes on "
                + "from here"
        case .finished(let summary):
            let start =
                result.isEarlier
                ? "\(result.folder): this run is already finished, nothing was done; "
                    + "overwrite_output_dir: true samples anew\n"
                : "finished in \(seconds.formatted(digits: 1)) s: \(result.folder)\n"
                    + "report: \(result.folder)/report.html\n"
            return start + Self.table(summary)
        }
    }

    private static func table(_ summary: SamplingSummary) -> String {
        func percent(_ share: Double) -> String { (share * 100).formatted(digits: 1) + " %" }
        var table = Table()
        table.add("prompts", summary.prompts.grouped)
        table.add("answers", summary.answers.grouped)
        table.add("kept in samples.jsonl", summary.samples.grouped)
        table.add("prompts with one kept", percent(summary.keptShare))
        table.add("duplicates dropped", summary.duplicates.grouped)
        if let unrendered = summary.unrendered {
            table.add("not writable as rows", unrendered.grouped)
        }
        if let pairs = summary.pairs { table.add("pairs in pairs.jsonl", pairs.grouped) }
        table.add("mean tokens", summary.meanLength.formatted(digits: 1))
        table.add("cut", percent(summary.clippedShare))
        if let reward = summary.meanReward {
            table.add("mean reward", reward.formatted(digits: 4))
        }
        for point in summary.bestOf where point.count > 1 {
            table.add("best of \(point.count)", point.reward.formatted(digits: 4))
        }
        return table.text
    }

    var json: JSONOutput {
        var fields: [(key: String, value: JSONOutput)] = [
            ("output_dir", .string(result.folder)), ("seconds", .double(seconds)),
            ("memory_peak", .number(result.measuredPeak)),
        ]
        switch result.outcome {
        case .finished(let summary):
            fields.insert(("outcome", "finished"), at: 0)
            fields += summary.fields
        case .interrupted(_, let batches):
            fields.insert(("outcome", "interrupted"), at: 0)
            fields.append(("batches", .integer(batches)))
        }
        return .object(fields)
    }

    // MARK: - Dry runs

    static func text(_ plan: SamplingPlan, _ time: SamplingTime) -> String {
        "time: \(time.seconds.formatted(digits: 0)) s at \(time.tokensPerSecond.formatted(digits: 1)) "
            + "tok/s, the speed of the first batch (\(time.batchSeconds.formatted(digits: 1)) s), "
            + "rewards aside\n" + TrainReport.notAsked(plan.notAsked)
            + "nothing was scored or written\n"
    }

    static func json(_ plan: SamplingPlan, _ time: SamplingTime) -> JSONOutput {
        [
            "prompts": .integer(plan.prompts), "batches": .integer(plan.batches),
            "num_generations": .integer(plan.generations),
            "tokens_per_second": .double(time.tokensPerSecond),
            "batch_seconds": .double(time.batchSeconds), "seconds": .double(time.seconds),
            "memory_predicted": .integer(plan.memory.total),
            "memory": .object(
                plan.memory.parts.map { (key: $0.key, value: .integer($0.bytes)) }),
            "not_asked": .array(plan.notAsked.map { .string($0) }),
        ]
    }
}
