/// A YAML text as people write configurations.
///
/// Block and bracketed mappings and lists, plain and quoted scalars on one line, literal (`|`) and
/// folded (`>`) blocks, comments, one document a file. Refused with a reason: anchors, aliases, tags,
/// merge keys, complex keys, directives, tabs as indentation, keys that occur twice. YAML 1.2.2,
/// yaml.org/spec. It is our own because the reader at hand needs Foundation, which more than doubles
/// the time that every command takes to start (measured: docs/training.md).
public struct YAMLDocument: Sendable {
    /// What error messages call it.
    public let name: String
    /// The document's only value; an empty text is an empty mapping.
    public let root: YAMLNode

    /// Reads a file.
    ///
    /// - Throws: `FormatError.cannotOpen`, or `YAMLError` with line and column.
    public init(path: String) throws {
        let file = try MappedFile(path: path)
        let bytes = file.withBytes { all in all.withUnsafeBytes { Array($0) } }
        try self.init(bytes: bytes, name: path)
    }

    /// Parses bytes that are in memory already.
    ///
    /// - Throws: `YAMLError` with line and column.
    public init(bytes: [UInt8], name: String) throws(YAMLError) {
        var parser = YAMLParser(bytes: bytes, name: name)
        self.name = name
        root = try parser.document()
    }

    /// Parses a value as it would stand behind a key: `[a, b]`, `"text"`, `1e-4`.
    ///
    /// - Throws: `YAMLError`.
    public static func value(_ text: String, name: String) throws(YAMLError) -> YAMLNode {
        var parser = YAMLParser(bytes: Array(text.utf8), name: name)
        return try parser.loneValue()
    }
}
