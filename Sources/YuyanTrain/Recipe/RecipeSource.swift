import YuyanFormats

/// A recipe as it was read: its values, where they came from, and what was ignored.
public struct RecipeSource: Sendable {
    /// Every value, file and flags together.
    public internal(set) var recipe: Recipe
    /// The file, or what stands for it in messages if there is none.
    public let name: String
    /// A line for each key that has no effect, here or beside the other keys.
    public let notes: [String]

    /// Reads a YAML or JSON file, then flags, which win, and checks the result.
    ///
    /// - Parameters:
    ///   - arguments: The file, if there is one, and flags: `--key value`, `--key=value`,
    ///     `key=value`, or `--key` alone for true; dashes in a key stand for underscores.
    ///   - environment: What `${NAME}` in a path means.
    /// - Throws: `RecipeError`, `YAMLError` or `FormatError`.
    public init(
        arguments: [String], environment: (String) -> String? = { _ in nil }
    ) throws {
        let words = try RecipeWords(arguments)
        let file = try words.path.map { try RecipeSetting.all(in: $0) } ?? []
        try self.init(
            file + words.flags.map(\.setting), name: words.path ?? "command line",
            environment: environment)
    }

    /// Takes settings that were read before, of which later ones win, and checks the result.
    ///
    /// - Parameters:
    ///   - name: What messages call the recipe.
    ///   - environment: What `${NAME}` in a path means.
    /// - Throws: `RecipeError`.
    package init(
        _ settings: [RecipeSetting], name: String, environment: (String) -> String?
    ) throws {
        var reader = RecipeReader(settings)
        for setting in settings { try reader.set(setting) }
        var recipe = reader.recipe
        do {
            try recipe.expandPaths(file: name, environment: environment)
            try recipe.check(file: name)
        } catch let error as RecipeError {
            throw error.placed(at: reader.places)
        }
        self.recipe = recipe
        self.name = name
        notes =
            reader.notes
            + recipe.unreadKeys(file: name, except: reader.shared, writtenAs: reader.synonyms)
    }

    /// Reads a file that a run wrote itself: nothing is expanded or required.
    init(saved path: String) throws {
        let settings = try RecipeSetting.all(in: path)
        var reader = RecipeReader(settings)
        for setting in settings { try reader.set(setting) }
        (recipe, name, notes) = (reader.recipe, path, reader.notes)
    }
}

/// Puts values into a recipe, one key at a time.
private struct RecipeReader {
    var recipe = Recipe()
    var notes: [String] = []
    /// Where each key was set last: a line of the file, or a flag.
    var places: [String: String] = [:]
    /// Keys whose last setting is shared with other recipes.
    var shared: Set<String> = []
    /// Keys that were set last by another name, with that name.
    var synonyms: [String: String] = [:]
    /// The stage that all settings together name, on which the meaning of some names depends.
    private let stage: Recipe.Stage
    /// Every name that is set.
    private let names: Set<String>

    init(_ settings: [RecipeSetting]) {
        stage =
            settings.last { $0.key == "stage" }.flatMap { Recipe.Stage($0.value) }
            ?? Recipe().method.stage
        names = Set(settings.map(\.key))
    }

    mutating func set(_ setting: RecipeSetting) throws {
        let (name, node, place) = (setting.key, setting.value, setting.place)
        switch ForeignKeys.meaning(of: name, value: node, in: stage) {
        case .synonym(let key) where names.contains(key):
            notes.append("\(place): '\(name)' is ignored: \(key) is set")
            return
        case .synonym(let key):
            try set(Recipe.keysByName[key], node, setting)
            return
        case .ignored(let reason):
            notes.append("\(place): '\(name)' is ignored: \(reason)")
            return
        case .missing(let feature):
            throw RecipeError.notBuilt(
                place: place, key: name, found: node.summary, feature: feature)
        case nil: break
        }
        if let key = Recipe.keysByName[ForeignKeys.alias(name) ?? name] {
            try set(key, node, setting)
        } else if let (feature, off) = ForeignKeys.missingFeature(name) {
            let isOff =
                node.isNull || Bool(node) == false || Double(node) == 0
                || String(node).map(off.contains) == true
            guard isOff else {
                throw RecipeError.notBuilt(
                    place: place, key: name, found: node.summary, feature: feature)
            }
        } else if let reason = ForeignKeys.reasonToIgnore(name) {
            notes.append("\(place): '\(name)' is ignored: \(reason)")
        } else {
            throw RecipeError.unknownKey(
                place: place, key: name,
                nearest: ForeignKeys.meaning(of: name).map { [$0] }
                    ?? nearestNames(to: name, in: Recipe.keys.map(\.name) + ForeignKeys.names))
        }
    }

    private mutating func set(
        _ key: RecipeKey?, _ node: YAMLNode, _ setting: RecipeSetting
    ) throws {
        guard let key else { return }
        // A key without a value is the key left out.
        let isDefault = node.isNull && key.defaultText.isEmpty == false
        // Several losses of a pair at once are TRL's; a list of one is that one.
        var node = node
        if case .sequence(let items, _) = node, items.count == 1, key.name == "pref_loss" {
            node = items[0]
        }
        guard isDefault || key.set(&recipe, node) else {
            throw RecipeError.wrongType(
                place: setting.place, key: setting.key, found: node.summary,
                expected: key.expectation)
        }
        places[key.name] = setting.place
        synonyms[key.name] = setting.key == key.name ? nil : setting.key
        if setting.isShared {
            shared.insert(key.name)
        } else {
            shared.remove(key.name)
        }
    }
}
