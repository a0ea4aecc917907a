import TestSupport
import Testing
import YuyanFormats

@Suite("Mapped files")
struct MappedFileTests {
    @Test("show exactly the bytes of the file, also after giving memory back")
    func contents() throws {
        let folder = TemporaryFolder()
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let file = try MappedFile(path: folder.file("data", bytes))
        #expect(file.count == bytes.count)
        #expect(file.withBytes { span in span.withUnsafeBytes { Array($0) } } == bytes)
        file.prefetch(100..<10_000)
        file.release(0..<20_000)
        file.release(5_000..<5_001)
        #expect(file.withUnsafeBytes(in: 4095..<9001) { Array($0) } == Array(bytes[4095..<9001]))
        #expect(file.withUnsafeBytes(in: 20_000..<20_000) { $0.count } == 0)
    }

    @Test("may be empty")
    func empty() throws {
        let folder = TemporaryFolder()
        let file = try MappedFile(path: folder.file("empty", []))
        #expect(file.count == 0)
        #expect(file.withBytes { $0.byteCount } == 0)
        file.release(0..<0)
        #expect(MappedFile(bytes: [], name: "none").withBytes { $0.byteCount } == 0)
    }

    @Test("in memory keep their bytes when memory is given back")
    func copied() {
        let bytes = [UInt8](repeating: 9, count: 100_000)
        let file = MappedFile(bytes: bytes, name: "copy")
        file.release(0..<100_000)
        #expect(file.withUnsafeBytes(in: 0..<100_000) { Array($0) } == bytes)
    }

    @Test("say why they cannot be opened")
    func refusals() {
        let folder = TemporaryFolder()
        let missing = folder.path + "/missing"
        #expect(throws: FormatError.cannotOpen(file: missing, reason: "No such file or directory"))
        {
            try MappedFile(path: missing)
        }
        #expect(throws: FormatError.cannotOpen(file: folder.path, reason: "it is a folder")) {
            try MappedFile(path: folder.path)
        }
        #expect(
            throws: FormatError.cannotOpen(file: "/dev/null", reason: "it is not a regular file")
        ) { try MappedFile(path: "/dev/null") }
        #expect(throws: FormatError.self) { try MappedFile(path: "a\0b") }
    }

    @Test("trap on ranges outside")
    func outside() async {
        await #expect(processExitsWith: .failure) {
            MappedFile(bytes: [1, 2, 3], name: "three").withUnsafeBytes(in: 1..<4) { _ in }
        }
        await #expect(processExitsWith: .failure) {
            MappedFile(bytes: [1, 2, 3], name: "three").release(-1..<2)
        }
    }
}
