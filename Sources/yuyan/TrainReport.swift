import YuyanFormats
import YuyanTrain

/// Shows a run while it goes on: notes, a progress line, evaluations.
final class TrainWatcher {
    private let isQuiet: Bool
    /// Begins every line, with the space behind it.
    private let label: String
    private var progress: Progress?
    private var preparation: Progress?
    private var last: StepReport?
    private var first = 0
    private(set) var loss: Double?
    private(set) var evaluationLoss: Double?
    private(set) var checkpoint: String?

    init(isQuiet: Bool, label: String = "") {
        self.isQuiet = isQuiet
        self.label = label
    }

    func observe(_ event: RunEvent) {
        switch event {
        case .note(let line): Terminal.report("\(label)note: \(line)")
        case .resumed(let step, let path):
            first = step
            checkpoint = path
            Terminal.report("\(label)going on after step \(step): \(path)")
        case .step(let report):
            last = report
            show(report)
        case .logged(let entry): remember(entry)
        case .preparing(let done, let count): show(prepared: done, of: count)
        case .evaluating(let done, let count):
            // The last step has ended its line.
            guard let last, last.step < last.steps, done < count else { return }
            show(last, "evaluating \(done)/\(count)")
        case .batch: break
        case .saved(_, let path): checkpoint = path
        }
    }

    /// What the run will do.
    func introduce(_ summary: RunSummary) {
        guard !isQuiet else { return }
        for note in summary.dataNotes { Terminal.report(label + note) }
        var table = Table(left: [0, 1])
        for fact in summary.facts { table.add(fact.name.english, fact.value) }
        Terminal.status(table.text)
        Terminal.status(TrainReport.memoryTable(summary.memory, peak: nil))
        let isTerminal = Terminal.errorIsTerminal
        Terminal.report(
            "first sample: " + (isTerminal ? summary.preview.coloured : summary.preview.plain))
    }

    /// What comes before the steps is over at once for most recipes, and then not spoken of.
    private func show(prepared done: Int, of count: Int) {
        guard !isQuiet else { return }
        if preparation == nil {
            preparation = Progress(
                total: count, unit: "rows looked at", rateName: "rows/s", label: label)
        }
        if done < count || preparation?.isShown == true { preparation?.update(done) }
    }

    private func show(_ report: StepReport, _ more: String? = nil) {
        guard !isQuiet else { return }
        if progress == nil {
            progress = Progress(
                total: report.steps, unit: "steps", rateName: "tok/s", after: first, label: label)
        }
        var note = "loss \(report.loss.formatted(digits: 4))"
        if let evaluationLoss { note += " · eval_loss \(evaluationLoss.formatted(digits: 4))" }
        if let bytes = report.residentBytes { note += " · \(bytes.memorySize)" }
        if let more { note += " · \(more)" }
        progress?.update(report.step, rate: report.tokensPerSecond, note: note)
    }

    private func remember(_ entry: MetricsEntry) {
        for (key, value) in entry.metrics {
            guard case .double(let number) = value else { continue }
            if key == "loss" { loss = number }
            if key == "eval_loss" { evaluationLoss = number }
        }
    }
}

/// What a run came to, as text and as JSON.
struct TrainReport {
    let result: RunResult
    let seconds: Double
    let watcher: TrainWatcher

    var text: String {
        if result.endedBefore != nil { return earlierText }
        let time = "\(seconds.formatted(digits: 1)) s"
        switch result.outcome {
        case .finished(let step):
            return "finished after \(step) steps in \(time): \(result.folder)\n"
                + "report: \(result.folder)/report.html\n\(result.verdict)\n"
                + Self.memoryTable(result.memory, peak: result.measuredPeak)
        case .stoppedEarly(let step, let best):
            return "stopped early at step \(step) in \(time); the best evaluation was at \(best): "
                + "\(result.folder)\nreport: \(result.folder)/report.html\n\(result.verdict)\n"
                + Self.memoryTable(result.memory, peak: result.measuredPeak)
        case .evaluated:
            return "evaluated in \(time), nothing was trained: \(result.folder)\n"
                + (watcher.evaluationLoss.map { "eval_loss \($0.formatted(digits: 4))\n" } ?? "")
                + "report: \(result.folder)/report.html\n"
                + Self.memoryTable(result.memory, peak: result.measuredPeak)
        case .interrupted(_, let step, let checkpoint):
            let place = checkpoint.map { "saved: \($0)" } ?? "nothing was trained yet"
            return "interrupted at step \(step); \(place); the same command goes on from here"
        }
    }

    /// Of a run that had ended before this command.
    private var earlierText: String {
        let again = "overwrite_output_dir: true trains anew\n"
        switch result.outcome {
        case .evaluated, .finished, .interrupted:
            let step = result.outcome.step
            return "\(result.folder): this run is already finished at step \(step), nothing was "
                + "done; a larger max_steps or num_train_epochs goes on, \(again)"
        case .stoppedEarly(let step, let best):
            return "\(result.folder): this run already stopped early at step \(step) (the best "
                + "evaluation was at \(best)), nothing was done; \(again)"
        }
    }

    var json: JSONOutput {
        [
            "outcome": .string(result.outcome.word), "step": .integer(result.outcome.step),
            "output_dir": .string(result.folder),
            "checkpoint": (watcher.checkpoint ?? result.endedBefore).map { .string($0) } ?? .null,
            "loss": watcher.loss.map { .double($0) } ?? .null,
            "eval_loss": watcher.evaluationLoss.map { .double($0) } ?? .null,
            "seconds": .double(seconds), "memory_predicted": .integer(result.memory.total),
            "memory_peak": result.measuredPeak.map { .integer($0) } ?? .null,
            "verdict": .string(result.verdict.description),
        ]
    }

    // MARK: - Dry runs

    static func text(_ summary: RunSummary, _ time: TimePrediction) -> String {
        "time: \(time.seconds.formatted(digits: 0)) s at \(time.tokensPerSecond.formatted(digits: 1)) "
            + "tok/s, the speed of the first micro-batch; loss before training "
            + "\(time.loss.formatted(digits: 4))\n" + notAsked(summary.notAsked)
            + "nothing was trained or written\n"
    }

    /// What a time leaves out.
    static func notAsked(_ names: [String]) -> String {
        names.isEmpty ? "" : "the time is without \(names.joined(separator: ", "))\n"
    }

    static func json(_ summary: RunSummary, _ time: TimePrediction) -> JSONOutput {
        [
            "trainable_parameters": .integer(summary.trainableParameters),
            "total_parameters": .integer(summary.totalParameters),
            "steps": .integer(summary.steps),
            "tokens_per_second": .double(time.tokensPerSecond),
            "seconds": .double(time.seconds),
            "memory_predicted": .integer(summary.memory.total),
            "memory": .object(
                summary.memory.parts.map { (key: $0.key, value: .integer($0.bytes)) }),
            "warnings": .array(summary.warnings.map(\.json)),
            "not_asked": .array(summary.notAsked.map { .string($0) }),
        ]
    }

    static func memoryTable(_ memory: MemoryPrediction, peak: Int?) -> String {
        var table = Table()
        for part in memory.parts { table.add(part.name.english, part.bytes.memorySize) }
        table.add(
            memory.isUpperBound ? "predicted, at most" : "predicted", memory.total.memorySize)
        if let peak {
            let share = Double(peak - memory.total) / Double(max(1, memory.total)) * 100
            table.add(
                "measured peak",
                "\(peak.memorySize) (\(share < 0 ? "" : "+")\(share.formatted(digits: 1)) %)")
        }
        return "memory\n" + table.text
    }
}

extension RecipeLint.Warning {
    /// Everything but the advice to ignore it.
    fileprivate var json: JSONOutput {
        [
            "name": .string(name),
            "settings": .object(settings.map { (key: $0.key, value: .string($0.value)) }),
            "condition": .string(condition), "reason": .string(reason),
            "advice": .string(advice),
        ]
    }
}

extension String {
    /// The first of a label's two languages: columns of a terminal want letters of one width.
    var english: String {
        firstRange(of: " · ").map { String(self[..<$0.lowerBound]) } ?? self
    }
}
