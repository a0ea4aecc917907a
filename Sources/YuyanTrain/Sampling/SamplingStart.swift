import YuyanFormats

/// Where a sampling run begins: anew, behind the batches of its folder, or not at all.
enum SamplingStart {
    /// - Parameter isClean: False if a run that is given up must go first.
    case anew(isClean: Bool)
    /// Some batches are done.
    case behind(SamplingJournal.State)
    /// All is done.
    case finished(SamplingSummary)

    /// Looks at the folder of a recipe's run, removes what killed writes left, and decides.
    ///
    /// The rules are those of `Resumption`.
    ///
    /// - Parameter isDry: Removes nothing, but decides the same.
    /// - Throws: `RunError` if the folder holds what must not be overwritten.
    static func find(
        _ recipe: Recipe, folder: RunFolder, isDry: Bool = false
    ) throws -> SamplingStart {
        if !isDry { try folder.removeLeftovers() }
        let names = try folder.names()
        let isFinished = names.contains(SamplingSummary.name)
        guard recipe.run.resumeFrom != "false" else { return .anew(isClean: false) }
        guard isFinished || names.contains(SamplingJournal.name) else {
            if recipe.run.overwrites { return .anew(isClean: false) }
            let theirs = RunFolder.modelFiles + ["trainer_state.json"]
            if let name = names.first(where: theirs.contains) {
                throw RunError.occupied(folder: folder.path, by: name)
            }
            if let checkpoint = try folder.checkpoints().last {
                throw RunError.occupied(folder: folder.path, by: checkpoint.name)
            }
            // Begun and killed before its journal.
            return .anew(isClean: !names.contains("recipe.yaml"))
        }
        do {
            let old = try RecipeSource(saved: folder.place("recipe.yaml")).recipe
            let differences = Resumption.fixedDifferences(recipe, old)
            if recipe.run.overwrites, isFinished || !differences.isEmpty {
                return .anew(isClean: false)
            }
            guard differences.isEmpty else {
                throw RunError.changedRecipe(checkpoint: folder.path, differences: differences)
            }
            if isFinished {
                return .finished(try SamplingSummary(path: folder.place(SamplingSummary.name)))
            }
            guard let state = try SamplingJournal.state(folder.place(SamplingJournal.name)) else {
                return .anew(isClean: false)
            }
            return .behind(state)
        } catch  where recipe.run.overwrites {
            return .anew(isClean: false)
        }
    }

    /// Of the data that the folder's answers belong to.
    var fingerprint: String? {
        switch self {
        case .anew: nil
        case .behind(let state): state.fingerprint
        case .finished(let summary): summary.fingerprint
        }
    }

    /// Of what rendered these, if the folder says so.
    var template: TemplateDigest? {
        switch self {
        case .anew: nil
        case .behind(let state): state.template
        case .finished(let summary): summary.template
        }
    }
}
