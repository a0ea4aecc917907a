#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where the rows of a file begin, and on which lines.
struct RowIndex: Sendable {
    /// The first byte of each row; a row ends where the next begins.
    private(set) var starts: [Int] = []
    /// The first byte after the last row, if that is not the file's end.
    var end: Int?
    /// Rows whose line does not follow from that of the row before.
    private var jumps: [(row: Int, line: Int)] = []
    private var expectedLine = 1

    mutating func add(_ start: Int, line: Int) {
        if line != expectedLine || jumps.isEmpty { jumps.append((starts.count, line)) }
        starts.append(start)
        expectedLine = line + 1
    }

    func range(_ row: Int, end fileEnd: Int) -> Range<Int> {
        starts[row]..<(row + 1 < starts.count ? starts[row + 1] : end ?? fileEnd)
    }

    func line(of row: Int) -> Int {
        let found = jumps[..<jumps.partitionPoint { $0.row > row }].last
        return found.map { $0.line + row - $0.row } ?? row + 1
    }
}

extension Array {
    /// The first index whose element fulfils a condition that holds from there on.
    func partitionPoint(_ condition: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// The names of the columns and the line behind them.
struct CSVHeader {
    var names: [String]
}

/// Finds the rows of a file in one pass over its bytes.
struct RowScanner {
    let file: String

    /// Lines that hold more than white space.
    func lines(_ bytes: borrowing RawSpan) -> RowIndex {
        var index = RowIndex()
        forEachLine(bytes) { range, line, isBlank in
            if !isBlank { index.add(range.lowerBound, line: line) }
        }
        return index
    }

    /// Groups of whole lines that come up to a length; longer lines are cut between characters.
    func passages(_ bytes: borrowing RawSpan, length: Int) -> RowIndex {
        var index = RowIndex()
        var start = 0
        var isOpen = false
        bytes.withUnsafeBytes { buffer in
            forEachLine(buffer.bytes) { range, line, isBlank in
                if isOpen, range.upperBound - start > length { isOpen = false }
                if !isOpen, !isBlank {
                    start = range.lowerBound
                    isOpen = true
                    index.add(start, line: line)
                }
                while isOpen, range.upperBound - start > length {
                    start = cut(buffer, start, start + length)
                    index.add(start, line: line)
                }
            }
        }
        return index
    }

    /// Where to cut a line: after the last space before a place, or at the next character.
    private func cut(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ place: Int) -> Int {
        if let space = bytes[start..<place].lastIndex(of: 0x20), space > (start + place) / 2 {
            return space
        }
        // Bytes 10xxxxxx continue a character; three in a row are not UTF-8 anyway.
        var place = place
        while place < bytes.count, bytes[place] & 0xC0 == 0x80, place - start < 1 << 30 {
            place += 1
        }
        return place
    }

    private func forEachLine(
        _ bytes: borrowing RawSpan, _ body: (Range<Int>, _ line: Int, _ isBlank: Bool) -> Void
    ) {
        bytes.withUnsafeBytes { buffer in
            var start = byteOrderMark(buffer)
            var line = 1
            while start < buffer.count, let base = buffer.baseAddress {
                let found = memchr(base + start, 0x0A, buffer.count - start)
                let end = found.map { UnsafeRawPointer($0) - base + 1 } ?? buffer.count
                let isBlank = buffer[start..<end].allSatisfy(\.isWhiteSpace)
                body(start..<end, line, isBlank)
                start = end
                line += 1
            }
        }
    }

    // MARK: - JSON

    /// The elements of an array; they are found by brackets and quotes alone and parsed later.
    func elements(_ bytes: borrowing RawSpan) throws(CorpusError) -> RowIndex {
        var scan = ElementScan()
        bytes.withUnsafeBytes { buffer in scan.run(buffer, from: byteOrderMark(buffer)) }
        if let fault = scan.fault {
            throw .malformed(
                file: file, line: scan.line, found: fault.found, expected: fault.expected)
        }
        return scan.index
    }

    private struct ElementScan {
        var index = RowIndex()
        var line = 1
        var fault: (found: String, expected: String)?

        mutating func run(_ bytes: UnsafeRawBufferPointer, from first: Int) {
            var position = first
            skipSpace(bytes, &position)
            guard position < bytes.count, bytes[position] == UInt8(ascii: "[") else {
                fault = (
                    "the file does not start with '['",
                    "an array of objects, or one object on each line"
                )
                return
            }
            position += 1
            skipSpace(bytes, &position)
            if position < bytes.count, bytes[position] == UInt8(ascii: "]") {
                position += 1
            } else {
                index.add(position, line: line)
                guard findElements(bytes, &position) else { return }
            }
            skipSpace(bytes, &position)
            if position < bytes.count { fault = ("something follows the array", "its end") }
        }

        private mutating func findElements(
            _ bytes: UnsafeRawBufferPointer, _ position: inout Int
        ) -> Bool {
            var depth = 0
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                switch byte {
                case 0x0A: line += 1
                case UInt8(ascii: "\""): skipString(bytes, &position)
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"): depth -= 1
                case UInt8(ascii: "]"):
                    if depth == 0 {
                        index.end = position - 1
                        return true
                    }
                    depth -= 1
                case UInt8(ascii: ","):
                    if depth == 0 {
                        skipSpace(bytes, &position)
                        index.add(position, line: line)
                    }
                default: break
                }
            }
            fault = ("the file ends inside the array", "']'; was it copied completely?")
            return false
        }

        private mutating func skipSpace(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) {
            while position < bytes.count, bytes[position].isWhiteSpace {
                if bytes[position] == 0x0A { line += 1 }
                position += 1
            }
        }

        private mutating func skipString(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) {
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if byte == UInt8(ascii: "\"") { return }
                if byte == UInt8(ascii: "\\") { position += 1 }
                if byte == 0x0A { line += 1 }
            }
        }
    }

    // MARK: - CSV

    /// Records after the header; those without any text are left out.
    func records(
        _ bytes: borrowing RawSpan, separator: UInt8
    ) throws(CorpusError) -> (RowIndex, CSVHeader?) {
        var index = RowIndex()
        var header: CSVHeader?
        var (position, line) = (bytes.withUnsafeBytes { byteOrderMark($0) }, 1)
        while position < bytes.byteCount {
            let start = position
            let first = line
            let isBlank = CSVRecord.skip(bytes, &position, &line, separator: separator)
            if isBlank { continue }
            if header == nil {
                header = try self.header(bytes, start..<position, first, separator)
            } else {
                index.add(start, line: first)
            }
        }
        return (index, header)
    }

    private func header(
        _ bytes: borrowing RawSpan, _ range: Range<Int>, _ line: Int, _ separator: UInt8
    ) throws(CorpusError) -> CSVHeader {
        do throws(CSVFault) {
            let names = try CSVRecord.fields(bytes, range, separator: separator)
            guard Set(names).count == names.count else {
                throw CSVFault(what: "names a column twice: \(names.joined(separator: ", "))")
            }
            return CSVHeader(names: names)
        } catch {
            throw .malformed(
                file: file, line: line, found: "the header \(error.what)",
                expected: "the names of the columns")
        }
    }
}

/// The offset behind a byte order mark, if there is one.
private func byteOrderMark(_ bytes: UnsafeRawBufferPointer) -> Int {
    bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF ? 3 : 0
}

extension UInt8 {
    /// Whether the byte is a space, a tab or the end of a line.
    var isWhiteSpace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}
