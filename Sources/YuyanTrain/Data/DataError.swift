import YuyanFormats
import YuyanText

/// Data that cannot be trained on as asked.
package enum DataError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A file, or a row of it, cannot be read.
    case corpus(CorpusError)
    /// Another file of the data's description cannot be read.
    case format(FormatError)
    /// One row is wrong.
    case row(RowProblem)
    /// A setting of the recipe cannot be.
    case setting(key: String, found: String, expected: String)
    /// No file, folder, entry of `dataset_info.json` or fetched set has this name.
    case unknownDataset(name: String, folder: String, fetched: String?, nearest: [String])
    /// The rows of a file are of several shapes.
    case mixedShapes(file: String, row: Int, found: String, expected: String)
    /// Rows of this shape are not for this kind of training.
    case wrongStage(file: String, shape: String, stage: String)
    /// A conversation needs a chat template, and the model has none.
    case noTemplate(file: String, shape: String)
    /// A row has a token that the model has no embedding of; all such rows would be wrong alike.
    case unknownToken(source: SampleSource, id: Int32, text: String, vocabularySize: Int)
    /// No row gave a sample.
    case nothingToLearn(rows: Int, problems: [RowProblem])
    /// The system gave no thread for reading.
    case noThread

    package var description: String {
        switch self {
        case .corpus(let error): error.description
        case .format(let error): error.description
        case .row(let problem): problem.description
        case .setting(let key, let found, let expected):
            "'\(key)' is \(found), expected \(expected)"
        case .unknownDataset(let name, let folder, let fetched, let nearest):
            "the data set '\(name)' is neither a file or folder nor in dataset_dir "
                + "(\(folder)/dataset_info.json)"
                + (fetched.map { " nor in \($0), where scripts/fetch-data puts its sets" } ?? "")
                + (nearest.isEmpty ? "" : "; nearest: \(nearest.joined(separator: ", "))")
        case .mixedShapes(let file, let row, let found, let expected):
            "\(file):\(row): the row has the shape \(found), the first row \(expected); "
                + "put them into files of their own"
        case .wrongStage(let file, let shape, let stage):
            "\(file): rows of the shape \(shape) are not for the stage \(stage)"
        case .noTemplate(let file, let shape):
            "\(file): rows of the shape \(shape) need a chat template, and the model has none; "
                + "give a Jinja file with 'template', or use rows with a text or prompt and completion"
        case .unknownToken(let source, let id, let text, let size):
            "\(source.file):\(source.row): holds token \(id), '\(text)', but the model has embeddings of "
                + "the tokens 0 to \(size - 1) only; is the tokenizer this model's?"
        case .nothingToLearn(let rows, let problems):
            "none of \(rows) rows gives anything to learn"
                + (problems.first.map { "; the first: \($0)" } ?? "")
        case .noThread: "the system gave no thread to read data on; is its limit reached?"
        }
    }
}

/// Why a row is not used.
package struct RowProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of reason it is, for counting.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case unreadable = "cannot be read"
        case malformed = "not of the expected form"
        case refused = "refused by the chat template"
        case unsupervised = "nothing to learn"
        case overlong = "too long"
    }

    package let source: SampleSource
    package let kind: Kind
    package let reason: String

    package var description: String {
        reason.hasPrefix(source.file) ? reason : "\(source.file):\(source.row): \(reason)"
    }
}

/// What is wrong inside of a row, before its place is known.
struct RowFault: Error {
    let key: String
    let found: String
    let expected: String

    init(_ key: String, _ found: String, expected: String) {
        self.key = key
        self.found = found
        self.expected = expected
    }

    /// A value of another type or form than expected.
    init(_ key: String, _ value: JSONCursor?, expected: String) {
        self.init(key, value?.brief ?? "missing", expected: expected)
    }

    var reason: String { "'\(key)' is \(found), expected \(expected)" }
}

extension JSONCursor {
    /// The value in a few words, for messages.
    var brief: String {
        switch kind {
        case .null: "null"
        case .bool: (bool ?? false) ? "true" : "false"
        case .number: "the number \(double.map { "\($0)" } ?? "?")"
        case .string:
            {
                let text = string ?? ""
                return text.isEmpty
                    ? "empty" : JSONOutput.string(String(text.prefix(40))).description
            }()
        case .array: "a list of \(count)"
        case .object: "an object"
        }
    }
}
