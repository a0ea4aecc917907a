import YuyanFormats

/// One key of a recipe with its value, and where it was set.
package struct RecipeSetting: Sendable {
    package var key: String
    package var value: YAMLNode
    /// File and line, or the flag, for messages.
    package var place: String
    /// Whether it is set for several recipes at once, of which some may not read it.
    package var isShared = false

    package init(key: String, value: YAMLNode, place: String, isShared: Bool = false) {
        self.key = key
        self.value = value
        self.place = place
        self.isShared = isShared
    }

    /// The settings of a YAML or JSON file, in order.
    ///
    /// - Throws: `RecipeError.notAMapping`, `YAMLError` or `FormatError`.
    package static func all(in path: String) throws -> [RecipeSetting] {
        let root = try root(of: path)
        guard case .mapping(let entries, _) = root else {
            throw RecipeError.notAMapping(file: path, found: root.summary)
        }
        return entries.map { RecipeSetting($0, file: path) }
    }

    /// The only value of a file; JSON if its name says so.
    package static func root(of path: String) throws -> YAMLNode {
        path.hasSuffix(".json")
            ? YAMLNode(try JSONDocument(path: path).root) : try YAMLDocument(path: path).root
    }

    /// An entry of a file's mapping.
    package init(_ entry: YAMLNode.Entry, file: String, isShared: Bool = false) {
        self.init(
            key: entry.key, value: entry.value,
            place: entry.line > 0 ? "\(file):\(entry.line)" : file, isShared: isShared)
    }
}
