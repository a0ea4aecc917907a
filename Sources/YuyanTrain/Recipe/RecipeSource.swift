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
        var reader = RecipeReader()
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
        notes = reader.notes + recipe.unreadKeys(file: name, except: reader.shared)
    }

    /// Reads a file that a run wrote itself: nothing is expanded or required.
    init(saved path: String) throws {
        var reader = RecipeReader()
        for setting in try RecipeSetting.all(in: path) { try reader.set(setting) }
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

    mutating func set(_ setting: RecipeSetting) throws {
        let (name, node, place) = (setting.key, setting.value, setting.place)
        if let key = Recipe.keysByName[ForeignKeys.alias(name) ?? name] {
            // A key without a value is the key left out.
            let isDefault = node.isNull && key.defaultText.isEmpty == false
            guard isDefault || key.set(&recipe, node) else {
                throw RecipeError.wrongType(
                    place: place, key: name, found: node.summary, expected: key.expectation)
            }
            places[key.name] = place
            if setting.isShared {
                shared.insert(key.name)
            } else {
                shared.remove(key.name)
            }
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
}
