import YuyanFormats

/// A type that a recipe's key can have.
protocol RecipeValue: Sendable, Equatable {
    /// What an error message says was expected.
    static var expectation: String { get }
    /// The value, or nil if the node is something else.
    init?(_ node: YAMLNode)
    /// A node that reads back to the value.
    var node: YAMLNode { get }
}

/// The text of an unquoted scalar of a file, or any text of a flag.
private func plain(_ node: YAMLNode) -> String? {
    guard case .scalar(let text, _, _) = node, !text.isEmpty else { return nil }
    return text
}

private func scalar(_ text: String, isQuoted: Bool = false) -> YAMLNode {
    .scalar(text, isQuoted: isQuoted, line: 0)
}

extension Int: RecipeValue {
    static var expectation: String { "a whole number" }

    /// Digits with an optional sign; `1e3`, `2.0` and `1_000` count too.
    init?(_ node: YAMLNode) {
        guard let text = plain(node) else { return nil }
        let digits = text.replacing("_", with: "")
        if let value = Int(digits) {
            self = value
        } else if let number = Double(node), let value = Int(exactly: number) {
            self = value
        } else {
            return nil
        }
    }

    var node: YAMLNode { scalar("\(self)") }
}

extension Double: RecipeValue {
    static var expectation: String { "a number" }

    /// Any finite number: `1e-4`, `.5`, `3`.
    init?(_ node: YAMLNode) {
        guard let text = plain(node), let first = text.first, !first.isLetter,
            let value = Double(text.hasPrefix(".") ? "0" + text : text), value.isFinite
        else { return nil }
        self = value
    }

    var node: YAMLNode { scalar("\(self)") }
}

extension Bool: RecipeValue {
    static var expectation: String { "true or false" }

    /// Also `yes`, `no`, `on` and `off`, as YAML 1.1 has them.
    init?(_ node: YAMLNode) {
        switch plain(node)?.lowercased() {
        case "true", "yes", "on", "1": self = true
        case "false", "no", "off", "0": self = false
        default: return nil
        }
    }

    var node: YAMLNode { scalar(self ? "true" : "false") }
}

extension String: RecipeValue {
    static var expectation: String { "a text" }

    init?(_ node: YAMLNode) {
        guard case .scalar(let text, _, _) = node else { return nil }
        self = text
    }

    var node: YAMLNode { scalar(self, isQuoted: true) }
}

extension Optional: RecipeValue where Wrapped: RecipeValue {
    static var expectation: String { Wrapped.expectation + " or nothing" }

    init?(_ node: YAMLNode) {
        if node.isNull {
            self = .none
        } else if let value = Wrapped(node) {
            self = .some(value)
        } else {
            return nil
        }
    }

    var node: YAMLNode { self?.node ?? scalar("") }
}

extension Array: RecipeValue where Element: RecipeValue {
    static var expectation: String { "a list, or one text with commas" }

    init?(_ node: YAMLNode) {
        switch node {
        case _ where node.isNull: self = []
        case .sequence(let items, _):
            var result: [Element] = []
            for item in items {
                guard let element = Element(item) else { return nil }
                result.append(element)
            }
            self = result
        case .scalar(let text, _, let line):
            var result: [Element] = []
            for part in text.split(separator: ",") {
                let trimmed = String(
                    part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
                guard let element = Element(.scalar(trimmed, isQuoted: false, line: line)) else {
                    return nil
                }
                result.append(element)
            }
            self = result
        case .mapping: return nil
        }
    }

    var node: YAMLNode { .sequence(map(\.node), line: 0) }
}

/// Names with numbers, in the order of the file: `{q_proj: 16, v_proj: 8}`.
public struct RecipeNumbers: Sendable, Hashable {
    /// Each name with its number.
    public var entries: [Entry]

    /// One name and its number.
    public struct Entry: Sendable, Hashable {
        /// As it was written.
        public var name: String
        /// Its number.
        public var value: Double

        /// One name and its number.
        public init(name: String, value: Double) {
            self.name = name
            self.value = value
        }
    }

    /// Takes entries as they are; names should not repeat.
    public init(_ entries: [Entry] = []) { self.entries = entries }

    /// The number of a name.
    public subscript(name: String) -> Double? { entries.last { $0.name == name }?.value }
}

extension RecipeNumbers: RecipeValue {
    static var expectation: String { "a mapping of names to numbers" }

    init?(_ node: YAMLNode) {
        guard !node.isNull else {
            self.init()
            return
        }
        guard case .mapping(let entries, _) = node else { return nil }
        var result: [Entry] = []
        for entry in entries {
            guard let value = Double(entry.value) else { return nil }
            result.append(Entry(name: entry.key, value: value))
        }
        self.init(result)
    }

    var node: YAMLNode {
        .mapping(
            entries.map { YAMLNode.Entry(key: $0.name, value: $0.value.node, line: 0) }, line: 0)
    }
}

/// Names with numbers or texts: `{num_cycles: 2, decay_type: cosine}`.
public struct RecipeOptions: Sendable, Hashable {
    /// Each name with its value as it was written.
    public var entries: [Entry]

    /// One name and its value.
    public struct Entry: Sendable, Hashable {
        /// As it was written.
        public var name: String
        /// Its value, not yet read.
        public var text: String

        /// One name and its value.
        public init(name: String, text: String) {
            self.name = name
            self.text = text
        }
    }

    /// Takes entries as they are; names should not repeat.
    public init(_ entries: [Entry] = []) { self.entries = entries }
}

extension RecipeOptions: RecipeValue {
    static var expectation: String { "a mapping of names to numbers or words" }

    init?(_ node: YAMLNode) {
        guard !node.isNull else {
            self.init()
            return
        }
        guard case .mapping(let entries, _) = node else { return nil }
        var result: [Entry] = []
        for entry in entries {
            guard let text = String(entry.value) else { return nil }
            result.append(Entry(name: entry.key, text: text))
        }
        self.init(result)
    }

    var node: YAMLNode {
        .mapping(
            entries.map { YAMLNode.Entry(key: $0.name, value: $0.text.node, line: 0) }, line: 0)
    }
}

/// A value out of a fixed list of words.
protocol RecipeChoice: RecipeValue, RawRepresentable<String>, CaseIterable {}

extension RecipeChoice {
    static var expectation: String {
        "one of " + allCases.map { $0.rawValue }.joined(separator: ", ")
    }

    init?(_ node: YAMLNode) {
        guard let text = plain(node) else { return nil }
        self.init(rawValue: text)
    }

    var node: YAMLNode { scalar(rawValue) }
}
