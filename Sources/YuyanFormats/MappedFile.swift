#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file's bytes, mapped into memory for reading.
///
/// The mapping lasts as long as this object; pages are read from disk when first touched. Another
/// process that shortens the file meanwhile makes the system end this one (SIGBUS), as with every
/// memory-mapped file; replace files by renaming, as `writeAtomically` does.
public final class MappedFile: Sendable {
    /// The path as given, for error messages.
    public let path: String
    /// The number of bytes.
    public let count: Int

    // Read-only memory that lives until deinit; nil exactly if count is 0. Nothing writes to it
    // after init, so sharing it between threads is safe.
    @usableFromInline nonisolated(unsafe) let base: UnsafeRawPointer?
    private let isMapped: Bool

    /// Maps a whole regular file; an empty one is allowed.
    ///
    /// - Throws: `.cannotOpen` with the system's reason.
    public convenience init(path: String) throws(FormatError) {
        guard !path.utf8.contains(0) else {
            throw .cannotOpen(file: path, reason: "the path contains a NUL byte")
        }
        // Without O_NONBLOCK, opening a named pipe would wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw .cannotOpen(file: path, reason: systemMessage(errno))
        }
        defer { close(descriptor) }
        try self.init(descriptor: descriptor, path: path)
    }

    /// Maps what an open file holds; the mapping outlives the descriptor and the file's name.
    init(descriptor: Int32, path: String) throws(FormatError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .cannotOpen(file: path, reason: systemMessage(errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            throw .cannotOpen(
                file: path, reason: isFolder ? "it is a folder" : "it is not a regular file")
        }
        guard let size = Int(exactly: status.st_size) else {
            throw .overflow(file: path, what: "the file")
        }
        self.path = path
        count = size
        isMapped = true
        guard size > 0 else {
            base = nil
            return
        }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0),
            address != MAP_FAILED
        else { throw .cannotOpen(file: path, reason: systemMessage(errno)) }
        base = UnsafeRawPointer(address)
    }

    /// Copies bytes that stand for a file, so that the same readers work on both.
    ///
    /// - Parameters:
    ///   - bytes: The contents.
    ///   - name: What error messages call it.
    public init(bytes: [UInt8], name: String) {
        path = name
        count = bytes.count
        isMapped = false
        guard !bytes.isEmpty else {
            base = nil
            return
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        copy.copyBytes(from: bytes)
        base = copy.baseAddress.map { UnsafeRawPointer($0) }
    }

    deinit {
        guard let base else { return }
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: base), count)
        } else {
            base.deallocate()
        }
    }

    /// Lends all bytes for the duration of `body`.
    @inlinable
    public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        let buffer = UnsafeRawBufferPointer(start: base, count: count)
        return try body(buffer.bytes)
    }

    /// Lends the address of some bytes for the duration of `body`, to hand them to C.
    ///
    /// - Precondition: `range` lies inside the file.
    @inlinable
    public func withUnsafeBytes<R, E: Error>(
        in range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        check(range)
        let start = base.map { $0 + range.lowerBound }
        return try body(UnsafeRawBufferPointer(start: start, count: range.count))
    }

    /// Gives the memory of the whole pages inside `range` back to the system.
    ///
    /// Reading them again brings them back from the file. Meant for weights that were copied into
    /// another layout, which would otherwise count twice.
    ///
    /// - Precondition: `range` lies inside the file.
    public func release(_ range: Range<Int>) {
        check(range)
        let page = Int(getpagesize())
        let first = (range.lowerBound + page - 1) / page * page
        // The tail of the last page holds nothing else, so the end of the file counts as whole.
        let end = range.upperBound == count ? count : range.upperBound / page * page
        advise(first, end, MADV_DONTNEED)
    }

    /// Asks the system to read `range` ahead of its use.
    ///
    /// - Precondition: `range` lies inside the file.
    public func prefetch(_ range: Range<Int>) {
        check(range)
        let page = Int(getpagesize())
        advise(range.lowerBound / page * page, range.upperBound, MADV_WILLNEED)
    }

    @usableFromInline
    func check(_ range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= count,
            "bytes \(range) are outside of \(path), which has \(count)")
    }

    // Both pieces of advice only concern speed and memory, so a refusal is not an error. Copied
    // bytes must be left alone: they have no file to come back from.
    private func advise(_ start: Int, _ end: Int, _ advice: some BinaryInteger) {
        guard isMapped, start < end, let base else { return }
        _ = madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, Int32(advice))
    }
}

/// The system's explanation of an error number.
func systemMessage(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    // strerror is not safe between threads; the XSI variant is what Swift's importer offers.
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
}
