import TestSupport
import Testing
import YuyanFormats

@testable import YuyanText

@Suite("Corpus files")
struct CorpusFileTests {
    private let folder = TemporaryFolder()

    private func file(_ name: String, _ text: String) throws -> CorpusFile {
        try CorpusFile(path: folder.file(name, Array(text.utf8)))
    }

    private func texts(_ file: CorpusFile, _ key: String = "text") throws -> [String] {
        try (0..<file.count).map { try file.row($0).fields[key]?.string ?? "-" }
    }

    @Test("give the rows of a line each, with their lines, whatever ends a line")
    func lines() throws {
        let text =
            "{\"text\": \"a\"}\n\n{\"text\": \"b\\n\"}\r\n  \t\n {\"text\": \"c\"} \n{\"text\": \"d\"}"
        let file = try file("x.jsonl", text)
        #expect(file.format == .jsonLines)
        #expect(try texts(file) == ["a", "b\n", "c", "d"])
        #expect((0..<4).map(file.number(of:)) == [1, 3, 5, 6])
        // Any order, any number of times.
        #expect(try file.row(2).fields["text"]?.string == "c")
        #expect(try self.file("bom.jsonl", "\u{FEFF}{\"text\": \"a\"}").row(0).number == 1)
    }

    @Test("give the elements of an array, whatever is in their strings")
    func array() throws {
        let text = #"""
            [ {"text": "a, ]}"}, {"text": "\"[{\\"},
              {"text": "c", "list": [1, [2, {"x": "]"}]]} ,{"text":"d"}]
            """#
        let file = try file("x.json", text)
        #expect(file.format == .jsonArray)
        #expect(try texts(file) == ["a, ]}", "\"[{\\", "c", "d"])
        #expect((0..<4).map(file.number(of:)) == [1, 2, 3, 4])
    }

    @Test("named .json may hold lines")
    func disguisedLines() throws {
        let file = try file("x.json", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n")
        #expect(file.format == .jsonLines)
        #expect(try texts(file) == ["a", "b"])
    }

    @Test("agree with Python's csv, rows and refusals")
    func csv() throws {
        let goldens = try JSONDocument(path: Goldens.path("data/csv.json")).root
        let cases = goldens.array.map(Array.init) ?? []
        #expect(cases.count > 100)
        for (index, golden) in cases.enumerated() {
            let text = try golden.string("text")
            var (position, line) = (0, 1)
            var rows: [[String]] = []
            var isRefused = false
            let bytes = Array(text.utf8)
            while position < bytes.count {
                let start = position
                let isBlank = CSVRecord.skip(
                    bytes.span.bytes, &position, &line, separator: UInt8(ascii: ","))
                if isBlank {
                    rows.append([])
                    continue
                }
                do {
                    rows.append(
                        try CSVRecord.fields(
                            bytes.span.bytes, start..<position, separator: UInt8(ascii: ",")))
                } catch {
                    isRefused = true
                }
            }
            #expect(isRefused == (golden["error"] != nil), "\(index): \(text.debugDescription)")
            guard let expected = golden["rows"]?.array, !isRefused else { continue }
            let wanted = expected.map { row in
                (row.array.map(Array.init) ?? []).map { $0.string ?? "" }
            }
            #expect(rows == wanted, "\(index): \(text.debugDescription)")
        }
    }

    @Test("of CSV name their columns by the header, and their rows by lines")
    func csvRows() throws {
        let file = try file("x.csv", "text,n\n\"a\nb\",1\n\nc,2\n")
        #expect(try texts(file) == ["a\nb", "c"])
        #expect(try texts(file, "n") == ["1", "2"])
        #expect((0..<2).map(file.number(of:)) == [2, 5])
        let tabs = try self.file("x.tsv", "text\tn\na,b\t1\n")
        #expect(try texts(tabs) == ["a,b"])
    }

    @Test("of text give passages of whole lines that lose no byte but leading blank lines")
    func passages() throws {
        var random = SeededGenerator(seed: 5)
        for length in [16, 40, 300] {
            var text = ""
            for _ in 0..<60 {
                let count = Int.random(in: 0...80, using: &random)
                text += String(
                    (0..<count).map { _ in "ab é🙂日 ".randomElement(using: &random) ?? "a" })
                text += "\n"
            }
            let path = folder.file("x\(length).txt", Array(text.utf8))
            let file = try CorpusFile(path: path, passageBytes: length)
            let parts = try texts(file)
            let blank = text.utf8.prefix { $0 == 0x0A || $0 == 0x20 }
            #expect(text.hasSuffix(parts.joined()))
            #expect(text.utf8.count - parts.joined().utf8.count <= blank.count)
            #expect(parts.allSatisfy { $0.utf8.count(where: { $0 > 0x20 }) <= length + 3 })
            #expect(try file.row(file.count - 1).endsDocument)
            #expect(try !file.row(0).endsDocument)
        }
    }

    @Test("packed with gzip are the same rows")
    func gzip() throws {
        let goldens = try JSONDocument(path: Goldens.path("data/gzip.json")).root
        let golden = try #require(
            goldens.array?.first { $0["name"]?.string == "two members and zeros" })
        let path = folder.file("x.txt.gz", decodedBase64(try golden.string("packed")))
        let file = try CorpusFile(path: path)
        #expect(file.isPacked && file.format == .text)
        #expect(try texts(file) == ["one two"])
    }

    @Test("say where a row is bad, and read the others")
    func badRows() throws {
        func reason(_ file: CorpusFile, _ row: Int) -> String {
            do {
                _ = try file.row(row)
                return ""
            } catch { return error.description }
        }
        let lines = try file("x.jsonl", "{\"text\": \"a\"}\n{\"text\": \n[1]\n{\"text\": \"d\"}\n")
        #expect(reason(lines, 0) == "" && reason(lines, 3) == "")
        #expect(reason(lines, 1).contains("x.jsonl:2:9: not valid JSON"))
        #expect(reason(lines, 2).contains("x.jsonl:3: the row is of the type array"))
        let array = try file("x.json", "[{\"a\": 1},\n {\"a\" 2},\n 3, {\"a\": 4}]")
        #expect(reason(array, 1).contains("x.json:2:"))
        #expect(reason(array, 2).contains("number"))
        #expect(reason(array, 3) == "")
        let gap = try file("gap.json", "[{\"a\": 1},,{\"a\": 2}]")
        #expect(reason(gap, 1) != "" && reason(gap, 2) == "")
        let csv = try file("x.csv", "a,b\n1,2\n1\n\"x\"y,2\n3,4\n")
        #expect(reason(csv, 1).contains("x.csv:3: the row has 1 fields, expected 2"))
        #expect(reason(csv, 2).contains("x.csv:4") && reason(csv, 2).contains("closing quote"))
        #expect(reason(csv, 3) == "")
        let broken = folder.file("x.txt", [0x61, 0x0A, 0xFF, 0xFE, 0x0A])
        #expect(reason(try CorpusFile(path: broken), 0).contains("not UTF-8"))
        let bytes =
            Array("{\"text\": \"".utf8) + [0xC0, 0x80] + Array("\"}\n{\"text\": \"b\"}\n".utf8)
        let invalid = try CorpusFile(path: folder.file("y.jsonl", bytes))
        #expect(reason(invalid, 0).contains("UTF-8") && reason(invalid, 1) == "")
    }

    @Test("say why they cannot be opened")
    func refusals() throws {
        func reason(_ name: String, _ text: String) -> String {
            do {
                _ = try file(name, text)
                return ""
            } catch { return "\(error)" }
        }
        #expect(reason("x.parquet", "PAR1").contains("x.parquet: the name does not say"))
        #expect(reason("noextension", "a").contains("does not say"))
        #expect(reason("x.jsonl", "\n \n").contains("no rows"))
        #expect(reason("x.csv", "a,b\n").contains("no rows"))
        #expect(reason("x.csv", "a,a\n1,2\n").contains("names a column twice"))
        #expect(reason("x.json", "[{\"a\": 1}").contains("ends inside the array"))
        #expect(reason("x.json", "[{\"a\": 1}] x").contains("something follows"))
        #expect(reason("x.json", "7").contains("does not start with '['"))
        #expect(reason("x.json", "[]").contains("no rows"))
        #expect(throws: CorpusError.self) { try CorpusFile(path: folder.path + "/missing.jsonl") }
        #expect(throws: CorpusError.self) {
            try CorpusFile(path: folder.file("x.jsonl.gz", [0x1F, 0x8B, 8, 0, 0]))
        }
    }

    @Test("refuse hostile rows without harm: deep nesting, open strings, enormous rows")
    func hostile() throws {
        let deep = String(repeating: "[", count: 100_000)
        let huge = "{\"text\": \"" + String(repeating: "x", count: 4_000_000) + "\"}"
        let file = try file(
            "x.jsonl", "{\"a\": \(deep)\n{\"text\": \"open\n\(huge)\n{\"text\": \"d\"}\n")
        #expect(file.count == 4)
        #expect(throws: CorpusError.self) { try file.row(0) }
        #expect(throws: CorpusError.self) { try file.row(1) }
        #expect(try file.row(2).fields["text"]?.string?.utf8.count == 4_000_000)
        #expect(try file.row(3).fields["text"]?.string == "d")
        var random = SeededGenerator(seed: 3)
        let alphabet = Array("[]{}\",\\:1a\n ".utf8)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            for name in ["f.json", "f.jsonl", "f.csv", "f.txt"] {
                guard let file = try? CorpusFile(path: folder.file(name, bytes)) else { continue }
                for row in 0..<file.count { _ = try? file.row(row) }
            }
        }
    }
}
