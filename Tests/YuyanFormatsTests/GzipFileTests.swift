import TestSupport
import Testing

@testable import YuyanFormats

@Suite("Gzip files")
struct GzipFileTests {
    private struct Case: CustomTestStringConvertible {
        let name: String
        let packed: [UInt8]
        let count: Int
        let sha256: String
        var testDescription: String { name }
    }

    private static func cases() throws -> [Case] {
        let root = try JSONDocument(path: Goldens.path("data/gzip.json")).root
        return try (root.array.map(Array.init) ?? []).map {
            Case(
                name: try $0.string("name"), packed: decodedBase64(try $0.string("packed")),
                count: try $0.int("count"), sha256: try $0.string("sha256"))
        }
    }

    @Test("of Python unpack to the bytes that went in")
    func agreesWithPython() throws {
        let cases = try Self.cases()
        #expect(cases.count >= 15)
        for golden in cases {
            let file = MappedFile(bytes: golden.packed, name: golden.name)
            #expect(file.isGzip)
            let plain = try file.unpackedGzip()
            #expect(plain.count == golden.count, "\(golden.name)")
            let bytes = plain.withBytes { span in span.withUnsafeBytes { Array($0) } }
            #expect(sha256(bytes) == golden.sha256, "\(golden.name)")
        }
    }

    @Test("cut at any place are refused, unless a whole member is left")
    func truncated() throws {
        for golden in try Self.cases() where golden.packed.count < 1500 {
            // What remains of the two members is one whole member at two places.
            let isDivided = golden.name.contains("members")
            for length in 2..<golden.packed.count {
                let file = MappedFile(bytes: Array(golden.packed[..<length]), name: "cut")
                let result = Result { try file.unpackedGzip() }
                if case .success(let plain) = result {
                    #expect(isDivided, "\(golden.name) cut to \(length) gave \(plain.count) bytes")
                }
            }
        }
    }

    @Test("with any byte of their data changed are refused")
    func corrupted() throws {
        let golden = try #require(Self.cases().first { $0.name == "dynamic codes" })
        let start = 10
        // The last byte of the data ends with bits that mean nothing.
        let padded = golden.packed.count - 9
        for position in stride(from: start, to: golden.packed.count, by: 3) where position != padded
        {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var bytes = golden.packed
                bytes[position] ^= mask
                #expect(throws: FormatError.self, "byte \(position) ^ \(mask)") {
                    try MappedFile(bytes: bytes, name: "changed").unpackedGzip()
                }
            }
        }
    }

    @Test("of random bytes behind a header never crash")
    func fuzz() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<3000 {
            var bytes: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
            bytes += (0..<Int.random(in: 0...60, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(throws: FormatError.self) {
                try MappedFile(bytes: bytes, name: "random").unpackedGzip()
            }
        }
    }

    @Test("that unpack to more than the limit are refused on the way")
    func bomb() throws {
        let golden = try #require(Self.cases().first { $0.name == "long run" })
        #expect(golden.packed.count * 200 < golden.count)
        let file = MappedFile(bytes: golden.packed, name: "bomb")
        #expect(try file.unpackedGzip(limit: golden.count).count == golden.count)
        do {
            _ = try file.unpackedGzip(limit: golden.count - 1)
            Issue.record("the limit was passed")
        } catch let error as FormatError {
            #expect(error.description.contains("more than \(golden.count - 1) bytes"))
        }
    }

    @Test("name what is wrong with a header or a check sum")
    func refusals() throws {
        let good = try #require(Self.cases().first { $0.name == "one byte" }).packed
        func refusal(_ change: (inout [UInt8]) -> Void) -> String {
            var bytes = good
            change(&bytes)
            do {
                _ = try MappedFile(bytes: bytes, name: "f.gz").unpackedGzip()
                return ""
            } catch { return "\(error)" }
        }
        #expect(refusal { $0[2] = 7 }.contains("method 7"))
        #expect(refusal { $0[3] = 0xE0 }.contains("gzip flags"))
        #expect(refusal { $0[$0.count - 5] ^= 1 }.contains("check sum"))
        #expect(refusal { $0[$0.count - 1] ^= 1 }.contains("gzip size"))
        #expect(refusal { $0 += [1, 2, 3] }.contains("f.gz"))
        #expect(!MappedFile(bytes: [0x1F], name: "short").isGzip)
    }

    @Test("CRC-32 of the standard's example, however the bytes are divided")
    func checkSum() {
        let bytes = Array("123456789".utf8)
        for cut in 0...9 {
            var crc = CRC32()
            bytes[..<cut].withUnsafeBytes { crc.update($0) }
            bytes[cut...].withUnsafeBytes { crc.update($0) }
            #expect(crc.value == 0xCBF4_3926)
        }
    }
}
