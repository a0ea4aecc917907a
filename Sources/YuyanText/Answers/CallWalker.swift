import YuyanFormats

/// Walks over the JSON object of a call byte by byte and says what each byte belongs to.
struct CallWalker: Sendable {
    /// What a byte was.
    enum Step: Sendable {
        case more
        /// A byte of the arguments.
        case argument
        /// The last byte of the name.
        case name
        /// The object's closing brace.
        case end
        /// No object of this form; the byte was not used.
        case broken
    }

    private enum Place {
        case start, key, inKey, colon, value, afterValue
    }
    private enum Role { case name, arguments, other }

    private let nameKey: [UInt8]
    private let argumentsKey: [UInt8]
    private var place = Place.start
    private var role = Role.other
    private var collected: [UInt8] = []
    private var isEscaped = false
    private var value = ValueScanner()
    private(set) var name: String?
    private(set) var hasArguments = false
    private(set) var argumentsAreText = false

    init(_ format: ToolFormat) {
        nameKey = Array(format.nameKey.utf8)
        argumentsKey = Array(format.argumentsKey.utf8)
    }

    mutating func step(_ byte: UInt8) -> Step {
        switch place {
        case .start:
            if byte.isSpace { return .more }
            place = .key
            return byte == UInt8(ascii: "{") ? .more : .broken
        case .key:
            if byte.isSpace { return .more }
            if byte == UInt8(ascii: "}") { return .end }
            collected = []
            place = .inKey
            return byte == UInt8(ascii: "\"") ? .more : .broken
        case .inKey:
            if byte == UInt8(ascii: "\""), !isEscaped {
                role =
                    collected == nameKey && name == nil
                    ? .name : collected == argumentsKey && !hasArguments ? .arguments : .other
                place = .colon
                return .more
            }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
            collected.append(byte)
            return .more
        case .colon:
            if byte.isSpace { return .more }
            collected = []
            value = ValueScanner()
            place = .value
            return byte == UInt8(ascii: ":") ? .more : .broken
        case .value: return stepValue(byte)
        case .afterValue:
            if byte.isSpace { return .more }
            if byte == UInt8(ascii: "}") { return .end }
            place = .key
            return byte == UInt8(ascii: ",") ? .more : .broken
        }
    }

    private mutating func stepValue(_ byte: UInt8) -> Step {
        if !value.hasBegun {
            if byte.isSpace { return .more }
            if role == .arguments {
                hasArguments = true
                argumentsAreText = byte == UInt8(ascii: "\"")
            }
        }
        switch value.step(byte) {
        case .inside: return take(byte)
        case .last:
            place = .afterValue
            let step = take(byte)
            guard role == .name else { return step }
            name = Self.text(collected)
            return .name
        case .past:
            // A number or a word ends where the next byte is none of it.
            place = .afterValue
            return step(byte)
        }
    }

    private mutating func take(_ byte: UInt8) -> Step {
        if role == .name { collected.append(byte) }
        return role == .arguments ? .argument : .more
    }

    private static func text(_ json: [UInt8]) -> String? {
        (try? JSONDocument(bytes: json, name: "name"))?.root.string
    }
}

/// Finds the end of a JSON value that arrives byte by byte.
struct ValueScanner: Sendable {
    enum Step { case inside, last, past }

    private(set) var hasBegun = false
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    mutating func step(_ byte: UInt8) -> Step {
        hasBegun = true
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
                return depth == 0 ? .last : .inside
            }
            return .inside
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            if depth == 0 { return .past }
            depth -= 1
            if depth == 0 { return .last }
        case UInt8(ascii: ","), 0x20, 0x0A, 0x0D, 0x09: if depth == 0 { return .past }
        default: break
        }
        return .inside
    }
}
