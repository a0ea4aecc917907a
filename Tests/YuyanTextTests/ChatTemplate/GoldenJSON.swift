import TestSupport
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads the golden files of this folder; the order of keys matters, since templates print it.
struct GoldenJSON {
    private let bytes: [UInt8]
    private var position = 0

    struct Malformed: Error { let offset: Int }

    /// The path of a golden.
    static func path(_ name: String) -> String { Goldens.path(name) }

    static func read(_ path: String) throws -> TemplateValue {
        var json = GoldenJSON(bytes: try readBytes(path))
        return try json.value()
    }

    static func readText(_ path: String) throws -> String {
        String(decoding: try readBytes(path), as: UTF8.self)
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private static func readBytes(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw Malformed(offset: -1) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    private mutating func value() throws -> TemplateValue {
        skipSpace()
        switch try peek() {
        case UInt8(ascii: "{"):
            position += 1
            var entries: [(key: String, value: TemplateValue)] = []
            while try !take(UInt8(ascii: "}")) {
                if !entries.isEmpty { try expect(UInt8(ascii: ",")) }
                skipSpace()
                let key = try text()
                try expect(UInt8(ascii: ":"))
                entries.append((key, try value()))
            }
            return .object(TemplateObject(entries))
        case UInt8(ascii: "["):
            position += 1
            var items: [TemplateValue] = []
            while try !take(UInt8(ascii: "]")) {
                if !items.isEmpty { try expect(UInt8(ascii: ",")) }
                items.append(try value())
            }
            return .array(items)
        case UInt8(ascii: "\""): return .string(try text())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .none)
        default:
            let start = position
            while position < bytes.count, "+-.eE0123456789".utf8.contains(bytes[position]) {
                position += 1
            }
            let number = String(decoding: bytes[start..<position], as: UTF8.self)
            if let whole = Int(number) { return .integer(whole) }
            guard let float = Double(number) else { throw Malformed(offset: start) }
            return .float(float)
        }
    }

    private mutating func text() throws -> String {
        try expect(UInt8(ascii: "\""))
        var units: [UInt8] = []
        while true {
            let byte = try peek()
            position += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: units, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\") else {
                units.append(byte)
                continue
            }
            let kind = try peek()
            position += 1
            switch kind {
            case UInt8(ascii: "n"): units.append(10)
            case UInt8(ascii: "r"): units.append(13)
            case UInt8(ascii: "t"): units.append(9)
            case UInt8(ascii: "b"): units.append(8)
            case UInt8(ascii: "f"): units.append(12)
            case UInt8(ascii: "u"):
                let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
                position += 4
                guard let code = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(code) else {
                    throw Malformed(offset: position)
                }
                units += Array(String(scalar).utf8)
            default: units.append(kind)
            }
        }
    }

    private mutating func word(
        _ word: String, _ value: TemplateValue
    ) throws -> TemplateValue {
        position += word.utf8.count
        return value
    }

    private mutating func skipSpace() {
        while position < bytes.count, bytes[position] <= 0x20 { position += 1 }
    }

    private func peek() throws -> UInt8 {
        guard position < bytes.count else { throw Malformed(offset: position) }
        return bytes[position]
    }

    private mutating func take(_ byte: UInt8) throws -> Bool {
        skipSpace()
        guard try peek() == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard try take(byte) else { throw Malformed(offset: position) }
    }
}

extension TemplateValue {
    var entries: TemplateObject {
        if case .object(let object) = self { return object }
        return TemplateObject()
    }

    var items: [TemplateValue] {
        if case .array(let items) = self { return items }
        return []
    }

    var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    subscript(key: String) -> TemplateValue? { entries[key] }

    var variables: [String: TemplateValue] {
        Dictionary(entries.entries.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    }
}
