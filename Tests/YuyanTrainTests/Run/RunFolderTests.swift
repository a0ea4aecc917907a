import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("The folder of a run")
struct RunFolderTests {
    private func save(_ folder: RunFolder, _ step: Int, _ text: String = "x") throws {
        _ = try folder.save(step: step) { place in
            try writeAtomically(place + "/file") { try $0.write(text) }
        }
    }

    private func steps(_ folder: RunFolder) throws -> [Int] { try folder.checkpoints().map(\.step) }

    @Test("checkpoints are listed by step, and nothing else is one")
    func lists() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        for step in [10, 2, 30] { try save(folder, step) }
        for name in ["checkpoint-", "checkpoint-x", "checkpoint-07", "checkpoint-3.tmp", "other-4"]
        {
            mkdir(temporary.path + "/" + name, 0o700)
        }
        #expect(try steps(folder) == [2, 10, 30])
    }

    @Test("a save that fails leaves older checkpoints and nothing of itself")
    func failsWhole() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        try save(folder, 1)
        let before = temporary.names
        let full = FormatError.cannotWrite(file: "file", reason: "No space left on device")
        #expect {
            _ = try folder.save(step: 2) { place in
                try writeAtomically(place + "/part") { try $0.write("half") }
                throw full
            }
        } throws: { "\($0)".contains("checkpoint-2: not saved: No space left on device") }
        #expect(temporary.names == before)
        #expect(try steps(folder) == [1])
    }

    @Test("a checkpoint of the same step is replaced")
    func replaces() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        try save(folder, 1, "old")
        try save(folder, 1, "new")
        #expect(try temporary.bytes("checkpoint-1/file") == Array("new".utf8))
        #expect(temporary.names == ["checkpoint-1"])
    }

    @Test("a checkpoint is kept until another of its step is complete, whatever comes between")
    func replacesLast() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        try save(folder, 1, "old")
        #expect(throws: RunError.self) {
            _ = try folder.save(step: 1) { place in
                #expect(try temporary.bytes("checkpoint-1/file") == Array("old".utf8))
                throw FormatError.cannotWrite(file: place, reason: "No space left on device")
            }
        }
        #expect(try temporary.bytes("checkpoint-1/file") == Array("old".utf8))
        #expect(temporary.names == ["checkpoint-1"])
        // Killed between the two renames, and then between the second and the removal.
        let aside = temporary.path + "/.yuyan-replaced-checkpoint-1.old"
        #expect(rename(temporary.path + "/checkpoint-1", aside) == 0)
        mkdir(temporary.path + "/.yuyan-1.tmp", 0o700)
        #expect(try steps(folder) == [])
        try folder.removeLeftovers()
        #expect(try temporary.bytes("checkpoint-1/file") == Array("old".utf8))
        #expect(temporary.names == ["checkpoint-1"])
        #expect(rename(temporary.path + "/checkpoint-1", aside) == 0)
        mkdir(temporary.path + "/checkpoint-1", 0o700)
        try folder.removeLeftovers()
        #expect(temporary.names == ["checkpoint-1"])
        #expect(itemNames(in: temporary.path + "/checkpoint-1").isEmpty)
    }

    @Test(
        "rotation keeps the newest, the best and as many as allowed",
        arguments: [
            (nil, [], [1, 2, 3, 4, 5]), (2, [], [4, 5]), (1, [2], [2, 5]), (3, [1], [1, 4, 5]),
            (1, [5], [5]), (9, [], [1, 2, 3, 4, 5]),
        ] as [(Int?, Set<Int>, [Int])])
    func rotates(limit: Int?, kept: Set<Int>, left: [Int]) throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        for step in 1...5 { try save(folder, step) }
        try folder.rotate(limit: limit, keeping: kept)
        #expect(try steps(folder) == left)
        #expect(temporary.names == left.map { "checkpoint-\($0)" })
    }

    @Test("a link moves in one step")
    func links() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        for step in [1, 2] {
            try save(folder, step, "\(step)")
            try folder.link("last", to: try #require(try folder.checkpoints().last))
            #expect(try temporary.bytes("last/file") == Array("\(step)".utf8))
        }
        #expect(temporary.names == ["checkpoint-1", "checkpoint-2", "last"])
    }

    @Test("what killed saves left goes, what others put there stays")
    func cleans() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path)
        mkdir(temporary.path + "/.yuyan-1.tmp", 0o700)
        _ = temporary.file(".yuyan-1.tmp/model.safetensors", [1])
        mkdir(temporary.path + "/.yuyan-2.old", 0o700)
        _ = temporary.file(".yuyan-3.tmp", [1])
        _ = temporary.file("notes.txt", [1])
        symlink("notes.txt", temporary.path + "/.yuyan-4.tmp")
        #expect(try folder.removeLeftovers() == 4)
        #expect(temporary.names == ["notes.txt"])
    }

    @Test("a folder has one run at a time")
    func locks() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path + "/deep/er")
        do {
            let lock = try folder.claim()
            #expect(throws: RunError.self) { try folder.claim() }
            withExtendedLifetime(lock) {}
        }
        _ = try folder.claim()
    }

    @Test("a run that left nothing takes its lock and the folders it made along")
    func leavesNothing() throws {
        let temporary = TemporaryFolder()
        _ = temporary.file("theirs", [1])
        for path in [temporary.path + "/a/b", temporary.path] {
            let lock = try RunFolder(path).claim()
            withExtendedLifetime(lock) {}
        }
        #expect(itemNames(in: temporary.path) == ["theirs"])
        do {
            let folder = RunFolder(temporary.path + "/c")
            let lock = try folder.claim()
            try save(folder, 1)
            withExtendedLifetime(lock) {}
        }
        #expect(itemNames(in: temporary.path + "/c") == [".yuyan-lock", "checkpoint-1"])
    }
}
