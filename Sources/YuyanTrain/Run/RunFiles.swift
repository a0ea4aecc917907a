import YuyanFormats
import YuyanNN

/// The files of a run while it goes on: log, events, checkpoints.
package final class RunFiles {
    package let folder: RunFolder
    /// The step that this process began from, if a checkpoint was there.
    package let resumedStep: Int?
    private let recipe: Recipe
    private let context: TrainerState.Context
    private let log: MetricsLog
    private let events: EventLog?

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
        events = try EventLog.of(recipe, in: folder, after: max(0, step))
    }

    /// Appends to log and events.
    func log(_ entry: MetricsEntry) throws {
        try log.append(entry)
        try events?.append(entry)
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
