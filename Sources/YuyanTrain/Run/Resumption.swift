import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where a run begins: at the start, or after a checkpoint of its folder.
package struct Resumption {
    /// The newest checkpoint that can be read; nil begins anew.
    package let checkpoint: RunFolder.Checkpoint?
    /// Its state.
    package let state: TrainerState?
    /// Of the data that it was trained on.
    package let fingerprint: String?
    /// What rendered these; nil if the checkpoint does not say.
    package let template: TemplateDigest?
    /// Lines worth reading: checkpoints that were passed over, keys that changed.
    package let notes: [String]
    /// What `clear` removes.
    private let rubbish: Rubbish

    /// What of the folder is in the way of the run.
    private enum Rubbish {
        case nothing
        /// A run that is to be forgotten.
        case everything
        /// Checkpoints after the one that the run goes on from.
        case checkpoints([RunFolder.Checkpoint])
    }

    private init(notes: [String], removing rubbish: Rubbish = .nothing) {
        (checkpoint, state, fingerprint, template) = (nil, nil, nil, nil)
        self.notes = notes
        self.rubbish = rubbish
    }

    private init(
        _ checkpoint: RunFolder.Checkpoint, _ found: Found, _ recipe: Recipe, notes: [String],
        removing rubbish: Rubbish = .nothing
    ) {
        self.checkpoint = checkpoint
        self.rubbish = rubbish
        state = found.state
        fingerprint = found.fingerprint
        template = found.template
        let changed = recipe.differences(from: found.recipe).filter {
            !["output_dir", "threads", "resume_from_checkpoint"].contains($0.key.name)
        }.map(\.description)
        self.notes =
            notes + (changed.isEmpty ? [] : ["changed since: " + changed.joined(separator: ", ")])
    }

    private typealias Found = (
        state: TrainerState, fingerprint: String, template: TemplateDigest?, recipe: Recipe
    )

    /// Looks at the folder of a recipe's run, removes what killed saves left, and decides.
    ///
    /// An unfinished run of the same recipe goes on. `overwrite_output_dir` gives up another recipe's
    /// run, or a finished one; `resume_from_checkpoint: false` any. What is given up stays where it is
    /// until `clear`: recipe, model and data may still turn out to be wrong.
    ///
    /// - Parameter isDry: Removes nothing and writes nothing, but decides the same.
    /// - Throws: `RunError` if the folder holds what must not be overwritten, or if no checkpoint is
    ///   where the recipe says.
    package static func find(
        _ recipe: Recipe, folder: RunFolder, isDry: Bool = false
    ) throws -> Resumption {
        if !isDry { try folder.removeLeftovers() }
        guard recipe.run.doesTrain else {
            return Resumption(notes: [], removing: try rubbishBeforeEvaluation(folder))
        }
        switch recipe.run.resumeFrom {
        case "false": return Resumption(notes: [], removing: .everything)
        case nil, "true": break
        case .some(let path): return try named(path, recipe, folder)
        }
        let all = try folder.checkpoints()
        guard !all.isEmpty else {
            return Resumption(notes: [], removing: try rubbishWithoutCheckpoints(folder, recipe))
        }
        var notes: [String] = []
        var weightsOnly = 0
        for checkpoint in all.reversed() {
            let found: Found
            do {
                found = try read(checkpoint)
            } catch {
                if case RunError.weightsOnly = error { weightsOnly += 1 }
                notes.append("\(checkpoint.name) is passed over: \(error)")
                continue
            }
            let differences = fixedDifferences(recipe, found.recipe)
            let isFinished = access(folder.place("trainer_state.json"), F_OK) == 0
            if recipe.run.overwrites, isFinished || !differences.isEmpty {
                return Resumption(
                    notes: notes + ["begins anew: overwrite_output_dir is true"],
                    removing: .everything)
            }
            guard differences.isEmpty else {
                throw RunError.changedRecipe(
                    checkpoint: checkpoint.path, differences: differences)
            }
            return Resumption(checkpoint, found, recipe, notes: notes)
        }
        guard recipe.run.overwrites else {
            if let newest = all.last, weightsOnly == all.count {
                guard access(folder.place("trainer_state.json"), F_OK) != 0 else {
                    throw RunError.finished(folder: folder.path)
                }
                throw RunError.weightsOnly(checkpoint: newest.path)
            }
            throw RunError.noWholeCheckpoint(folder: folder.path, reason: notes.first ?? "")
        }
        return Resumption(notes: notes, removing: .everything)
    }

    /// Removes what the decision gave up: the last thing before the run begins.
    package func clear(_ folder: RunFolder) throws {
        switch rubbish {
        case .nothing: break
        case .everything: try folder.clear()
        case .checkpoints(let later): for checkpoint in later { try folder.remove(checkpoint) }
        }
    }

    /// A checkpoint by its path, in this folder or another.
    private static func named(
        _ path: String, _ recipe: Recipe, _ folder: RunFolder
    ) throws -> Resumption {
        var place = path
        while place.count > 1, place.hasSuffix("/") { place.removeLast() }
        let name = place.split(separator: "/").last.map(String.init) ?? ""
        guard access(place + "/trainer_state.json", F_OK) == 0,
            let step = name.split(separator: "-").last.flatMap({ Int($0) })
        else { throw RunError.noCheckpoint(path: path) }
        let checkpoint = RunFolder.Checkpoint(step: step, path: place)
        let found = try read(checkpoint)
        let differences = fixedDifferences(recipe, found.recipe)
        guard differences.isEmpty else {
            throw RunError.changedRecipe(checkpoint: place, differences: differences)
        }
        let later = try folder.checkpoints().filter { $0.step > step }
        return Resumption(
            checkpoint, found, recipe,
            notes: later.map { "\($0.name) is removed: the run goes on from step \(step)" },
            removing: .checkpoints(later))
    }

    private static func read(_ checkpoint: RunFolder.Checkpoint) throws -> Found {
        let path = checkpoint.path
        let (state, fingerprint, template) = try TrainerState.read(path + "/trainer_state.json")
        guard state.step == checkpoint.step else {
            throw RunError.damagedState(
                file: path + "/trainer_state.json",
                what: "global_step is \(state.step), the folder's name says \(checkpoint.step)")
        }
        let weights = ["/adapter_model.safetensors", "/model.safetensors"].first {
            access(path + $0, F_OK) == 0
        }
        // Headers are read and checked against the sizes of files.
        if let weights { _ = try SafetensorsFile(path: path + weights) }
        guard access(path + "/optimizer.safetensors", F_OK) == 0 else {
            throw RunError.weightsOnly(checkpoint: path)
        }
        _ = try SafetensorsFile(path: path + "/optimizer.safetensors")
        return (state, fingerprint, template, try RecipeSource(saved: path + "/recipe.yaml").recipe)
    }

    /// Keys that have changed and may not.
    static func fixedDifferences(_ recipe: Recipe, _ old: Recipe) -> [String] {
        recipe.differences(from: old).filter { $0.key.resumption == .fixed }.map(\.description)
    }

    /// What an earlier evaluation left; no run that trained is ever given up for another.
    private static func rubbishBeforeEvaluation(_ folder: RunFolder) throws -> Rubbish {
        let names = try folder.names()
        let results =
            RunFolder.modelFiles
            + ["trainer_state.json", SamplingSummary.name, SamplingJournal.name]
        let found = try folder.checkpoints().last?.name ?? names.first(where: results.contains)
        if let found { throw RunError.notOnlyEvaluated(folder: folder.path, by: found) }
        return names.contains("recipe.yaml") ? .everything : .nothing
    }

    private static func rubbishWithoutCheckpoints(
        _ folder: RunFolder, _ recipe: Recipe
    ) throws -> Rubbish {
        let names = try folder.names()
        let answers = [SamplingSummary.name, SamplingJournal.name]
        if !recipe.run.overwrites, let name = names.first(where: answers.contains) {
            throw RunError.occupied(folder: folder.path, by: name)
        }
        guard !recipe.run.overwrites, !names.contains("recipe.yaml") else {
            // Begun and killed before its first checkpoint, or finished without any.
            guard recipe.run.overwrites || !names.contains("trainer_state.json") else {
                throw RunError.finished(folder: folder.path)
            }
            return .everything
        }
        if let name = names.first(where: RunFolder.modelFiles.contains) {
            throw RunError.occupied(folder: folder.path, by: name)
        }
        return .nothing
    }
}
