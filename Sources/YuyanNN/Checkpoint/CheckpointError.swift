import YuyanFormats

/// A checkpoint that cannot be loaded as asked.
public enum CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The path is neither a GGUF file nor a directory with `config.json`.
    case notACheckpoint(path: String)
    /// No family reads this architecture.
    case unsupportedArchitecture(file: String, found: String, supported: [String])
    /// A configuration value is impossible, or contradicts another.
    case configuration(file: String, key: String, found: String, expected: String)
    /// The tensor exists, but with another shape.
    case shape(name: String, file: String, expected: [Int], found: [Int])
    /// The tensor exists, but its element type does not suit its use.
    case elementType(name: String, file: String, expected: String, found: String)

    /// The file, what was found in it, what was expected and what to try.
    public var description: String {
        switch self {
        case .notACheckpoint(let path):
            "\(path): neither a GGUF file nor a directory with config.json; "
                + "give a .gguf file, a Hugging Face directory, or a cached model's name"
        case .unsupportedArchitecture(let file, let found, let supported):
            "\(file): architecture '\(found)' is not supported; supported: "
                + supported.joined(separator: ", ")
        case .configuration(let file, let key, let found, let expected):
            "\(file): '\(key)' is \(found), expected \(expected)"
        case .shape(let name, let file, let expected, let found):
            "\(file): '\(name)' is \(found), expected \(expected); does the configuration match?"
        case .elementType(let name, let file, let expected, let found):
            "\(file): '\(name)' is stored as \(found), expected \(expected)"
        }
    }
}
