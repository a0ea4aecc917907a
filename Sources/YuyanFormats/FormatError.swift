/// A file that cannot be read or written as asked.
///
/// Every case names the file, what was found there and what was expected instead.
public enum FormatError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file cannot be opened or mapped; `reason` is the system's own explanation.
    case cannotOpen(file: String, reason: String)
    /// The file cannot be written; `reason` is the system's own explanation.
    case cannotWrite(file: String, reason: String)
    /// The file ends before `what`, which needs `needed` bytes at `offset` where `have` are left.
    case truncated(file: String, what: String, offset: Int, needed: UInt64, have: Int)
    /// The first bytes are not those of this format.
    case badMagic(file: String, found: String, expected: String)
    /// The format is right but this version of it is not supported.
    case unsupportedVersion(file: String, found: String, supported: String)
    /// A field holds a value that the format does not allow.
    case badValue(file: String, key: String, found: String, expected: String)
    /// A size in the file does not fit into an integer of this machine.
    case overflow(file: String, what: String)
    /// Two tensors claim the same bytes.
    case overlappingTensors(file: String, first: String, second: String)
    /// A name that must be unique occurs twice.
    case duplicate(file: String, name: String)
    /// No tensor has this name; `nearest` holds the closest names in the file.
    case missingTensor(name: String, file: String, nearest: [String])
    /// No metadata has this key; `nearest` holds the closest keys in the file.
    case missingKey(key: String, file: String, nearest: [String])
    /// The key exists, but its value has another type.
    case wrongType(file: String, key: String, found: String, expected: String)
    /// The text is not JSON at this place; line and column count from 1, columns in bytes.
    case json(file: String, line: Int, column: Int, what: String)

    /// One line that says where, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .cannotOpen(let file, let reason):
            "\(file): cannot be opened: \(reason)"
        case .cannotWrite(let file, let reason):
            "\(file): cannot be written: \(reason)"
        case .truncated(let file, let what, let offset, let needed, let have):
            "\(file): \(what) at byte \(offset) needs \(needed) bytes, \(have) are left; "
                + "was the file copied or downloaded completely?"
        case .badMagic(let file, let found, let expected):
            "\(file): starts with \(found), expected \(expected); is this the right kind of file?"
        case .unsupportedVersion(let file, let found, let supported):
            "\(file): has \(found), supported are \(supported); convert the file again"
        case .badValue(let file, let key, let found, let expected):
            "\(file): '\(key)' is \(found), expected \(expected)"
        case .overflow(let file, let what):
            "\(file): \(what) is too large for this machine; is the file damaged?"
        case .overlappingTensors(let file, let first, let second):
            "\(file): tensors '\(first)' and '\(second)' share bytes, expected disjoint ones; "
                + "is the file damaged?"
        case .duplicate(let file, let name):
            "\(file): '\(name)' occurs twice, expected once; is the file damaged?"
        case .missingTensor(let name, let file, let nearest):
            "\(file): no tensor '\(name)'" + Self.hint(nearest)
        case .missingKey(let key, let file, let nearest):
            "\(file): no key '\(key)'" + Self.hint(nearest)
        case .wrongType(let file, let key, let found, let expected):
            "\(file): '\(key)' is \(found), expected \(expected)"
        case .json(let file, let line, let column, let what):
            "\(file):\(line):\(column): not valid JSON: \(what)"
        }
    }

    private static func hint(_ nearest: [String]) -> String {
        nearest.isEmpty ? "" : "; nearest: \(nearest.joined(separator: ", "))"
    }
}
