import TestSupport
import Testing
import YuyanFormats

private func parse(_ text: String) throws -> JSONCursor {
    try JSONDocument(bytes: Array(text.utf8), name: "text").root
}

@Suite("JSON values")
struct JSONCursorTests {
    @Test("are found by key and position, the last of equal keys wins")
    func lookup() throws {
        let root = try parse(jsonSample)
        #expect(root.kind == .object && root.count == 6)
        #expect(root["a"]?.int == 7)
        #expect(root["雨燕"]?[""]?.count == 0)
        #expect(root["雨燕"]?["kA"]?.kind == .array)
        #expect(root["absent"] == nil && root[0] == nil)
        let list = try #require(root.entries?.first?.value)
        #expect(list.count == 6 && list["a"] == nil)
        #expect(list[0]?.int == 1 && list[1]?.double == -2500 && list[1]?.int == -2500)
        #expect(list[2]?.bool == true && list[3]?.bool == false && list[4]?.isNull == true)
        #expect(list[5]?.string == "x\né😀")
        #expect(list[6] == nil && list[-1] == nil)
        #expect(root["big"]?.double == nil && root["big"]?.int == nil)
        #expect(root["long"]?.string == "0123456789abcdef0123456789éééé\\\"//")
    }

    @Test("answer nil to questions about another type")
    func mismatches() throws {
        for element in try #require(try parse(#"[null, true, 1, "s", [], {}]"#).array) {
            let kinds: [JSONKind] = [
                element.isNull ? .null : nil, element.bool == nil ? nil : .bool,
                element.int == nil ? nil : .number, element.string == nil ? nil : .string,
                element.array == nil ? nil : .array, element.entries == nil ? nil : .object,
            ].compactMap { $0 }
            #expect(kinds == [element.kind])
            #expect((element.double == nil) == (element.kind != .number))
        }
    }

    @Test("are walked in order without making strings")
    func walking() throws {
        let root = try parse(#"{"z": ["p", "\u0071"], "\u00e4": 1, "m": {"n": [2]}, "b": null}"#)
        var keys: [[UInt8]] = []
        var kinds: [JSONKind] = []
        root.forEachEntry { key, value in
            keys.append(key.withUnsafeBytes { Array($0) })
            kinds.append(value.kind)
        }
        #expect(keys == ["z", "ä", "m", "b"].map { Array($0.utf8) })
        #expect(kinds == [.array, .number, .object, .null])
        var scratch: [UInt8] = []
        let elements = try #require(root["z"]?.array)
        #expect(elements.count == 2 && elements.underestimatedCount == 2)
        let bytes = elements.map { element in
            element.withStringBytes(&scratch) { $0.withUnsafeBytes { Array($0) } }
        }
        #expect(bytes == [[0x70], [0x71]])
        #expect(root["b"]?.withStringBytes(&scratch) { _ in 1 } == nil)
    }

    @Test("that are whole are exact or nil")
    func integers() throws {
        let cases: [(String, Int?)] = [
            ("9223372036854775807", .max), ("-9223372036854775808", .min),
            ("9223372036854775808", nil), ("-9223372036854775809", nil),
            ("99999999999999999999", nil), ("-0", 0), ("1.0", 1), ("1e3", 1000), ("1.5", nil),
            ("1e19", nil), ("123456789012345678", 123_456_789_012_345_678),
        ]
        for (text, expected) in cases { #expect(try parse(text).int == expected, "\(text)") }
    }

    @Test("that are fractions have the bits that Python gives them")
    func doubles() throws {
        let rows = try #require(JSONDocument(path: Goldens.path("formats/numbers.json")).root.array)
        #expect(rows.count > 1000)
        for row in rows {
            let text = try #require(row[0]?.string)
            let bits = try #require(row[1]?.string.flatMap { UInt64($0, radix: 16) })
            #expect(try parse(text).double?.bitPattern == bits, "\(text)")
        }
        #expect(try parse("1e309").double == nil && parse("-1e999").double == nil)
    }

    @Test("that are required name themselves in errors")
    func required() throws {
        let root = try parse(#"{"size": 64, "name": "x", "on": true, "off": null, "list": [1.5]}"#)
        #expect(try root.int("size") == 64 && root.string("name") == "x" && root.bool("on"))
        #expect(try root.double("size") == 64 && root.array("list").count == 1)
        #expect(try root.optionalInt("off") == nil && root.optionalInt("none") == nil)
        #expect(try root.optionalString("name") == "x" && root.optionalBool("on") == true)
        #expect(try root.optionalDouble("size") == 64)
        #expect(
            throws: FormatError.missingKey(key: "sise", file: "text", nearest: ["size", "list"])
        ) {
            do throws(FormatError) {
                _ = try root.int("sise")
            } catch .missingKey(let key, let file, let nearest) {
                throw FormatError.missingKey(
                    key: key, file: file, nearest: Array(nearest.prefix(2)))
            }
        }
        #expect(
            throws: FormatError.wrongType(
                file: "text", key: "name", found: "string", expected: "whole number")
        ) { try root.int("name") }
        #expect(throws: FormatError.self) { try root.string("size") }
        #expect(throws: FormatError.self) { try root.bool("size") }
        #expect(throws: FormatError.self) { try root.double("on") }
        #expect(throws: FormatError.self) { try root.array("size") }
        #expect(throws: FormatError.self) { try root.object("list") }
        #expect(throws: FormatError.self) { try root.optionalInt("name") }
        #expect(throws: FormatError.self) { try root.optionalString("size") }
        #expect(throws: FormatError.self) { try root.optionalBool("size") }
        #expect(throws: FormatError.self) { try root.optionalDouble("name") }
        #expect(
            throws: FormatError.wrongType(
                file: "text", key: "the parent of a", found: "array", expected: "object")
        ) { try root.value("list").value("a") }
    }

    @Test("survive a round trip through random spelling", arguments: 0..<50)
    func roundTrip(_ seed: UInt64) throws {
        var writer = RandomJSON(seed: seed)
        let value = writer.value(depth: 5)
        let text = writer.spelling(of: value)
        #expect(TestValue(try parse(text)) == value, "\(text)")
    }

    @Test("trap when asked for the entries of something else")
    func entriesOfArray() async {
        await #expect(processExitsWith: .failure) {
            try parse("[]").forEachEntry { _, _ in }
        }
    }
}

private indirect enum TestValue: Equatable {
    case null, bool(Bool), int(Int), double(Double), string(String), array([TestValue])
    case object([String], [TestValue])

    init(_ cursor: JSONCursor) {
        self =
            switch cursor.kind {
            case .null: .null
            case .bool: .bool(cursor.bool ?? false)
            case .number:
                cursor.isInteger ? .int(cursor.int ?? 0) : .double(cursor.double ?? .nan)
            case .string: .string(cursor.string ?? "")
            case .array: .array((cursor.array.map(Array.init) ?? []).map(TestValue.init))
            case .object:
                .object(
                    (cursor.entries ?? []).map(\.key),
                    (cursor.entries ?? []).map { TestValue($0.value) })
            }
    }
}

/// Makes random values and spells them with random escapes and spaces.
private struct RandomJSON {
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func value(depth: Int) -> TestValue {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 5), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2:
            return .int(
                Int(bitPattern: UInt(random.next())) >> Int.random(in: 0..<64, using: &random))
        case 3: return .double(Double.random(in: -1e10...1e10, using: &random) + 0.5)
        case 4: return .string(string())
        case 5, 6:
            return .array(
                (0..<Int.random(in: 0..<5, using: &random)).map { _ in value(depth: depth - 1) })
        default:
            let count = Int.random(in: 0..<5, using: &random)
            return .object(
                (0..<count).map { _ in string() }, (0..<count).map { _ in value(depth: depth - 1) })
        }
    }

    private mutating func string() -> String {
        let alphabet = Array("ab\"\\/\n\u{1}é雨😀 xyz0123456789".unicodeScalars)
        var result = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0..<20, using: &random) {
            result.append(alphabet[Int.random(in: alphabet.indices, using: &random)])
        }
        return String(result)
    }

    mutating func spelling(of value: TestValue) -> String {
        switch value {
        case .null: return "null"
        case .bool(let flag): return "\(flag)"
        case .int(let number): return "\(number)"
        case .double(let number): return "\(number)"
        case .string(let text): return spelling(of: text)
        case .array(let values):
            return "[" + values.map { space() + spelling(of: $0) + space() }.joined(separator: ",")
                + (values.isEmpty ? space() : "") + "]"
        case .object(let keys, let values):
            let entries = zip(keys, values).map {
                space() + spelling(of: $0) + space() + ":" + space() + spelling(of: $1) + space()
            }
            return "{" + entries.joined(separator: ",") + "}"
        }
    }

    private mutating func space() -> String {
        ["", "", " ", "\n\t", "\r\n  "][Int.random(in: 0..<5, using: &random)]
    }

    private mutating func spelling(of text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if mustEscape || Int.random(in: 0..<4, using: &random) == 0 {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: .random(using: &random))
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
