/// One value of a YAML text, with the line it begins at.
///
/// Scalars keep their text: what `yes`, `1e-4` or `null` means is for the reader of a key to say, who
/// knows its type. So no country code becomes a truth value.
public indirect enum YAMLNode: Sendable, Hashable {
    /// Text; `isQuoted` if it stood in quotes or in a block, so that it can be nothing but text.
    case scalar(String, isQuoted: Bool, line: Int)
    case sequence([YAMLNode], line: Int)
    case mapping([Entry], line: Int)

    /// A key and its value.
    public struct Entry: Sendable, Hashable {
        /// Unique in its mapping.
        public let key: String
        /// What it stands before.
        public let value: YAMLNode
        /// Where the key stands.
        public let line: Int

        /// An entry; `line` is 0 if no file holds it.
        public init(key: String, value: YAMLNode, line: Int) {
            self.key = key
            self.value = value
            self.line = line
        }
    }

    /// The line, counted from 1; 0 for what no file holds.
    public var line: Int {
        switch self {
        case .scalar(_, _, let line), .sequence(_, let line), .mapping(_, let line): line
        }
    }

    /// Whether nothing was written: no text, `~` or `null`.
    public var isNull: Bool {
        guard case .scalar(let text, false, _) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// What it is, for error messages: a scalar with its text.
    public var summary: String {
        switch self {
        case _ where isNull: "nothing"
        case .scalar(let text, _, _): "'\(text)'"
        case .sequence(let items, _): "a list of \(items.count)"
        case .mapping(let entries, _): "a mapping of \(entries.count) keys"
        }
    }

    /// The same values read from JSON, which has no lines here.
    public init(_ json: JSONCursor) {
        switch json.kind {
        case .null: self = .scalar("", isQuoted: false, line: 0)
        case .bool: self = .scalar(json.bool == true ? "true" : "false", isQuoted: false, line: 0)
        case .number: self = .scalar(json.sourceText, isQuoted: false, line: 0)
        case .string: self = .scalar(json.string ?? "", isQuoted: true, line: 0)
        case .array:
            self = .sequence((json.array.map { Array($0) } ?? []).map(YAMLNode.init), line: 0)
        case .object:
            self = .mapping(
                (json.entries ?? []).map { Entry(key: $0.key, value: YAMLNode($0.value), line: 0) },
                line: 0)
        }
    }
}

extension YAMLNode {
    /// The value in block style, each line ended; a scalar is one line.
    ///
    /// Reading it gives an equal node, but for the lines.
    public var text: String {
        var result = ""
        write(to: &result, indent: 0)
        return result
    }

    private func write(to text: inout String, indent: Int) {
        let space = String(repeating: "  ", count: indent)
        switch self {
        case .scalar: text += space + inline + "\n"
        case .sequence(let items, _):
            for item in items { text += space + "- " + item.inline + "\n" }
        case .mapping(let entries, _):
            for entry in entries {
                text += space + Self.quotedIfNeeded(entry.key) + ":"
                switch entry.value {
                case .mapping(let inner, _) where !inner.isEmpty:
                    text += "\n"
                    entry.value.write(to: &text, indent: indent + 1)
                case .scalar("", false, _): text += "\n"
                default: text += " " + entry.value.inline + "\n"
                }
            }
        }
    }

    /// The value on one line, lists and mappings in brackets.
    public var inline: String {
        switch self {
        case .scalar(let text, false, _): text.isEmpty ? "null" : text
        case .scalar(let text, true, _): Self.quotedIfNeeded(text)
        case .sequence(let items, _): "[" + items.map(\.inline).joined(separator: ", ") + "]"
        case .mapping(let entries, _):
            "{"
                + entries.map { Self.quotedIfNeeded($0.key) + ": " + $0.value.inline }
                .joined(separator: ", ") + "}"
        }
    }

    /// Text that a reader takes for this text: as it is if nothing in it is YAML's, else in quotes.
    private static func quotedIfNeeded(_ text: String) -> String {
        let plain = text.unicodeScalars.allSatisfy {
            $0.properties.isAlphabetic || ("0"..."9").contains($0)
                || "_-./ ()+=~".unicodeScalars.contains($0)
        }
        let first = text.unicodeScalars.first.map {
            $0.properties.isAlphabetic || $0 == "/" || $0 == "." || $0 == "_"
        }
        let words = ["true", "false", "yes", "no", "on", "off", "null", "inf", "nan"]
        if plain, first == true, !text.hasSuffix(" "), !words.contains(text.lowercased()),
            Double(text) == nil
        {
            return text
        }
        // Every JSON string is a YAML string.
        return JSONOutput.string(text).description
    }
}

/// A text that is not YAML as Yuyan reads it.
public struct YAMLError: Error, Hashable, Sendable, CustomStringConvertible {
    /// As it was named to the reader.
    public let file: String
    /// Counted from 1.
    public let line: Int
    /// In bytes, counted from 1.
    public let column: Int
    /// What is wrong, and what to do.
    public let what: String

    /// `file:line:column: what`.
    public var description: String { "\(file):\(line):\(column): \(what)" }
}
