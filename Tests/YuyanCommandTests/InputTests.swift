import TestSupport
import Testing
import YuyanFormats

@testable import yuyan

@Suite("Input")
struct InputTests {
    @Test("text that is no UTF-8 is refused at its first wrong byte")
    func invalidText() throws {
        let folder = TemporaryFolder()
        let path = folder.file("text", Array("añb".utf8) + [0xC3, 0x28, 0xFF])
        #expect(throws: InputError.notUTF8(file: path, offset: 4, byte: 0xC3)) {
            try InputFile.text(path)
        }
        let good = folder.file("good", Array("añb\0\r\n".utf8))
        #expect(try InputFile.text(good) == "añb\0\r\n")
        #expect(try InputFile.text(folder.file("empty", [])) == "")
    }

    @Test("a file that cannot be opened is named with the reason")
    func missing() throws {
        let error = #expect(throws: FormatError.self) { try InputFile.bytes("/nowhere/at all") }
        #expect(error?.description.contains("/nowhere/at all") == true)
        #expect(throws: FormatError.self) { try InputFile.bytes(TemporaryFolder().path) }
    }

    @Test(
        "ids are read as an object, a list or words",
        arguments: [
            ("{\"ids\": [1, 20, 300]}", [1, 20, 300]), (" [1,20,\n300]", [1, 20, 300]),
            ("1 20\t300\n", [1, 20, 300]), ("", []), ("[]", []), ("{\"ids\": []}", []),
        ] as [(String, [Int32])])
    func ids(_ text: String, _ expected: [Int32]) throws {
        #expect(try TokenList.ids(in: Array(text.utf8), name: "t") == expected)
    }

    @Test(
        "what is no list of ids is refused",
        arguments: [
            "1 x", "1,2", "[1.5]", "[1, \"2\"]", "{\"id\": [1]}", "{\"ids\": 1}", "[1",
            "99999999999",
        ])
    func wrongIDs(_ text: String) {
        #expect(throws: (any Error).self) { try TokenList.ids(in: Array(text.utf8), name: "t") }
    }

    @Test("tables align their columns and numbers carry units")
    func tables() {
        var table = Table(left: [0])
        table.add("a", "1", "x")
        table.add("long", "1,000")
        #expect(table.text == "  a         1  x\n  long  1,000\n")
        #expect(1_234_567.grouped == "1,234,567" && 12.grouped == "12")
        #expect((-1000).grouped == "-1,000")
        #expect(1023.memorySize == "1023 B" && 1536.memorySize == "1.5 KiB")
        #expect((3 << 20).memorySize == "3.0 MiB")
        #expect("a\u{1B}[31m\n\u{202E}é".printable == "a\\u{1b}[31m\\n\\u{202e}é")
    }
}
