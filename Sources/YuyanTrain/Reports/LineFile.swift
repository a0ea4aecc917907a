import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file of lines that grows at its end.
///
/// A line is one write, so a kill leaves whole lines, or at most a part of the last one.
final class LineFile {
    private let path: String
    private let descriptor: Int32

    /// Opens the file, which is made if it is not there, to append to it.
    ///
    /// - Parameter count: Bytes to keep of it; nil keeps all.
    /// - Throws: `.cannotWrite`.
    init(path: String, keeping count: Int? = nil) throws(FormatError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        try check(descriptor)
        if let count { try check(ftruncate(descriptor, off_t(count))) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Appends one line.
    ///
    /// - Throws: `.cannotWrite`.
    func append(_ line: String) throws(FormatError) {
        let bytes = Array((line + "\n").utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            try check(Int32(clamping: written))
            rest = rest.dropFirst(written)
        }
    }

    /// Waits until all lines are on disk.
    ///
    /// - Throws: `.cannotWrite`.
    func synchronise() throws(FormatError) { try check(fsync(descriptor)) }

    private func check(_ result: Int32) throws(FormatError) {
        guard result >= 0 else {
            throw .cannotWrite(file: path, reason: String(cString: strerror(errno)))
        }
    }
}
