import YuyanFormats
import YuyanNN

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The files of a run while it goes on: log, events, checkpoints.
package final class RunFiles {
    package let folder: RunFolder
    /// The step that this process began from, if a checkpoint was there.
    package let resumedStep: Int?
    private let recipe: Recipe
    private let context: TrainerState.Context
    private let log: MetricsLog
    private let events: EventFile?

    /// Opens the log where `state` left it.
    ///
    /// - Throws: `FormatError.cannotWrite`.
    package init(
        folder: RunFolder, recipe: Recipe, context: TrainerState.Context,
        resumed state: TrainerState?
    ) throws {
        self.folder = folder
        self.recipe = recipe
        self.context = context
        resumedStep = state?.step
        let step = state?.step ?? -1
        // A line of the step itself that was written after its checkpoint is written again.
        log = try MetricsLog(
            path: folder.place("metrics.jsonl"), after: step,
            keeping: state.map { $0.history.count })
        try writeAtomically(folder.place("recipe.yaml")) { try $0.write(recipe.yaml) }
        if recipe.run.reportTo.contains(where: { $0 == "tensorboard" || $0 == "all" }) {
            let place = folder.place("runs")
            try createFolder(place)
            events = try EventFile(
                folder: place, host: Self.hostName, process: Int(getpid()),
                after: max(0, step), time: Self.now)
        } else {
            events = nil
        }
    }

    /// Appends to log and events.
    func log(_ entry: MetricsEntry) throws {
        try log.append(entry)
        let scalars = (entry.metrics + entry.measurements).compactMap { key, value in
            value.number.map { (tag: Self.tag(key), value: Float($0)) }
        }
        try events?.append(scalars, step: entry.step, time: Self.now)
    }

    /// Writes a checkpoint, points `last` and `best` at theirs, and removes what is too many.
    ///
    /// - Parameter optimizer: Nil for a checkpoint that no run can go on from.
    /// - Returns: Its folder.
    func save(_ state: TrainerState, trainee: any Trainee, optimizer: Optimizer?) throws -> String {
        try log.synchronise()
        let checkpoint = try folder.save(step: state.step) { place in
            try trainee.save(to: place)
            try writeAtomically(place + "/recipe.yaml") { try $0.write(recipe.yaml) }
            try optimizer?.save(to: place + "/optimizer.safetensors")
            try writeState(state, to: place)
        }
        try folder.link("last", to: checkpoint)
        if let best = state.best, best.isSaved, best.step == state.step {
            try folder.link("best", to: checkpoint)
        }
        let best = state.best.flatMap { $0.isSaved ? $0.step : nil }
        try folder.rotate(limit: recipe.run.saveLimit, keeping: best.map { [$0] } ?? [])
        return checkpoint.path
    }

    /// Writes the end's state beside the result, the last of its files: with it a run is finished.
    func finish(_ state: TrainerState) throws {
        try log.synchronise()
        try writeState(state, to: folder.path)
    }

    private func writeState(_ state: TrainerState, to place: String) throws {
        try writeAtomically(place + "/trainer_state.json") {
            try $0.write(state.json(context).indented + "\n")
        }
    }

    /// As transformers' TensorBoard callback names them: `eval_loss` is `eval/loss`.
    private static func tag(_ key: String) -> String {
        key.hasPrefix("eval_") ? "eval/" + key.dropFirst(5) : "train/" + key
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "host" }
        let text = String(
            decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.isEmpty ? "host" : text
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension JSONOutput {
    /// The value of a number.
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .double(let value): value
        case .float(let value): Double(value)
        default: nil
        }
    }
}

extension Optimizer {
    /// Writes all state to a file that appears whole.
    func save(to path: String) throws {
        let tensors = arrays.map { array in
            TensorSource(name: array.name, elementType: array.elementType, shape: [array.count]) {
                sink in
                try self.withBytes(of: array) { try sink.write($0) }
            }
        }
        try SafetensorsWriter(metadata: [("format", "yuyan-optimizer")]).write(tensors, to: path)
    }
}
