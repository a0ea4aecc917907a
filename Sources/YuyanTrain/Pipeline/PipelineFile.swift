import YuyanFormats

/// The settings of a pipeline's file, before references are followed and recipes are checked.
struct PipelineFile {
    let path: String
    private(set) var output: RecipeSetting?
    private(set) var title: RecipeSetting?
    private(set) var stages: [Stage] = []
    /// Settings of the evaluation; nil without one.
    private(set) var evaluation: [RecipeSetting]?
    private var defaults: [RecipeSetting] = []
    private var defaultFlags: [RecipeSetting] = []

    /// An entry of `stages`.
    struct Stage {
        let name: String
        let place: String
        var recipe: RecipeSetting?
        var settings: [RecipeSetting] = []
    }

    private static let keys = ["output_dir", "run_name", "defaults", "evaluate", "stages"]
    private static let scopes = ["defaults", "evaluate"]

    /// - Throws: `PipelineError` or `RecipeError` with file and line, `YAMLError`, `FormatError`.
    init(_ path: String) throws {
        self.path = path
        for setting in try RecipeSetting.all(in: path) {
            switch setting.key {
            case "output_dir": output = setting
            case "run_name": title = setting
            case "defaults":
                defaults = try entries(setting, isShared: true)
                for setting in defaults { try Self.checkOwned(setting, isDefault: true) }
            case "evaluate": evaluation = try entries(setting)
            case "stages": try readStages(setting)
            default:
                throw PipelineError.unknownKey(
                    place: setting.place, key: setting.key,
                    nearest: nearestNames(to: setting.key, in: Self.keys))
            }
        }
        guard !stages.isEmpty else {
            throw RecipeError.missing(
                file: path, key: "stages", example: "stages: [{name: sft, …}]")
        }
    }

    private func entries(
        _ setting: RecipeSetting, isShared: Bool = false
    ) throws(RecipeError) -> [RecipeSetting] {
        if setting.value.isNull { return [] }
        guard case .mapping(let entries, _) = setting.value else {
            throw .wrongType(
                place: setting.place, key: setting.key, found: setting.value.summary,
                expected: "keys of recipes with their values")
        }
        return entries.map { RecipeSetting($0, file: path, isShared: isShared) }
    }

    private mutating func readStages(_ setting: RecipeSetting) throws {
        guard case .sequence(let items, _) = setting.value, !items.isEmpty else {
            throw RecipeError.wrongType(
                place: setting.place, key: "stages", found: setting.value.summary,
                expected: "a list of stages, each with a name and the keys of a recipe")
        }
        for item in items {
            let place = item.line > 0 ? "\(path):\(item.line)" : path
            guard case .mapping(let entries, _) = item else {
                throw RecipeError.wrongType(
                    place: place, key: "stages", found: item.summary,
                    expected: "a stage: a name and the keys of a recipe")
            }
            let settings = entries.map { RecipeSetting($0, file: path) }
            guard let named = settings.first(where: { $0.key == "name" }) else {
                throw RecipeError.missing(file: place, key: "name", example: "cold-start")
            }
            var stage = Stage(name: try checkedName(named), place: place)
            for setting in settings where setting.key != "name" {
                if setting.key == "recipe" {
                    stage.recipe = setting.value.isNull ? nil : setting
                } else {
                    try Self.checkOwned(setting)
                    stage.settings.append(setting)
                }
            }
            stages.append(stage)
        }
    }

    private func checkedName(_ setting: RecipeSetting) throws(RecipeError) -> String {
        func refuse(_ expected: String) -> RecipeError {
            .badValue(
                place: setting.place, key: "name", found: setting.value.summary, expected: expected)
        }
        guard case .scalar(let name, _, _) = setting.value, let first = name.unicodeScalars.first,
            first.isLetterOrDigit,
            name.unicodeScalars.allSatisfy({ $0.isLetterOrDigit || $0 == "-" || $0 == "_" })
        else { throw refuse("letters, digits, - and _, a letter or digit first") }
        guard !Self.scopes.contains(name) else {
            throw refuse("another name: flags such as --\(name).seed mean the pipeline's own key")
        }
        if let other = stages.first(where: { $0.name == name }) {
            throw refuse("a name of its own: the stage at \(other.place) has this one")
        }
        return name
    }

    /// Refuses keys that belong to the pipeline.
    private static func checkOwned(
        _ setting: RecipeSetting, isDefault: Bool = false
    ) throws(PipelineError) {
        func refuse(_ reason: String) -> PipelineError {
            .reservedKey(place: setting.place, key: setting.key, reason: reason)
        }
        switch setting.key {
        case "overwrite_output_dir", "resume_from_checkpoint":
            throw refuse("is for the pipeline to decide: --from NAME runs stages anew")
        case "output_dir" where isDefault:
            throw refuse(
                "is a stage's own: set the pipeline's output_dir, in which each stage has a folder")
        case "name" where isDefault, "recipe" where isDefault:
            throw refuse("is a stage's own; put it into the stages")
        default: break
        }
    }

    /// Takes a flag, which wins over the file.
    ///
    /// - Throws: `PipelineError`.
    mutating func set(_ flag: RecipeWords.Flag) throws(PipelineError) {
        let setting = flag.setting
        guard let scope = flag.scope else {
            switch setting.key {
            case "output_dir": output = setting
            case "run_name": title = setting
            default:
                throw .unknownKey(
                    place: setting.place, key: setting.key,
                    nearest: [
                        "--defaults.\(setting.key)", "--\(stages[0].name).\(setting.key)",
                    ])
            }
            return
        }
        switch scope {
        case "defaults":
            try Self.checkOwned(setting, isDefault: true)
            var shared = setting
            shared.isShared = true
            defaultFlags.append(shared)
        case "evaluate": evaluation = (evaluation ?? []) + [setting]
        default:
            guard let index = stages.firstIndex(where: { $0.name == scope }) else {
                throw .unknownStage(
                    place: setting.place, name: scope,
                    nearest: nearestNames(to: scope, in: stages.map(\.name) + Self.scopes))
            }
            if setting.key == "recipe" {
                stages[index].recipe = setting
            } else {
                try Self.checkOwned(setting)
                stages[index].settings.append(setting)
            }
        }
    }

    // MARK: - Recipes

    /// The stage at a place, once those before it are known.
    ///
    /// - Parameter folder: The pipeline's.
    /// - Throws: `PipelineError`, `RecipeError`, or what reading the stage's recipe throws.
    func stage(
        _ index: Int, after earlier: [PipelineStage], in folder: String,
        environment: @escaping (String) -> String?, notes: inout [String]
    ) throws -> PipelineStage {
        let stage = stages[index]
        var settings = defaults + defaultFlags
        if let recipe = stage.recipe {
            settings += try Self.recipe(recipe, environment: environment, notes: &notes)
        }
        settings += stage.settings
        if !stage.settings.contains(where: { $0.key == "output_dir" && !$0.value.isNull }) {
            let number = index < 9 ? "0\(index + 1)" : "\(index + 1)"
            let place = "\(folder)/\(number)-\(stage.name)".replacing("${", with: "$${")
            settings.append(
                RecipeSetting(
                    key: "output_dir", value: .scalar(place, isQuoted: true, line: 0),
                    place: stage.place))
        }
        var references = StageReferences(
            earlier: earlier.map { ($0.name, $0.folder) },
            later: stages[index...].map(\.name), environment: environment)
        settings = try settings.map { try references.resolved($0) }
        let source = try RecipeSource(
            settings, name: "\(path) (stage \(stage.name))", environment: environment)
        notes += source.notes
        try check(source.recipe, stage, after: earlier, in: folder, references.uses)
        return PipelineStage(
            name: stage.name, source: source, inputs: Set(references.uses.map(\.stage)).sorted())
    }

    /// The keys of a recipe's file but those that the pipeline decides.
    private static func recipe(
        _ setting: RecipeSetting, environment: (String) -> String?, notes: inout [String]
    ) throws -> [RecipeSetting] {
        guard let text = String(setting.value) else {
            throw RecipeError.wrongType(
                place: setting.place, key: "recipe", found: setting.value.summary,
                expected: "the path of a recipe")
        }
        let path = try Recipe.expanded(
            text, key: "recipe", file: setting.place, environment: environment)
        return try RecipeSetting.all(in: path).filter { setting in
            switch setting.key {
            // Where a recipe puts its result when it is run alone is nobody's folder here.
            case "output_dir": return false
            case "overwrite_output_dir", "resume_from_checkpoint":
                notes.append(
                    "\(setting.place): '\(setting.key)' is ignored: the pipeline decides that")
                return false
            default: return true
            }
        }
    }

    private func check(
        _ recipe: Recipe, _ stage: Stage, after earlier: [PipelineStage], in folder: String,
        _ uses: [StageReferences.Use]
    ) throws {
        let taken =
            [("the pipeline itself", folder)]
            + earlier.map { ("stage '\($0.name)'", $0.folder) }
        if let other = taken.first(where: { $0.1 == recipe.run.outputFolder }) {
            let setting = stage.settings.last { $0.key == "output_dir" }
            throw RecipeError.badValue(
                place: setting?.place ?? stage.place, key: "output_dir",
                found: "'\(recipe.run.outputFolder)'",
                expected: "a folder of its own: that is \(other.0)'s")
        }
        guard recipe.run.doesTrain else {
            let setting = stage.settings.last { $0.key == "do_train" }
            throw RecipeError.badValue(
                place: setting?.place ?? stage.place, key: "do_train", found: "false",
                expected: "true: a pipeline evaluates its stages under `evaluate:`")
        }
        for use in uses {
            let other = earlier[use.stage]
            try recipe.check(use, of: other.name, leaving: other.recipe)
        }
        for use in uses {
            let other = earlier[use.stage]
            try recipe.checkAdapter(use, of: other.name, formedBy: other.recipe)
        }
        try recipe.checkRewards(place: "\(path) (stage \(stage.name))")
    }
}

extension Unicode.Scalar {
    fileprivate var isLetterOrDigit: Bool {
        isASCII && (properties.isAlphabetic || ("0"..."9").contains(self))
    }
}
