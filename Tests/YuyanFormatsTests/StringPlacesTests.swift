import TestSupport
import Testing
import YuyanFormats

@Suite("String places")
struct StringPlacesTests {
    /// Plain, empty, non-ASCII and escaped text, in every combination of two.
    static let pieces = [#"ab"#, #""#, #"Ġ雨燕"#, #"\"\\"#, #"x\u00e9\ud83d\ude00y"#]

    private func parse(_ text: String) throws -> JSONCursor {
        try JSONDocument(bytes: Array(text.utf8), name: "text").root
    }

    private func text(_ bytes: RawSpan, _ place: Range<Int>) -> String {
        bytes.extracting(place).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    @Test("of keys are those that entries have")
    func keys() throws {
        let fields = Self.pieces.enumerated().map { #""\#($1)" : [\#($0), {"z": 1}]"# }
        let root = try parse("{" + fields.joined(separator: ",\n        ") + "}")
        var keys: [String] = []
        var values: [Int?] = []
        root.forEachEntryPlace { bytes, place, value in
            keys.append(text(bytes, place))
            values.append(value[0]?.int)
        }
        #expect(keys == root.entries?.map(\.key) && keys.count == Self.pieces.count)
        #expect(values == Array(0..<Self.pieces.count))
    }

    @Test("of elements are those of their strings, single or in pairs")
    func elements() throws {
        var elements = Self.pieces.map { "\"\($0)\"" }
        for first in Self.pieces {
            elements += Self.pieces.map { "[\n            \"\(first)\", \"\($0)\" ]" }
        }
        let root = try parse("[" + elements.joined(separator: ",") + "]")
        var found: [[String]] = []
        let visited = root.forEachStringOrPairPlace { bytes, first, second in
            found.append([text(bytes, first)] + (second.map { [text(bytes, $0)] } ?? []))
        }
        let wanted = try #require(root.array).map { element in
            element.string.map { [$0] } ?? (element.array?.compactMap(\.string) ?? [])
        }
        #expect(visited == elements.count && found == wanted)
    }

    @Test(
        "end at the first element that is neither",
        arguments: ["1", "null", "[]", #"["a"]"#, #"["a", "b", "c"]"#, #"["a", 1]"#, "{}"])
    func others(_ other: String) throws {
        let root = try parse(#"["a b", ["a", "b"], \#(other), "c d"]"#)
        var count = 0
        let visited = root.forEachStringOrPairPlace { _, _, _ in count += 1 }
        #expect(visited == 2 && count == 2)
    }

    @Test("of a GGUF array are those of its strings")
    func gguf() throws {
        let texts = ["", "a", "雨燕", "Ġlonger than a word"]
        var image = GGUFImage()
        let strings = texts.flatMap { GGUFImage.string(Array($0.utf8)) }
        image.key(
            "list", .array, GGUFImage.array(.string, count: UInt64(texts.count), strings))
        let file = try GGUFFile(file: MappedFile(bytes: image.bytes, name: "image"))
        let array = try file.array("list", of: .string)
        var found: [String] = []
        array.forEachStringPlace { bytes, place in found.append(text(bytes, place)) }
        #expect(found == texts)
    }
}
