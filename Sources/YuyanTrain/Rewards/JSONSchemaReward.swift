import Synchronization
import YuyanConstraints
import YuyanFormats

/// Whether the completion, or the last fenced block in it, is JSON that a schema allows.
///
/// The schema stands in the recipe, in a file, or in a column of the row.
struct JSONSchemaReward: RewardFunction {
    let name: String
    /// The schema of all rows; nil to take each row's own.
    private let schema: SchemaVerdict?
    private let columns: [String]
    private let cache = SchemaCache()
    /// Whether JSON must, may or must not stand in a fenced block.
    var fence = Fence.optional
    var valid = 1.0
    var invalid = 0.0
    /// For what is JSON, but not as the schema has it; nil counts as invalid.
    var parsed: Double?

    enum Fence: String, RecipeChoice { case optional, required, forbidden }

    /// One schema for all rows.
    ///
    /// - Throws: `ConstraintError` if the schema is wrong or says what masks cannot enforce.
    init(name: String = "json_schema", schema: JSONCursor) throws(ConstraintError) {
        self.name = name
        self.schema = try SchemaVerdict(schema)
        columns = []
    }

    /// Each row's own schema, an object or its text.
    init(name: String = "json_schema", columns: [String]) {
        self.name = name
        schema = nil
        self.columns = columns
    }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        try eachScore(completions) { completion in
            guard let verdict = try schema ?? rowSchema(completion) else { return nil }
            guard let text = Self.payload(of: completion.text, fence),
                let document = try? JSONDocument(bytes: Array(text.utf8), name: "completion")
            else { return invalid }
            return try verdict.allows(document.root) ? valid : parsed ?? invalid
        }
    }

    private func rowSchema(_ completion: ScoredCompletion) throws -> SchemaVerdict? {
        guard let column = completion.column(columns) else { return nil }
        if let text = column.string {
            return try cache.verdict(text) {
                try JSONDocument(bytes: Array(text.utf8), name: "schema of the row").root
            }
        }
        return try cache.verdict(JSONOutput(copying: column).description) { column }
    }

    /// The text that should be JSON; nil if it is not where it has to be.
    static func payload(of text: String, _ fence: Fence) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var (block, last): ([Substring]?, [Substring]?) = (nil, nil)
        var isOpen = false
        for line in lines {
            if stripped(line).hasPrefix("```") {
                if isOpen {
                    last = block
                    block = nil
                } else {
                    block = []
                }
                isOpen.toggle()
            } else if isOpen {
                block?.append(line)
            }
        }
        switch fence {
        case .forbidden: return text
        case .required: return last?.joined(separator: "\n")
        case .optional:
            // An unclosed block is what was cut off in the middle.
            return last?.joined(separator: "\n") ?? (isOpen ? nil : text)
        }
    }
}

/// Compiled schemas by their texts; the whole cache is dropped when it is full.
private final class SchemaCache: Sendable {
    private let verdicts = Mutex<[String: SchemaVerdict]>([:])
    private static let most = 64

    func verdict(_ text: String, _ schema: () throws -> JSONCursor) throws -> SchemaVerdict {
        if let known = verdicts.withLock({ $0[text] }) { return known }
        let verdict = try SchemaVerdict(try schema())
        verdicts.withLock {
            if $0.count >= Self.most { $0 = [:] }
            $0[text] = verdict
        }
        return verdict
    }
}

extension JSONSchemaReward: ConfiguredReward {
    static let kind = "json_schema"

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        let node = settings.node("schema")
        let path: String? = try settings.value("schema_file", nil)
        let columns = try settings.value("schema_column", [String]())
        let given = [node != nil, path != nil, !columns.isEmpty].filter { $0 }.count
        guard given == 1 else {
            throw settings.fault(
                "schema", given == 0 ? "nothing" : "given \(given) times",
                expected: "one of schema, schema_file and schema_column")
        }
        if !columns.isEmpty {
            self.init(name: settings.label, columns: columns)
        } else {
            let key = path == nil ? "schema" : "schema_file"
            do {
                let root: JSONCursor
                if let path {
                    root = try JSONDocument(path: path).root
                } else {
                    let text = node.map(Self.json) ?? ""
                    root = try JSONDocument(bytes: Array(text.utf8), name: "schema").root
                }
                try self.init(name: settings.label, schema: root)
            } catch {
                throw settings.fault(
                    key, path.map { "'\($0)'" } ?? "a schema", expected: "a usable one: \(error)")
            }
        }
        fence = try settings.value("fence", fence)
        valid = try settings.value("valid", valid)
        invalid = try settings.value("invalid", invalid)
        parsed = try settings.value("parsed", parsed)
    }

    /// A schema in YAML, or the text of one in JSON.
    private static func json(_ node: YAMLNode) -> String {
        if case .scalar(let text, _, _) = node { return text }
        return node.json.description
    }
}
