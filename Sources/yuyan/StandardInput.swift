import Synchronization
import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads all of a file, where "-" is standard input.
enum InputFile {
    /// The bytes of a file of any kind: pipes have no size to map.
    ///
    /// - Throws: `FormatError.cannotOpen` with the system's reason.
    static func bytes(_ path: String) throws -> [UInt8] {
        guard path != "-" else { return try contents(of: 0, name: "standard input") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        return try contents(of: descriptor, name: path)
    }

    /// The text of a file.
    ///
    /// - Throws: `InputError.notUTF8` with the offset of the first wrong byte.
    static func text(_ path: String) throws -> String {
        try text(bytes(path), name: path == "-" ? "standard input" : path)
    }

    static func text(_ bytes: [UInt8], name: String) throws(InputError) -> String {
        do {
            return String(copying: try UTF8Span(validating: bytes.span))
        } catch {
            throw .notUTF8(
                file: name, offset: error.byteOffsets.lowerBound,
                byte: bytes[error.byteOffsets.lowerBound])
        }
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func contents(of descriptor: Int32, name: String) throws -> [UInt8] {
        var result: [UInt8] = []
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
            result.reserveCapacity(Int(status.st_size))
        }
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(name) }
            guard count > 0 else { return result }
            result += piece[..<count]
        }
    }

    private static func failure(_ path: String) -> FormatError {
        .cannotOpen(file: path, reason: String(cString: strerror(errno)))
    }
}

/// Text from outside that cannot be used.
enum InputError: Error, Equatable, CustomStringConvertible {
    case notUTF8(file: String, offset: Int, byte: UInt8)

    var description: String {
        switch self {
        case .notUTF8(let file, let offset, let byte):
            "\(file): byte \(offset) is 0x\(String(byte, radix: 16)), expected UTF-8; "
                + "convert the text, for example with iconv"
        }
    }
}

/// Lines of standard input as they are typed.
struct LineReader {
    enum Line: Equatable {
        case text(String)
        /// Ctrl-C was pressed before the line was complete.
        case interrupted
        case end
    }

    private var pending: [UInt8] = []
    private var isAtEnd = false

    /// The next line without its end, or what came instead.
    mutating func next() throws -> Line {
        while true {
            if let newline = pending.firstIndex(of: UInt8(ascii: "\n")) {
                defer { pending.removeSubrange(...newline) }
                return .text(try text(pending[..<newline]))
            }
            if isAtEnd {
                defer { pending = [] }
                return pending.isEmpty ? .end : .text(try text(pending[...]))
            }
            if Interrupts.take() {
                pending = []
                return .interrupted
            }
            var piece = [UInt8](repeating: 0, count: 1 << 12)
            let count = read(0, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { isAtEnd = true } else { pending += piece[..<count] }
        }
    }

    private func text(_ line: ArraySlice<UInt8>) throws(InputError) -> String {
        let end = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        return try InputFile.text(Array(end), name: "standard input, this line")
    }
}

/// Ctrl-C as a request that the main loop looks at, instead of the end of the process.
enum Interrupts {
    private static let isPending = Atomic(false)

    /// From now on the first Ctrl-C asks; a second one before `take` ends the process.
    static func catchAll() {
        // Touched here, so that the handler never initialises it.
        isPending.store(false, ordering: .relaxed)
        let handler: @convention(c) (Int32) -> Void = { _ in
            if Interrupts.isPending.exchange(true, ordering: .relaxed) { _exit(130) }
        }
        var action = sigaction()
        #if canImport(Darwin)
            action.__sigaction_u.__sa_handler = handler
        #else
            action.__sigaction_handler.sa_handler = handler
        #endif
        // Without SA_RESTART: a read of the terminal must come back.
        sigaction(SIGINT, &action, nil)
    }

    static var isAsked: Bool { isPending.load(ordering: .relaxed) }

    /// Whether Ctrl-C was pressed since the last call.
    static func take() -> Bool { isPending.exchange(false, ordering: .relaxed) }
}
