import YuyanFormats

/// A reward function that recipes can ask for by its kind.
protocol ConfiguredReward: RewardFunction {
    /// What recipes call it.
    static var kind: String { get }
    /// Whether it is a program, or a model of its own, which a dry run does not start.
    static var isForeign: Bool { get }

    /// Reads the function's keys.
    init(_ settings: inout RewardSettings) throws(RecipeError)
}

extension ConfiguredReward {
    static var isForeign: Bool { false }
}

/// The keys of one entry of `reward_funcs` or `tools`, read one by one; what is not read is an error.
struct RewardSettings {
    /// What metrics call the function.
    let label: String
    private let list: String
    private let kind: String
    let place: String
    /// What the run lends.
    let host: RewardHost
    private let entries: [YAMLNode.Entry]
    private var known: [String]

    /// - Parameters:
    ///   - list: The recipe's key, for messages.
    ///   - known: Keys that were read already.
    init(
        list: String = "reward_funcs", kind: String, label: String, place: String,
        host: RewardHost = RewardHost(), entries: [YAMLNode.Entry], known: [String]
    ) {
        self.list = list
        self.host = host
        self.kind = kind
        self.label = label
        self.place = place
        self.entries = entries
        self.known = known
    }

    /// The node of a key, if it was given a value.
    mutating func node(_ key: String) -> YAMLNode? {
        known.append(key)
        return entries.last { $0.key == key && !$0.value.isNull }?.value
    }

    /// The value of a key, or what holds without it.
    mutating func value<Value: RecipeValue>(
        _ key: String, _ fallback: Value
    ) throws(RecipeError) -> Value {
        guard let node = node(key) else { return fallback }
        guard let value = Value(node) else {
            throw fault(key, node.summary, expected: Value.expectation)
        }
        return value
    }

    /// A number that is not below a limit.
    mutating func value(
        _ key: String, _ fallback: Int, atLeast limit: Int
    ) throws(RecipeError) -> Int {
        let value = try value(key, fallback)
        guard value >= limit else { throw fault(key, "\(value)", expected: "\(limit) or more") }
        return value
    }

    /// The columns that hold the reference: `column`, or the usual names.
    mutating func columns(_ usual: [String]) throws(RecipeError) -> [String] {
        let columns = try value("column", [String]())
        return columns.isEmpty ? usual : columns
    }

    /// A value that means nothing here.
    func fault(_ key: String, _ found: String, expected: String) -> RecipeError {
        let line = entries.last { $0.key == key }?.line ?? 0
        let place = line > 0 ? "\(place.prefixBeforeLine):\(line)" : place
        return .badValue(
            place: place, key: "\(list).\(kind).\(key)", found: found, expected: expected)
    }

    /// - Throws: `RecipeError` if a key was given that nothing has read.
    func finish() throws(RecipeError) {
        for entry in entries where !known.contains(entry.key) {
            let nearest = nearestNames(to: entry.key, in: known)
            throw fault(
                entry.key, "unknown",
                expected: "one of \(known.sorted().joined(separator: ", "))"
                    + (nearest.isEmpty ? "" : "; nearest: \(nearest[0])"))
        }
    }
}

extension String {
    /// `file` of `file:line`.
    var prefixBeforeLine: String {
        guard let colon = lastIndex(of: ":"), Int(self[index(after: colon)...]) != nil else {
            return self
        }
        return String(self[..<colon])
    }
}

/// The value of the recipe's key `reward_funcs`: names, or mappings with settings.
///
/// `[arithmetic, {name: length, target: 64}, {program: ./reward.py, timeout: 5}]`. A mapping names its
/// function by `name`, or by `program` alone, and may give it another `label` for the metrics.
public struct RecipeRewards: Sendable, Hashable {
    /// Each entry as it was written.
    public var nodes: [YAMLNode]

    /// Takes entries as they are.
    public init(_ nodes: [YAMLNode] = []) { self.nodes = nodes }

    /// All kinds that are built in.
    private static let builtIn: [any ConfiguredReward.Type] = [
        ArithmeticReward.self, ChoiceReward.self, RegexReward.self, JSONSchemaReward.self,
        FormatReward.self, LengthReward.self, RepetitionReward.self, ProgramReward.self,
        JudgeReward.self, ProcessReward.self,
    ]

    /// Builds the functions.
    ///
    /// - Parameters:
    ///   - place: The recipe, or file and line of the key, for messages.
    ///   - host: What functions with models of their own compute with.
    /// - Throws: `RecipeError` naming the entry's kind and key.
    package func functions(
        place: String, host: RewardHost = RewardHost()
    ) throws(RecipeError) -> [any RewardFunction] {
        var functions: [any RewardFunction] = []
        for node in nodes { functions.append(try Self.function(node, place: place, host: host)) }
        return functions
    }

    /// Each entry with its paths changed, such as to replace `~`.
    func mapPaths(_ change: (String) throws -> String) rethrows -> RecipeRewards {
        RecipeRewards(
            try nodes.map { node in
                guard case .mapping(let entries, let line) = node else { return node }
                return .mapping(
                    try entries.map { entry in
                        guard Self.pathKeys.contains(entry.key),
                            case .scalar(let text, let isQuoted, let line) = entry.value
                        else { return entry }
                        return YAMLNode.Entry(
                            key: entry.key,
                            value: .scalar(try change(text), isQuoted: isQuoted, line: line),
                            line: entry.line)
                    }, line: line)
            })
    }

    private static let pathKeys: Set = [
        "adapter", "model", "program", "prompt_file", "schema_file", "template",
    ]

    /// The kind of each entry, whether or not there is such a kind.
    var kinds: [String] {
        nodes.map { node in
            switch node {
            case .mapping(let entries, _):
                entries.last { $0.key == "name" }.flatMap { String($0.value) } ?? "program"
            case .scalar(let text, _, _): text
            case .sequence: ""
            }
        }
    }

    /// The text of a setting of the first entry of a kind that has it.
    func setting(_ key: String, of kind: String) -> String? {
        for (node, found) in zip(nodes, kinds) where found == kind {
            guard case .mapping(let entries, _) = node,
                let value = entries.last(where: { $0.key == key })?.value
            else { continue }
            return String(value)
        }
        return nil
    }

    /// Builds one function from its name or its mapping.
    static func function(
        _ node: YAMLNode, place: String, host: RewardHost = RewardHost()
    ) throws(RecipeError) -> any RewardFunction {
        var place = place
        if node.line > 0 { place = "\(place.prefixBeforeLine):\(node.line)" }
        var entries: [YAMLNode.Entry] = []
        let kind: String
        switch node {
        case .scalar(let text, _, _): kind = text
        case .mapping(let found, _):
            entries = found
            let isProgram = found.contains { $0.key == "program" }
            guard let name = found.last(where: { $0.key == "name" })?.value else {
                guard isProgram else {
                    throw .badValue(
                        place: place, key: "reward_funcs", found: "a mapping without name",
                        expected: "{name: length, …} or {program: ./reward.py, …}")
                }
                kind = "program"
                break
            }
            guard let text = String(name) else {
                throw .badValue(
                    place: place, key: "reward_funcs", found: "the name \(name.summary)",
                    expected: String.expectation)
            }
            kind = text
        case .sequence:
            throw .badValue(
                place: place, key: "reward_funcs", found: "a list in the list",
                expected: "names or mappings")
        }
        guard let type = builtIn.first(where: { $0.kind == kind }) else {
            let names = builtIn.map { $0.kind }
            let nearest = nearestNames(to: kind, in: names)
            throw .badValue(
                place: place, key: "reward_funcs", found: "'\(kind)'",
                expected: "one of \(names.joined(separator: ", "))"
                    + (nearest.isEmpty ? "" : "; nearest: \(nearest[0])"))
        }
        var label = kind
        if let node = entries.last(where: { $0.key == "label" })?.value {
            guard let text = String(node), !text.isEmpty else {
                throw .badValue(
                    place: place, key: "reward_funcs.\(kind).label", found: node.summary,
                    expected: String.expectation)
            }
            label = text
        }
        var settings = RewardSettings(
            kind: kind, label: label, place: place, host: host, entries: entries,
            known: ["name", "label"])
        let function = try type.init(&settings)
        try settings.finish()
        return host.isDry && type.isForeign ? UnaskedReward(base: function) : function
    }
}

extension RecipeRewards: RecipeEntries {
    static var expectation: String { "a list of reward functions: names, or mappings with a name" }
}

extension RewardFaultPolicy: RecipeChoice {}

extension RewardSet {
    /// The set of a recipe's keys `reward_funcs`, `reward_weights` and `reward_faults`.
    ///
    /// - Throws: `RecipeError` for a function's settings, `RewardError` for the set as a whole.
    package init(
        _ rewards: RecipeRewards, weights: [Double], policy: RewardFaultPolicy, place: String,
        host: RewardHost = RewardHost()
    ) throws {
        try self.init(
            try rewards.functions(place: place, host: host),
            weights: weights.isEmpty ? nil : weights, policy: policy)
    }
}
