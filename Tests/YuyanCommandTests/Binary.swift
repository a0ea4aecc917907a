import TestSupport
import Testing
import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The built command, run as a user runs it.
enum Binary {
    struct Result {
        let output: String
        let errors: String
        /// The exit code, or minus the signal that ended it.
        let status: Int32

        func json() throws -> JSONCursor {
            try JSONDocument(bytes: Array(output.utf8), name: "output").root
        }
    }

    /// Where `swift build` and `swift test` put it, or nil.
    static let path: String? = {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        let path = root.joined(separator: "/") + "/.build/release/yuyan"
        return access(path, X_OK) == 0 ? path : nil
    }()

    /// - Parameters:
    ///   - signal: Sent to the command once it has run for so long, if it still runs then.
    ///   - fileBlocks: How long files may become, in the shell's blocks of 512 or 1024 bytes; writing
    ///     on fails then, as on a full disk.
    static func run(
        _ arguments: [String], input: String = "",
        signal: (number: Int32, after: Duration)? = nil, fileBlocks: Int? = nil
    ) throws -> Result {
        let command = [try #require(Self.path)] + arguments
        let limited = fileBlocks.map {
            ["/bin/sh", "-c", "trap '' XFSZ; ulimit -f \($0); exec \"$0\" \"$@\""] + command
        }
        let line = limited ?? command
        let path = line[0]
        let folder = TemporaryFolder()
        let inputPath = folder.file("in", Array(input.utf8))
        let outputPath = folder.file("out", [])
        let errorPath = folder.file("err", [])
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
        #else
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY, 0)
        var words: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        #if canImport(Darwin)
            var attributes: posix_spawnattr_t?
        #else
            var attributes = posix_spawnattr_t()
        #endif
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of a pool block signals, and a child would inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var child = pid_t()
        let code = posix_spawn(&child, path, &actions, &attributes, words, environ)
        try #require(code == 0, "cannot start \(path)")
        if let signal {
            let (seconds, attoseconds) = signal.after.components
            usleep(UInt32(seconds) * 1_000_000 + UInt32(attoseconds / 1_000_000_000_000))
            // The child is not waited for yet, so its number belongs to nobody else.
            kill(child, signal.number)
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 { try #require(errno == EINTR) }
        let killer = status & 0x7F
        return Result(
            output: String(decoding: try bytes(outputPath), as: UTF8.self),
            errors: String(decoding: try bytes(errorPath), as: UTF8.self),
            status: killer == 0 ? status >> 8 & 0xFF : -killer)
    }

    private static func bytes(_ path: String) throws -> [UInt8] {
        let file = try MappedFile(path: path)
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }
}
