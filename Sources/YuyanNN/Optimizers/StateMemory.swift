import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Zeroed memory for an optimiser's state, in one mapping: anonymous, or of a file.
///
/// In a file it is the paged state of Dettmers et al., "QLoRA", arXiv:2305.14314, where the system moves
/// pages between memory and disk as it needs to; the bits are the same. The file has no name, so it is
/// gone with the process, however that ends.
///
/// Unchecked: workers write disjoint ranges, and nobody reads while they do.
final class StateMemory: @unchecked Sendable {
    let start: UnsafeMutableRawPointer
    let byteCount: Int
    /// Whether the pages have a file to go to.
    let isPaged: Bool

    /// - Parameter folder: Where to put the file; nil for memory without one.
    /// - Throws: `FormatError.cannotWrite` if the folder or the room on its disk is missing.
    init(byteCount: Int, folder: String?) throws(FormatError) {
        let page = Int(getpagesize())
        let size = max(byteCount, 1)
        self.byteCount = (size + page - 1) / page * page
        isPaged = folder != nil
        var descriptor: Int32 = -1
        if let folder { descriptor = try Self.namelessFile(in: folder, byteCount: self.byteCount) }
        defer { if descriptor >= 0 { close(descriptor) } }
        let flags = descriptor >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS
        guard
            let address = mmap(
                nil, self.byteCount, PROT_READ | PROT_WRITE, flags, descriptor, 0),
            address != MAP_FAILED
        else {
            throw .cannotWrite(
                file: folder ?? "optimiser state",
                reason: "no \(self.byteCount) bytes of memory: \(Self.message(errno))")
        }
        start = address
        #if os(Linux)
            // Advice: a refusal costs speed only.
            if !isPaged { _ = madvise(address, self.byteCount, MADV_HUGEPAGE) }
        #endif
    }

    deinit { munmap(start, byteCount) }

    /// Lets go of the whole pages inside a range, if there is a file that keeps their contents.
    func release(_ range: Range<Int>) {
        guard isPaged else { return }
        let page = Int(getpagesize())
        let first = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound / page * page
        guard first < end else { return }
        // Of a shared mapping this drops the address only; what was written goes to the file.
        _ = madvise(start + first, end - first, Int32(MADV_DONTNEED))
    }

    /// A file of this size, every byte of it reserved, so that a full disk shows here and not later.
    private static func namelessFile(
        in folder: String, byteCount: Int
    ) throws(FormatError) -> Int32 {
        let name =
            folder + "/.yuyan-state-" + String(UInt64.random(in: .min ... .max), radix: 36)
            + ".tmp"
        let descriptor = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .cannotWrite(file: folder, reason: message(errno))
        }
        unlink(name)
        #if os(Linux)
            let code = posix_fallocate(descriptor, 0, off_t(byteCount))
        #else
            let code = ftruncate(descriptor, off_t(byteCount)) == 0 ? 0 : errno
        #endif
        guard code == 0 else {
            close(descriptor)
            throw .cannotWrite(
                file: folder, reason: "no \(byteCount) bytes for the optimiser: \(message(code))")
        }
        return descriptor
    }

    private static func message(_ code: Int32) -> String { String(cString: strerror(code)) }
}
