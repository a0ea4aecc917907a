import YuyanFormats

/// The words of a command that takes a file and its keys as flags.
package struct RecipeWords: Sendable {
    /// The file, if there is one.
    package let path: String?
    /// In the order of the words.
    package let flags: [Flag]

    /// A key that was set on the command line.
    package struct Flag: Sendable {
        /// Of `--scope.key`, whose key it is; nil without one.
        package let scope: String?
        package let setting: RecipeSetting
    }

    /// Tells the file from the flags: `--key value`, `--key=value`, `key=value`, or `--key` alone.
    ///
    /// - Parameter hasScopes: Whether what stands before a flag's last dot says whose key it is.
    /// - Throws: `RecipeError.badArgument`, or `YAMLError` for a value in brackets.
    package init(_ words: [String], hasScopes: Bool = false) throws {
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
            let dot = hasScopes ? parts[0].lastIndex(of: ".") : nil
            let scope = dot.map { String(parts[0][..<$0]) }
            let name = dot.map { String(parts[0][parts[0].index(after: $0)...]) } ?? parts[0]
            let key = name.replacing("-", with: "_")
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
            let setting = RecipeSetting(
                key: key, value: try Self.value(text), place: "--" + parts[0])
            flags.append(Flag(scope: scope, setting: setting))
        }
        (self.path, self.flags) = (path, flags)
    }

    /// A flag's text as a node: lists and mappings in brackets, the rest as it is.
    private static func value(_ text: String) throws -> YAMLNode {
        guard text.hasPrefix("[") || text.hasPrefix("{") else {
            return .scalar(text, isQuoted: false, line: 0)
        }
        return try YAMLDocument.value(text, name: text)
    }
}
