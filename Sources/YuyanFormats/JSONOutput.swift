/// A JSON value to be written; objects keep the order of their keys.
public enum JSONOutput: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral, CustomStringConvertible
{
    case null
    case bool(Bool)
    case integer(Int)
    /// Written with as few digits as read back to the same value; null if not finite, as JSON has no
    /// other way.
    case double(Double)
    case float(Float)
    case string(String)
    case array([JSONOutput])
    case object([(key: String, value: JSONOutput)])

    /// Lets a literal stand for `.string`, so that reports are written as they will print.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Lets a literal stand for `.integer`.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// Lets a literal with a fraction stand for `.double`; write `.float` for 32 bits.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// Lets `true` and `false` stand for `.bool`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Lets a list of values stand for `.array`.
    public init(arrayLiteral elements: JSONOutput...) { self = .array(elements) }
    /// Lets a list of keys and values stand for `.object`; repeated keys are all written.
    public init(dictionaryLiteral elements: (String, JSONOutput)...) {
        self = .object(elements.map { (key: $0.0, value: $0.1) })
    }

    /// The value on one line, as RFC 8259 has it.
    public var description: String {
        var text = ""
        write(to: &text)
        return text
    }

    /// The value over several lines, indented by two spaces a level; lists of plain values stay on
    /// one line.
    public var indented: String {
        var text = ""
        writeIndented(to: &text, margin: "\n")
        return text
    }

    private func writeIndented(to text: inout String, margin: String) {
        let inner = margin + "  "
        switch self {
        case .object(let entries) where !entries.isEmpty:
            text += "{"
            for (index, entry) in entries.enumerated() {
                text += (index > 0 ? "," : "") + inner
                Self.write(entry.key, to: &text)
                text += ": "
                entry.value.writeIndented(to: &text, margin: inner)
            }
            text += margin + "}"
        case .array(let elements) where elements.contains(where: \.isContainer):
            text += "["
            for (index, element) in elements.enumerated() {
                text += (index > 0 ? "," : "") + inner
                element.writeIndented(to: &text, margin: inner)
            }
            text += margin + "]"
        default:
            write(to: &text)
        }
    }

    private var isContainer: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }

    private func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += "\(value)"
        case .double(let value): text += value.isFinite ? "\(value)" : "null"
        case .float(let value): text += value.isFinite ? "\(value)" : "null"
        case .string(let value): Self.write(value, to: &text)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += ", " }
                element.write(to: &text)
            }
            text += "]"
        case .object(let entries):
            text += "{"
            for (index, entry) in entries.enumerated() {
                if index > 0 { text += ", " }
                Self.write(entry.key, to: &text)
                text += ": "
                entry.value.write(to: &text)
            }
            text += "}"
        }
    }

    private static func write(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONOutput {
    /// A value that was read, to be written again; whole numbers beyond 64 bits become doubles.
    public init(copying value: JSONCursor) {
        self =
            switch value.kind {
            case .null: .null
            case .bool: .bool(value.bool ?? false)
            case .number:
                if value.isInteger, let number = value.int {
                    .integer(number)
                } else {
                    .double(value.double ?? .nan)
                }
            case .string: .string(value.string ?? "")
            case .array: .array(value.array?.map { JSONOutput(copying: $0) } ?? [])
            case .object:
                .object((value.entries ?? []).map { ($0.key, JSONOutput(copying: $0.value)) })
            }
    }

    /// The value of a key of an object, replaced in place or appended; nil removes it.
    ///
    /// Anything but an object has no keys and takes none.
    public subscript(key: String) -> JSONOutput? {
        get {
            guard case .object(let entries) = self else { return nil }
            return entries.last { $0.key == key }?.value
        }
        set {
            guard case .object(var entries) = self else { return }
            if let newValue {
                if let index = entries.firstIndex(where: { $0.key == key }) {
                    entries[index].value = newValue
                } else {
                    entries.append((key, newValue))
                }
            } else {
                entries.removeAll { $0.key == key }
            }
            self = .object(entries)
        }
    }
}
