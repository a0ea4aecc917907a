import TestSupport
import Testing
import YuyanFormats

private struct Interruption: Error, Equatable {}

@Suite("Atomic writing")
struct AtomicFileTests {
    private let folder = TemporaryFolder()

    private func bytes(_ path: String) throws -> [UInt8] {
        let file = try MappedFile(path: path)
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }

    @Test("creates and replaces files with exactly the bytes given, in pieces of any size")
    func contents() throws {
        let path = folder.path + "/out"
        for sizes in [[], [0], [1, 2, 3], [65536], [65535, 2, 200_000, 1], [70_000, 70_000]] {
            var expected: [UInt8] = []
            try writeAtomically(path) { sink in
                for size in sizes {
                    let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ expected.count) }
                    try sink.write(piece)
                    expected += piece
                }
                try sink.write("雨燕")
                expected += Array("雨燕".utf8)
                #expect(sink.count == expected.count)
            }
            #expect(try bytes(path) == expected)
            #expect(folder.names == ["out"])
        }
    }

    @Test("keeps the old file and leaves nothing behind when writing fails")
    func failure() throws {
        let path = folder.file("out", [1, 2, 3])
        #expect(throws: Interruption()) {
            try writeAtomically(path) { sink in
                try sink.write([UInt8](repeating: 9, count: 100_000))
                throw Interruption()
            }
        }
        #expect(try bytes(path) == [1, 2, 3])
        #expect(folder.names == ["out"])
        _ = folder.file("other", [])
        #expect(throws: FormatError.self) { try writeAtomically(folder.path) { _ in } }
        #expect(folder.names == ["other", "out"])
    }

    @Test("works for names as long as the system allows and keeps an old mapping intact")
    func names() throws {
        let path = folder.path + "/" + String(repeating: "n", count: 255)
        try writeAtomically(path) { try $0.write([1]) }
        let old = try MappedFile(path: path)
        try writeAtomically(path) { try $0.write([2, 2]) }
        #expect(old.withBytes { $0.byteCount } == 1)
        #expect(old.withUnsafeBytes(in: 0..<1) { $0[0] } == 1)
        #expect(try bytes(path) == [2, 2])
    }

    @Test("says why it cannot write", arguments: ["", "/", "a\0b", "/nonexistent/file"])
    func refusals(_ path: String) {
        #expect {
            try writeAtomically(path) { _ in Issue.record("called for '\(path)'") }
        } throws: { error in
            guard case .cannotWrite(path, _)? = error as? FormatError else { return false }
            return true
        }
    }
}
