import YuyanFormats
import YuyanText

/// One question, ready to be asked.
public struct EvaluationRow: Sendable, Hashable {
    /// The line of the file, from 1.
    public let line: Int
    /// What the model reads.
    public let prompt: String
    /// Ways to go on; one for `continuation`, none for `generate` and `text`.
    public let choices: [String]
    /// Indices of right choices.
    public let right: [Int]
    /// Right answers as texts.
    public let answers: [String]
}

/// The rows of a task's file.
public struct EvaluationRows: Sendable {
    /// What is asked: the task's own answer, or what the columns of the first row suggest.
    public let kind: EvaluationTask.Kind
    /// In the order of the file.
    public let rows: [EvaluationRow]

    /// Reads JSON Lines.
    ///
    /// - Parameters:
    ///   - text: One JSON object a line; empty lines are passed over.
    ///   - file: What errors call it.
    ///   - limit: Read at most this many rows.
    /// - Throws: `EvaluationTaskError`, naming the line; `FormatError.json`.
    public init(
        _ text: [UInt8], file: String, task: EvaluationTask, limit: Int? = nil
    ) throws {
        var rows: [EvaluationRow] = []
        var reader: RowReader?
        for (index, bytes) in text.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
        ).enumerated() {
            guard rows.count < limit ?? .max else { break }
            if bytes.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) {
                continue
            }
            let line = index + 1
            let start = bytes.first { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
            if rows.isEmpty, start == UInt8(ascii: "[") || bytes.starts(with: [0x1F, 0x8B]) {
                throw EvaluationTaskError.row(
                    file: file, line: line,
                    what: (start == UInt8(ascii: "[") ? "a JSON array" : "packed by gzip")
                        + ", expected one JSON object a line")
            }
            let root = try Self.value(Array(bytes), file: file, line: line)
            guard root.kind == .object else {
                throw EvaluationTaskError.row(
                    file: file, line: line, what: "\(root.kind), expected one JSON object a line")
            }
            let columns = Columns(root, file: file, line: line)
            let current = try reader ?? RowReader(task, columns)
            reader = current
            rows.append(try current.row(columns))
        }
        guard let reader else { throw EvaluationTaskError.empty(file: file) }
        kind = reader.kind
        self.rows = rows
    }

    /// The value of one line; errors count lines of the file.
    private static func value(
        _ bytes: [UInt8], file: String, line: Int
    ) throws(FormatError) -> JSONCursor {
        do throws(FormatError) {
            return try JSONDocument(bytes: bytes, name: file).root
        } catch {
            guard case .json(_, _, let column, let what) = error else { throw error }
            throw .json(file: file, line: line, column: column, what: what)
        }
    }
}

/// The columns of one row.
private struct Columns {
    let file: String
    let line: Int
    let entries: [(key: String, value: TemplateValue)]

    init(_ root: JSONCursor, file: String, line: Int) {
        self.file = file
        self.line = line
        entries = (root.entries ?? []).map { ($0.key, Self.value($0.value)) }
    }

    subscript(name: String) -> TemplateValue? { entries.last { $0.key == name }?.value }

    func first(_ names: [String]) -> String? { names.first { self[$0] != nil } }

    func wrong(_ what: String) -> EvaluationTaskError { .row(file: file, line: line, what: what) }

    private static func value(_ json: JSONCursor) -> TemplateValue {
        switch json.kind {
        case .null: .none
        case .bool: .bool(json.bool ?? false)
        case .number:
            json.isInteger ? json.int.map { .integer($0) } ?? .none : .float(json.double ?? 0)
        case .string: .string(json.string ?? "")
        case .array: .array(json.array?.map(value) ?? [])
        case .object:
            .object(
                TemplateObject((json.entries ?? []).map { (key: $0.key, value: value($0.value)) }))
        }
    }
}

/// Reads rows as the task says, or as the first one looks.
private struct RowReader {
    let kind: EvaluationTask.Kind
    private let task: EvaluationTask
    private let text: Field
    private let choice: Field?
    private let choiceTemplates: [Field]
    private let target: Field?

    /// Where a value comes from.
    private enum Field {
        case column(String)
        case template(Template)

        /// - Parameter maySay: Whether a word alone may be a text of its own.
        init(_ source: String, _ columns: Columns, option: String, maySay: Bool = false) throws {
            if columns[source] != nil {
                self = .column(source)
                return
            }
            guard maySay || !Self.isName(source) else {
                throw EvaluationTaskError.template(
                    option: option,
                    reason: "no column '\(source)' in the first row; columns: "
                        + columns.entries.map(\.key).joined(separator: ", ")
                        + "; the word itself is {{ '\(source)' }}")
            }
            do {
                self = .template(try Template(source: source, name: option))
            } catch {
                throw EvaluationTaskError.template(option: option, reason: "\(error)")
            }
        }

        private static func isName(_ text: String) -> Bool {
            guard let first = text.unicodeScalars.first, !("0"..."9").contains(first) else {
                return false
            }
            return text.unicodeScalars.allSatisfy {
                $0 == "_" || $0 == "-" || $0.properties.isAlphabetic || ("0"..."9").contains($0)
            }
        }

        func value(_ columns: Columns) throws -> TemplateValue {
            switch self {
            case .column(let name):
                guard let value = columns[name] else {
                    throw columns.wrong("no column '\(name)', which the first row has")
                }
                return value
            case .template(let template):
                do {
                    return .string(
                        try template.render(
                            variables: Dictionary(
                                columns.entries.map { ($0.key, $0.value) },
                                uniquingKeysWith: { $1 })))
                } catch {
                    throw columns.wrong("\(error)")
                }
            }
        }
    }

    init(_ task: EvaluationTask, _ columns: Columns) throws {
        self.task = task
        func field(_ given: String?, _ names: [String], _ option: String) throws -> Field? {
            if let given { return try Field(given, columns, option: option) }
            return columns.first(names).map { .column($0) }
        }
        var templates: [Field] = []
        if let source = task.docToChoice, source.hasPrefix("[") {
            let list = try JSONDocument(bytes: Array(source.utf8), name: "--doc-to-choice").root
            templates =
                try list.array.map {
                    try $0.map { item in
                        try Field(
                            item.string ?? "", columns, option: "--doc-to-choice", maySay: true)
                    }
                } ?? []
            choice = nil
        } else {
            choice = try field(task.docToChoice, EvaluationTask.choiceColumns, "--doc-to-choice")
        }
        choiceTemplates = templates
        let found = try field(task.docToText, EvaluationTask.textColumns, "--doc-to-text")
        let isText = task.docToText == nil && task.docToTarget == nil && columns["text"] != nil
        var target = try field(task.docToTarget, EvaluationTask.targetColumns, "--doc-to-target")
        if task.kind == .text { target = nil }
        kind =
            task.kind
            ?? (choice != nil || !templates.isEmpty
                ? .choice : isText && target == nil ? .text : .generate)
        guard let found else {
            throw columns.wrong(
                "no column for the prompt, such as '\(EvaluationTask.textColumns[0])'; columns: "
                    + columns.entries.map(\.key).joined(separator: ", ")
                    + "; name one with --doc-to-text")
        }
        guard kind == .text || target != nil else {
            throw columns.wrong(
                "no column for the answer, such as '\(EvaluationTask.targetColumns[0])'; name one "
                    + "with --doc-to-target")
        }
        text = found
        self.target = target
    }

    func row(_ columns: Columns) throws -> EvaluationRow {
        guard let prompt = try text.value(columns).plainText else {
            throw columns.wrong("the prompt is no text")
        }
        let target = try target?.value(columns)
        func row(_ choices: [String], _ right: [Int], _ answers: [String]) -> EvaluationRow {
            EvaluationRow(
                line: columns.line, prompt: prompt, choices: choices, right: right,
                answers: answers)
        }
        switch kind {
        case .text:
            return row([], [], [])
        case .choice:
            let (choices, labels) = try choices(columns)
            return row(choices, try right(target, choices, labels, columns), [])
        case .continuation, .generate:
            var answers: [String] = []
            if case .array(let list)? = target {
                answers = list.compactMap(\.plainText)
            } else if let answer = target?.plainText {
                answers = [answer]
            }
            guard !answers.isEmpty else { throw columns.wrong("the right answer is no text") }
            return row(kind == .continuation ? [answers[0]] : [], [0], answers)
        }
    }

    private func choices(_ columns: Columns) throws -> ([String], labels: [String]) {
        var labels: [String] = []
        var texts: [String?]
        if let choice {
            switch try choice.value(columns) {
            case .array(let list):
                texts = list.map(\.plainText)
            case .object(let object):
                // The layout of ARC: texts and their labels side by side.
                guard case .array(let list)? = object["text"] else {
                    throw columns.wrong("the choices are an object without a list 'text'")
                }
                texts = list.map(\.plainText)
                if case .array(let list)? = object["label"] {
                    labels = list.compactMap(\.plainText)
                }
            case .string(let rendered):
                let list = try JSONDocument(bytes: Array(rendered.utf8), name: columns.file).root
                texts = list.array?.map(\.string) ?? []
            default:
                throw columns.wrong("the choices are no list")
            }
        } else {
            texts = try choiceTemplates.map { try $0.value(columns).plainText }
        }
        let choices = texts.compactMap { $0 }
        guard choices.count == texts.count, choices.count > 1 else {
            throw columns.wrong("\(texts.count) choices, expected at least two texts")
        }
        if let empty = choices.firstIndex(of: "") {
            throw columns.wrong("choice \(empty) is empty; its length cannot be divided by")
        }
        return (choices, labels)
    }

    /// Indices of the right choices: a number, its digits, a label, a text or a letter.
    private func right(
        _ target: TemplateValue?, _ choices: [String], _ labels: [String], _ columns: Columns
    ) throws -> [Int] {
        if case .array(let list)? = target {
            return try list.flatMap { try right($0, choices, labels, columns) }
        }
        var index: Int?
        if case .integer(let number)? = target {
            index = number
        } else if let text = target?.plainText.map(stripped) {
            let letter = text.unicodeScalars.count == 1 ? text.unicodeScalars.first?.value : nil
            index =
                choices.firstIndex { stripped($0) == text } ?? labels.firstIndex(of: text)
                ?? Int(text) ?? letter.flatMap { (65...90).contains($0) ? Int($0) - 65 : nil }
        }
        guard let index, choices.indices.contains(index) else {
            throw columns.wrong(
                "the right answer is none of the \(choices.count) choices: expected an index, a "
                    + "letter or the text of one")
        }
        return [index]
    }
}

extension TemplateValue {
    /// The text of a text or a number.
    fileprivate var plainText: String? {
        switch self {
        case .string(let text): text
        case .integer(let number): "\(number)"
        case .float(let number): "\(number)"
        default: nil
        }
    }
}
