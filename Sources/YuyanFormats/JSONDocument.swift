/// A JSON text, parsed once into a compact index over its bytes.
///
/// Strict RFC 8259: valid UTF-8, paired surrogates, no byte order mark, at most 512 levels, less
/// than 1 GiB. Strings and numbers are decoded when asked for; objects keep the order of their
/// keys, and looking up a key that occurs twice finds the last.
public struct JSONDocument: Sendable {
    /// What error messages call the document.
    public var name: String { tape.file.path }

    private let tape: JSONTape

    /// Reads a file.
    ///
    /// - Throws: `.cannotOpen`, or `.json` with line and column.
    public init(path: String) throws(FormatError) {
        let file = try MappedFile(path: path)
        try self.init(file: file, range: 0..<file.count)
    }

    /// Parses bytes that are in memory already.
    ///
    /// - Parameters:
    ///   - bytes: The text in UTF-8.
    ///   - name: What error messages call it.
    /// - Throws: `.json` with line and column.
    public init(bytes: [UInt8], name: String) throws(FormatError) {
        let file = MappedFile(bytes: bytes, name: name)
        try self.init(file: file, range: 0..<file.count)
    }

    /// Parses a part of a file, such as one row of a data set, without copying it.
    ///
    /// - Parameter line: The number of the part's first line in the file.
    /// - Throws: `.json` with line and column.
    /// - Precondition: `range` lies inside the file.
    package init(file: MappedFile, range: Range<Int>, line: Int = 1) throws(FormatError) {
        file.check(range)
        let nodes = try file.withBytes { (bytes: RawSpan) throws(FormatError) in
            let text = bytes.extracting(range)
            do throws(JSONFault) {
                return try JSONParser.parse(text)
            } catch {
                throw Self.located(error, in: text, name: file.path, firstLine: line)
            }
        }
        tape = JSONTape(nodes: nodes, file: file, range: range)
    }

    /// The document's only value.
    public var root: JSONCursor { JSONCursor(tape: tape, index: 0) }

    private static func located(
        _ fault: JSONFault, in bytes: borrowing RawSpan, name: String, firstLine: Int
    ) -> FormatError {
        var line = firstLine
        var lineStart = 0
        for offset in 0..<min(fault.offset, bytes.byteCount) where bytes.byte(offset) == 0x0A {
            line += 1
            lineStart = offset + 1
        }
        return .json(
            file: name, line: line, column: fault.offset - lineStart + 1, what: fault.what)
    }
}

/// What all cursors into one document share.
@usableFromInline
final class JSONTape: Sendable {
    @usableFromInline let nodes: [JSONNode]
    @usableFromInline let file: MappedFile
    /// The text inside `file`; places in `nodes` count from its start.
    @usableFromInline let range: Range<Int>

    init(nodes: [JSONNode], file: MappedFile, range: Range<Int>) {
        self.nodes = nodes
        self.file = file
        self.range = range
    }

    @inlinable @inline(__always)
    func withText<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try file.withBytes { (bytes: RawSpan) throws(E) in try body(bytes.extracting(range)) }
    }

    /// Lends the text of a string; `scratch` is used if there are escapes to decode.
    @inlinable @inline(__always)
    func withString<R, E: Error>(
        _ node: JSONNode, _ text: borrowing RawSpan, _ scratch: inout [UInt8],
        _ body: (RawSpan) throws(E) -> R
    ) throws(E) -> R {
        guard node.tag == .escapedString else { return try body(text.extracting(node.textRange)) }
        JSONEscape.decode(text, node.textRange, into: &scratch)
        return try body(scratch.span.bytes)
    }
}
