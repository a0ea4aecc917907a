import YuyanFormats

/// A data file as a sequence of rows, of which any can be read at any time.
///
/// JSON Lines, a JSON array of objects, CSV or TSV with a header, or plain text; each may be packed
/// with gzip. The file is mapped, never loaded: opening it walks over it once to note where rows
/// begin (eight bytes a row), and a row is parsed when it is asked for.
public struct CorpusFile: Sendable {
    /// How rows are written.
    public enum Format: String, Sendable, Hashable, CaseIterable {
        /// One JSON object on each line.
        case jsonLines = "JSON Lines"
        /// One array of objects.
        case jsonArray = "JSON array"
        /// RFC 4180; the first record names the columns.
        case csv = "CSV"
        /// CSV with tabs for commas.
        case tsv = "TSV"
        /// Text that is cut into passages of whole lines.
        case text = "text"
    }

    /// One row, parsed.
    public struct Row: Sendable {
        /// The line that it starts on or, in a JSON array, its place; counted from 1.
        public let number: Int
        /// Its columns: an object. A passage of a text is `{"text": …}`.
        public let fields: JSONCursor
        /// Whether the text that it belongs to ends with it, which only passages may deny.
        public let endsDocument: Bool
    }

    /// Path as the user gave it.
    public let path: String
    /// How rows are written.
    public let format: Format
    /// Whether the file is packed.
    public let isPacked: Bool
    /// The number of rows.
    public var count: Int { index.starts.count }

    let file: MappedFile
    let index: RowIndex
    /// The column names of CSV.
    let header: [String]

    /// Opens a file and finds its rows.
    ///
    /// - Parameters:
    ///   - format: nil looks at the name and the first byte.
    ///   - passageBytes: The length that passages of a text come up to.
    /// - Throws: `CorpusError`.
    public init(
        path: String, format: Format? = nil, passageBytes: Int = 4096
    ) throws(CorpusError) {
        do {
            var file = try MappedFile(path: path)
            isPacked = file.isGzip
            if isPacked { file = try file.unpackedGzip() }
            self.file = file
        } catch {
            throw .unreadable(file: path, reason: "\(error)")
        }
        self.path = path
        let found: Format
        if let format { found = format } else { found = try Self.format(of: path, file) }
        self.format = found
        let scanner = RowScanner(file: path)
        let header: CSVHeader?
        (index, header) = try file.withBytes { (bytes: RawSpan) throws(CorpusError) in
            switch found {
            case .jsonLines: return (scanner.lines(bytes), nil)
            case .jsonArray: return (try scanner.elements(bytes), nil)
            case .csv, .tsv: return try scanner.records(bytes, separator: found.separator)
            case .text: return (scanner.passages(bytes, length: passageBytes), nil)
            }
        }
        self.header = header?.names ?? []
        // Rows are read in another order later; what the walk brought in need not stay.
        file.release(0..<file.count)
        guard count > 0 else { throw .empty(file: path, format: found) }
    }

    /// Reads a row.
    ///
    /// - Throws: `.row` naming it; other rows can be read nevertheless.
    /// - Precondition: `position` is less than `count`.
    public func row(_ position: Int) throws(CorpusError) -> Row {
        let number = number(of: position)
        let range = range(of: position)
        switch format {
        case .jsonLines, .jsonArray:
            let document: JSONDocument
            do throws(FormatError) {
                document = try JSONDocument(
                    file: file, range: range,
                    line: format == .jsonLines ? number : line(at: range.lowerBound))
            } catch {
                throw .row(file: path, row: number, reason: "\(error)")
            }
            guard document.root.kind == .object else {
                throw .row(
                    file: path, row: number,
                    reason: "is of the type \(document.root.kind), expected an object")
            }
            return Row(number: number, fields: document.root, endsDocument: true)
        case .csv, .tsv:
            let fields = try record(range, number)
            let object = JSONOutput.object(zip(header, fields).map { ($0, .string($1)) })
            return Row(number: number, fields: try parsed(object, number), endsDocument: true)
        case .text:
            let text = try self.text(range, number)
            return Row(
                number: number, fields: try parsed(["text": .string(text)], number),
                endsDocument: position == count - 1)
        }
    }

    /// A row's bytes; in JSON without the white space behind it and the comma between elements.
    private func range(of position: Int) -> Range<Int> {
        let range = index.range(position, end: file.count)
        guard format == .jsonArray || format == .jsonLines else { return range }
        return file.withBytes { bytes in
            bytes.withUnsafeBytes { buffer in
                func trimmed(_ end: Int) -> Int {
                    let last = buffer[range.lowerBound..<end].lastIndex { !$0.isWhiteSpace }
                    return last.map { $0 + 1 } ?? range.lowerBound
                }
                let end = trimmed(range.upperBound)
                guard format == .jsonArray, position < count - 1, end > range.lowerBound else {
                    return range.lowerBound..<end
                }
                return range.lowerBound..<trimmed(end - 1)
            }
        }
    }

    /// The line that a row starts on or, in a JSON array, its place; counted from 1.
    public func number(of position: Int) -> Int {
        format == .jsonArray ? position + 1 : index.line(of: position)
    }

    /// A number that changes with the length of the file, its rows, and its bytes.
    ///
    /// - Parameter isWhole: Whether every byte counts; else only the first and last 64 KiB are read.
    package func fingerprint(isWhole: Bool) -> UInt64 {
        var hash = StableHash()
        hash.add(UInt64(file.count))
        hash.add(UInt64(count))
        let length = min(file.count, 1 << 16)
        let ranges =
            isWhole ? [0..<file.count] : [0..<length, file.count - length..<file.count]
        file.withBytes { bytes in
            for range in ranges {
                bytes.extracting(range).withUnsafeBytes { for byte in $0 { hash.add(byte) } }
            }
        }
        return hash.value
    }

    private func line(at offset: Int) -> Int {
        file.withBytes { bytes in
            bytes.extracting(0..<offset).withUnsafeBytes { 1 + $0.count { $0 == 0x0A } }
        }
    }

    private func parsed(_ value: JSONOutput, _ number: Int) throws(CorpusError) -> JSONCursor {
        do throws(FormatError) {
            return try JSONDocument(bytes: Array(value.description.utf8), name: path).root
        } catch {
            throw .row(file: path, row: number, reason: "\(error)")
        }
    }

    private func text(_ range: Range<Int>, _ number: Int) throws(CorpusError) -> String {
        let text = file.withBytes { bytes in
            bytes.extracting(range).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
        }
        guard let text else {
            throw .row(
                file: path, row: number,
                reason: "holds bytes that are not UTF-8; convert the file, for example with iconv")
        }
        return text
    }

    private func record(_ range: Range<Int>, _ number: Int) throws(CorpusError) -> [String] {
        let fields: [String]
        do throws(CSVFault) {
            fields = try file.withBytes { (bytes: RawSpan) throws(CSVFault) in
                try CSVRecord.fields(bytes, range, separator: format.separator)
            }
        } catch {
            throw .row(file: path, row: number, reason: error.what)
        }
        guard fields.count == header.count else {
            throw .row(
                file: path, row: number,
                reason: "has \(fields.count) fields, expected \(header.count) as in the header")
        }
        return fields
    }

    private static func format(of path: String, _ file: MappedFile) throws(CorpusError) -> Format {
        var name = path[...].split(separator: "/").last.map(String.init) ?? path
        if name.hasSuffix(".gz") { name.removeLast(3) }
        let parts = name.split(separator: ".")
        switch parts.count > 1 ? parts.last?.lowercased() : nil {
        case "jsonl", "ndjson": return .jsonLines
        case "csv": return .csv
        case "tsv": return .tsv
        case "txt", "text", "md": return .text
        case "json":
            // Lines of objects are often called so, too.
            let first = file.withBytes { bytes in
                bytes.withUnsafeBytes {
                    $0.first { $0 > 0x20 && ![0xEF, 0xBB, 0xBF].contains($0) }
                }
            }
            return first == UInt8(ascii: "{") ? .jsonLines : .jsonArray
        default:
            throw .unknownFormat(file: path)
        }
    }
}

extension CorpusFile.Format {
    var separator: UInt8 { self == .tsv ? 0x09 : UInt8(ascii: ",") }
}

/// A data file, or a row of it, that cannot be read.
public enum CorpusError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file cannot be opened or unpacked.
    case unreadable(file: String, reason: String)
    /// Neither the name nor the caller says how rows are written.
    case unknownFormat(file: String)
    /// There is no row.
    case empty(file: String, format: CorpusFile.Format)
    /// The file as a whole is not what its format says; lines count from 1.
    case malformed(file: String, line: Int, found: String, expected: String)
    /// One row is bad; the others can be read.
    case row(file: String, row: Int, reason: String)

    /// One line that says where, what was found and what was expected.
    public var description: String {
        switch self {
        case .unreadable(let file, let reason):
            reason.hasPrefix(file) ? reason : "\(file): \(reason)"
        case .unknownFormat(let file):
            "\(file): the name does not say what it holds; expected .jsonl, .json, .csv, .tsv or "
                + ".txt, each also with .gz"
        case .empty(let file, let format): "\(file): no rows, expected \(format.rawValue)"
        case .malformed(let file, let line, let found, let expected):
            "\(file):\(line): \(found), expected \(expected)"
        case .row(let file, let row, let reason):
            reason.hasPrefix(file) ? reason : "\(file):\(row): the row \(reason)"
        }
    }
}
