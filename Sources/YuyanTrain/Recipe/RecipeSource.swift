import YuyanFormats

/// A recipe as it was read: its values, where they came from, and what was ignored.
public struct RecipeSource: Sendable {
    /// Every value, file and flags together.
    public let recipe: Recipe
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
        let (path, flags) = try Self.split(arguments)
        var reader = RecipeReader()
        if let path { try reader.read(file: path) }
        for flag in flags { try reader.set(flag.key, to: flag.value, place: flag.place) }
        name = path ?? "command line"
        var recipe = reader.recipe
        do {
            try recipe.expandPaths(file: name, environment: environment)
            try recipe.check(file: name)
        } catch let error as RecipeError {
            throw error.placed(at: reader.places)
        }
        self.recipe = recipe
        notes = reader.notes + recipe.unreadKeys(file: name)
    }

    /// Reads a file that a run wrote itself: nothing is expanded or required.
    init(saved path: String) throws {
        var reader = RecipeReader()
        try reader.read(file: path)
        (recipe, name, notes) = (reader.recipe, path, reader.notes)
    }
}

extension RecipeSource {
    private typealias Flag = (key: String, value: YAMLNode, place: String)

    /// Tells the file from the flags.
    private static func split(_ words: [String]) throws -> (path: String?, flags: [Flag]) {
        var path: String?
        var flags: [Flag] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            let isFlag = word.hasPrefix("--")
            let body = isFlag ? String(word.dropFirst(2)) : word
            let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map(String.init)
            guard isFlag || parts.count == 2 else {
                guard path == nil else {
                    throw RecipeError.badArgument(
                        "'\(word)' is neither --key value nor key=value, and the recipe is "
                            + "'\(path ?? "")' already; did a value lose its quotes?")
                }
                path = word
                continue
            }
            let key = parts[0].replacing("-", with: "_")
            let isSwitch = Recipe.keysByName[ForeignKeys.alias(key) ?? key]?.isSwitch
            let text: String
            if parts.count == 2 {
                text = parts[1]
            } else if let value = rest.first, !value.hasPrefix("--"),
                isSwitch != true || Bool(YAMLNode.scalar(value, isQuoted: false, line: 0)) != nil
            {
                text = value
                rest = rest.dropFirst()
            } else if isSwitch != false {
                text = "true"
            } else {
                throw RecipeError.badArgument("--\(parts[0]) needs a value")
            }
            flags.append((key, try value(text), "--" + parts[0]))
        }
        return (path, flags)
    }

    /// A flag's text as a node: lists and mappings in brackets, the rest as it is.
    private static func value(_ text: String) throws -> YAMLNode {
        guard text.hasPrefix("[") || text.hasPrefix("{") else {
            return .scalar(text, isQuoted: false, line: 0)
        }
        return try YAMLDocument.value(text, name: text)
    }
}

/// Puts values into a recipe, one key at a time.
private struct RecipeReader {
    var recipe = Recipe()
    var notes: [String] = []
    /// Where each key was set last: a line of the file, or a flag.
    var places: [String: String] = [:]

    mutating func read(file path: String) throws {
        let root: YAMLNode =
            path.hasSuffix(".json")
            ? YAMLNode(try JSONDocument(path: path).root) : try YAMLDocument(path: path).root
        guard case .mapping(let entries, _) = root else {
            throw RecipeError.notAMapping(file: path, found: root.summary)
        }
        for entry in entries {
            let place = entry.line > 0 ? "\(path):\(entry.line)" : path
            try set(entry.key, to: entry.value, place: place)
        }
    }

    mutating func set(_ name: String, to node: YAMLNode, place: String) throws {
        if let key = Recipe.keysByName[ForeignKeys.alias(name) ?? name] {
            // A key without a value is the key left out.
            let isDefault = node.isNull && key.defaultText.isEmpty == false
            guard isDefault || key.set(&recipe, node) else {
                throw RecipeError.wrongType(
                    place: place, key: name, found: node.summary, expected: key.expectation)
            }
            places[key.name] = place
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
