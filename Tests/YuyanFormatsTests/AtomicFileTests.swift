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

@Suite("Atomic folders")
struct AtomicFolderTests {
    private let folder = TemporaryFolder()

    @Test("appear whole under their name")
    func whole() throws {
        let path = folder.path + "/a"
        try createFolderAtomically(path + "/") { temporary in
            #expect(folder.names != ["a"])
            try writeAtomically(temporary + "/x") { try $0.write([1]) }
            try createFolder(temporary + "/deep/er")
            try createFolder(temporary + "/deep/er")
        }
        #expect(folder.names == ["a"] && itemNames(in: path) == ["deep", "x"])
        #expect(itemNames(in: path + "/deep") == ["er"])
    }

    @Test("that fail, or that would replace another, leave nothing behind")
    func failures() throws {
        #expect(throws: Interruption()) {
            try createFolderAtomically(folder.path + "/a") { temporary in
                try createFolder(temporary + "/deep/er")
                try writeAtomically(temporary + "/deep/x") { try $0.write([1]) }
                throw Interruption()
            }
        }
        #expect(folder.names.isEmpty)
        try createFolder(folder.path + "/b/c")
        #expect(throws: FormatError.self) {
            try createFolderAtomically(folder.path + "/b") { _ in }
        }
        #expect(folder.names == ["b"] && itemNames(in: folder.path + "/b") == ["c"])
        _ = folder.file("file", [1])
        #expect(throws: FormatError.self) { try createFolder(folder.path + "/file") }
        #expect(throws: FormatError.self) { try createFolder(folder.path + "/file/x") }
        #expect(throws: FormatError.self) { try createFolderAtomically("") { _ in } }
    }
}
