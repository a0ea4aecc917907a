/// What is wrong with a record.
struct CSVFault: Error {
    let what: String
}

/// One record of a CSV file.
///
/// Shafranovich, "Common Format and MIME Type for Comma-Separated Values (CSV) Files", RFC 4180, as
/// strict as Python's `csv` with `strict=True`: a quote opens a field only at its start, doubled
/// quotes are one, and quoted fields may hold separators and line ends. A record ends with LF, CR or
/// both.
enum CSVRecord {
    private enum State {
        case fieldStart, plain, quoted
        /// Behind a quote inside of a quoted field: its end, or the first half of a quote.
        case quote
    }

    /// What a byte does.
    private enum Step {
        case nothing, content, fieldEnd, recordEnd
    }

    /// Steps over a record and its end; returns whether it is an empty line.
    static func skip(
        _ bytes: borrowing RawSpan, _ position: inout Int, _ line: inout Int, separator: UInt8
    ) -> Bool {
        bytes.withUnsafeBytes { buffer in
            let start = position
            var state = State.fieldStart
            while position < buffer.count {
                let byte = buffer[position]
                position += 1
                // What is malformed is found when the record is read.
                let step = advance(&state, byte, separator) ?? .content
                if byte == 0x0A, step != .recordEnd { line += 1 }
                guard step == .recordEnd else { continue }
                let isBlank = position - 1 == start
                if byte == 0x0D, position < buffer.count, buffer[position] == 0x0A { position += 1 }
                line += 1
                return isBlank
            }
            return position == start
        }
    }

    /// The texts of a record's fields.
    static func fields(
        _ bytes: borrowing RawSpan, _ range: Range<Int>, separator: UInt8
    ) throws(CSVFault) -> [String] {
        var fields: [String] = []
        var field: [UInt8] = []
        var state = State.fieldStart
        var fault: CSVFault?
        func close() {
            if let text = String(validating: field, as: UTF8.self) {
                fields.append(text)
            } else {
                fault = CSVFault(
                    what: "holds bytes that are not UTF-8 in field \(fields.count + 1)")
            }
            field.removeAll(keepingCapacity: true)
        }
        bytes.withUnsafeBytes { buffer in
            for position in range {
                let byte = buffer[position]
                switch advance(&state, byte, separator) {
                case .nothing?: break
                case .content?: field.append(byte)
                case .fieldEnd?: close()
                case .recordEnd?:
                    close()
                    return
                case nil:
                    fault = CSVFault(
                        what: "has text behind the closing quote of field \(fields.count + 1); "
                            + "quotes inside of a field are doubled")
                    return
                }
            }
            if state == .quoted {
                fault = CSVFault(
                    what: "has an opening quote in field \(fields.count + 1) that is "
                        + "never closed")
            }
            close()
        }
        if let fault { throw fault }
        return fields
    }

    /// Nil if the byte cannot stand here.
    private static func advance(
        _ state: inout State, _ byte: UInt8, _ separator: UInt8
    ) -> Step? {
        if state == .quoted {
            if byte == UInt8(ascii: "\"") {
                state = .quote
                return .nothing
            }
            return .content
        }
        switch byte {
        case UInt8(ascii: "\""):
            switch state {
            case .fieldStart:
                state = .quoted
                return .nothing
            case .quote: state = .quoted
            default: break
            }
            return .content
        case separator:
            state = .fieldStart
            return .fieldEnd
        case 0x0A, 0x0D: return .recordEnd
        default:
            if state == .quote { return nil }
            state = .plain
            return .content
        }
    }
}
