import YuyanFormats
import YuyanTrain

/// Shows a pipeline while it goes on: each line begins with the stage's place.
final class PipelineWatcher {
    private let isQuiet: Bool
    private var training: TrainWatcher?
    private var sampling: SampleWatcher?
    /// Whether the stage writes answers; until it says so it has nothing to say but notes.
    private var isSampling = false
    private var number = 0
    private var progress: Progress?

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    func observe(_ event: PipelineEvent) {
        switch event {
        case .note(let line): Terminal.report("note: \(line)")
        case .skipped(let place, let folder):
            Terminal.report("\(place) is finished: \(folder)")
        case .began(let place, let summary, let reason):
            if let reason { Terminal.report("\(place) begins anew: \(reason)") }
            if !isQuiet { Terminal.report("\(place)") }
            watch(place)
            switch summary {
            case .training(let summary): training?.introduce(summary)
            case .sampling(let plan):
                isSampling = true
                sampling?.introduce(plan)
            }
        case .stage(let place, let event):
            watch(place)
            if isSampling { sampling?.observe(event) } else { training?.observe(event) }
        case .ended(let place, .training(let result), let seconds): report(place, result, seconds)
        case .ended(let place, .sampling(let result), let seconds): report(place, result, seconds)
        case .evaluating(let place, let done, let count):
            guard !isQuiet else { return }
            if progress == nil {
                progress = Progress(
                    total: count, unit: "prompts", rateName: "prompts/s",
                    label: Self.label(place))
            }
            progress?.update(done)
        case .evaluated(let place, let figures):
            progress = nil
            let values = figures.map { "\($0.name) \($0.value.formatted(digits: 4))" }
            Terminal.report(Self.label(place) + values.joined(separator: " · "))
        }
    }

    private static func label(_ place: PipelinePlace?) -> String {
        (place.map { "\($0)" } ?? "[start]") + " evaluation: "
    }

    /// Makes the watchers of a stage, which know how far it is.
    private func watch(_ place: PipelinePlace) {
        guard number != place.number else { return }
        (number, isSampling) = (place.number, false)
        training = TrainWatcher(isQuiet: isQuiet, label: "\(place) ")
        sampling = SampleWatcher(isQuiet: isQuiet, label: "\(place) ")
    }

    private func report(_ place: PipelinePlace, _ result: RunResult, _ seconds: Double) {
        let time = "\(seconds.formatted(digits: 1)) s"
        switch result.outcome {
        case .finished(let step):
            Terminal.report(
                "\(place) finished after \(step) steps in \(time): \(result.folder)\n"
                    + "\(place) \(result.verdict)")
        case .stoppedEarly(let step, let best):
            Terminal.report(
                "\(place) stopped early at step \(step) in \(time); the best evaluation was at "
                    + "\(best): \(result.folder)\n\(place) \(result.verdict)")
        case .evaluated: Terminal.report("\(place) evaluated in \(time): \(result.folder)")
        case .interrupted(_, let step, let checkpoint):
            Terminal.report(
                "\(place) interrupted at step \(step); "
                    + (checkpoint.map { "saved: \($0)" } ?? "nothing was trained yet"))
        }
    }
}

extension PipelineWatcher {
    private func report(_ place: PipelinePlace, _ result: SamplingResult, _ seconds: Double) {
        switch result.outcome {
        case .finished(let summary):
            Terminal.report(
                "\(place) kept \(summary.samples.grouped) of \(summary.answers.grouped) answers in "
                    + "\(seconds.formatted(digits: 1)) s: \(result.folder)")
        case .interrupted(_, let batches):
            Terminal.report("\(place) interrupted behind batch \(batches)")
        }
    }
}

/// What a pipeline came to, or would come to, as text and as JSON.
enum PipelineReport {
    /// The table of stages, and the one of evaluations if there are any.
    static func text(_ result: PipelineResult) -> String {
        var stages = Table(left: [0, 1, 2, 5])
        stages.add("stage", "method", "state", "steps", "time", "figures")
        for (index, stage) in result.stages.enumerated() {
            let figures = stage.figures.map {
                "\($0.name) \($0.first.formatted(digits: 4)) → \($0.last.formatted(digits: 4))"
            }
            stages.add(
                "\(index + 1) \(stage.name)", stage.kind, stage.status, "\(stage.steps)",
                "\(stage.seconds.formatted(digits: 0)) s", figures.joined(separator: ", "))
        }
        return stages.text + evaluations(result)
            + "report: \(result.folder)/report.html\n"
    }

    private static func evaluations(_ result: PipelineResult) -> String {
        let names = result.evaluationNames
        guard !names.isEmpty else { return "" }
        var table = Table()
        table.add(["after"] + names)
        func add(_ name: String, _ figures: [(name: String, value: Double)]) {
            guard !figures.isEmpty else { return }
            table.add(
                [name]
                    + names.map { name in
                        figures.first { $0.name == name }?.value.formatted(digits: 4) ?? "–"
                    })
        }
        add("start", result.start)
        for (index, stage) in result.stages.enumerated() {
            add("\(index + 1) \(stage.name)", stage.evaluation)
        }
        return table.text
    }

    // MARK: - Dry runs

    static func text(_ outlook: PipelineOutlook) -> String {
        var table = Table(left: [0, 1, 2, 3])
        for (index, stage) in outlook.stages.enumerated() {
            table.add(
                "\(index + 1) \(stage.name)", stage.kind, "\(stage.prospect)", stage.folder)
        }
        guard let first = outlook.first else { return table.text + "nothing is left to do\n" }
        let text =
            switch first.time {
            case .training(let summary, let time): TrainReport.text(summary, time)
            case .sampling(let plan, let time): SampleReport.text(plan, time)
            }
        return table.text + "\(first.place) " + text
    }

    static func json(_ outlook: PipelineOutlook) -> JSONOutput {
        [
            "stages": .array(
                outlook.stages.map { stage in
                    [
                        "name": .string(stage.name), "stage": .string(stage.kind),
                        "output_dir": .string(stage.folder),
                        "prospect": .string(stage.prospect.description),
                    ]
                }),
            "first": outlook.first.map { first in
                let json =
                    switch first.time {
                    case .training(let summary, let time): TrainReport.json(summary, time)
                    case .sampling(let plan, let time): SampleReport.json(plan, time)
                    }
                guard case .object(let entries) = json else { return .null }
                return .object([(key: "name", value: .string(first.place.name))] + entries)
            } ?? .null,
        ]
    }
}
