#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Replaces a file in one step: readers see the old contents or the new, never a part.
///
/// Writes to a temporary name in the same folder, waits until the bytes are on disk, renames, and
/// waits for the folder. On any error the temporary file is removed and the old one stays.
///
/// - Parameters:
///   - path: The file to create or replace.
///   - write: Receives where to write to.
/// - Throws: `.cannotWrite`, or what `write` throws.
public func writeAtomically(
    _ path: String, _ write: (inout FileSink) throws -> Void
) throws {
    guard !path.isEmpty, !path.utf8.contains(0), path.utf8.last != UInt8(ascii: "/") else {
        throw FormatError.cannotWrite(file: path, reason: "it is not the name of a file")
    }
    let folder =
        path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? "./"
    let (temporary, descriptor) = try createTemporary(in: folder, for: path)
    var isOpen = true
    do {
        var sink = FileSink(path: path, descriptor: descriptor)
        try write(&sink)
        try sink.flush()
        try check(fsync(descriptor), path)
        isOpen = false
        try check(close(descriptor), path)
        try check(rename(temporary, path), path)
    } catch {
        if isOpen { close(descriptor) }
        unlink(temporary)
        throw error
    }
    try synchronise(folder: folder, for: path)
}

/// Creates a folder in one step: it is not there, or it is there with all that belongs in it.
///
/// Fills a folder of a temporary name beside it, waits until that is on disk, and renames it. On
/// any error the temporary folder and the files in it are removed.
///
/// - Parameters:
///   - path: The folder to create; must not exist, or be empty.
///   - fill: Receives the folder to put files into; whatever it writes must be on disk when it
///     returns, as with `writeAtomically`.
/// - Throws: `.cannotWrite`, or what `fill` throws.
public func createFolderAtomically(
    _ path: String, _ fill: (_ temporary: String) throws -> Void
) throws {
    let name = path.utf8.last == UInt8(ascii: "/") ? String(path.dropLast()) : path
    guard !name.isEmpty, !name.utf8.contains(0) else {
        throw FormatError.cannotWrite(file: path, reason: "it is not the name of a folder")
    }
    let parent = name.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(name[...$0]) } ?? "./"
    let temporary = parent + temporaryName()
    try check(mkdir(temporary, 0o777), path)
    do {
        try fill(temporary)
        try synchronise(folder: temporary, for: path)
        try check(rename(temporary, name), path)
    } catch {
        removeFolder(temporary)
        throw error
    }
    try synchronise(folder: parent, for: path)
}

/// Creates or replaces a file that somebody else writes by name, in one step.
///
/// - Parameters:
///   - path: The file to create or replace.
///   - fill: Receives a temporary name beside it, under which it must leave a file that is on disk.
/// - Throws: `.cannotWrite`, or what `fill` throws; then the temporary file is removed.
public func createFileAtomically(
    _ path: String, _ fill: (_ temporary: String) throws -> Void
) throws {
    let parent = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? "./"
    let temporary = parent + temporaryName()
    do {
        try fill(temporary)
        try check(rename(temporary, path), path)
    } catch {
        unlink(temporary)
        throw error
    }
    try synchronise(folder: parent, for: path)
}

/// Creates a folder and those above it, unless they exist.
///
/// - Throws: `.cannotWrite` with the system's reason.
public func createFolder(_ path: String) throws(FormatError) {
    if mkdir(path, 0o777) == 0 { return }
    var code = errno
    if code == ENOENT, let slash = path.utf8.dropLast().lastIndex(of: UInt8(ascii: "/")),
        slash > path.startIndex
    {
        try createFolder(String(path[..<slash]))
        if mkdir(path, 0o777) == 0 { return }
        code = errno
    }
    var status = stat()
    if code == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    throw .cannotWrite(
        file: path, reason: code == EEXIST ? "a file of this name exists" : systemMessage(code))
}

/// Removes a file if there is one.
///
/// - Throws: `.cannotWrite` with the system's reason.
func removeFile(_ path: String) throws(FormatError) {
    guard unlink(path) != 0, errno != ENOENT else { return }
    throw .cannotWrite(file: path, reason: "cannot be removed: " + systemMessage(errno))
}

/// Removes a folder of files and folders, as far as that is possible: links, never what they point at.
///
/// - Parameter depth: Folders inside of each other that are gone into.
package func removeFolder(_ path: String, depth: Int = 64) {
    if depth > 0, let folder = opendir(path) {
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { place in
                place.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        closedir(folder)
        for name in names {
            let item = path + "/" + name
            if unlink(item) != 0 { removeFolder(item, depth: depth - 1) }
        }
    }
    rmdir(path)
}

/// Where `writeAtomically` lets its caller write to.
public struct FileSink: ~Copyable {
    /// The file that is written, for error messages.
    public let path: String
    private let descriptor: Int32
    private var pending: [UInt8] = []
    /// The number of bytes written so far.
    public private(set) var count = 0

    private static let pendingLimit = 1 << 16

    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Appends bytes.
    ///
    /// - Throws: `.cannotWrite` with the system's reason.
    public mutating func write(_ bytes: RawSpan) throws(FormatError) {
        count += bytes.byteCount
        if pending.count + bytes.byteCount > Self.pendingLimit { try flush() }
        if bytes.byteCount > Self.pendingLimit {
            try put(bytes)
        } else {
            bytes.withUnsafeBytes { pending.append(contentsOf: $0) }
        }
    }

    /// Appends bytes.
    ///
    /// - Throws: `.cannotWrite` with the system's reason.
    public mutating func write(_ bytes: [UInt8]) throws(FormatError) {
        try write(bytes.span.bytes)
    }

    /// Appends text in UTF-8.
    ///
    /// - Throws: `.cannotWrite` with the system's reason.
    public mutating func write(_ text: String) throws(FormatError) {
        try write(Array(text.utf8))
    }

    mutating func flush() throws(FormatError) {
        guard !pending.isEmpty else { return }
        let bytes = pending
        pending.removeAll(keepingCapacity: true)
        try put(bytes.span.bytes)
    }

    private func put(_ bytes: RawSpan) throws(FormatError) {
        try bytes.withUnsafeBytes { (buffer: UnsafeRawBufferPointer) throws(FormatError) in
            var rest = buffer[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                // The function of the system, not this type's.
                #if canImport(Glibc)
                    let written = Glibc.write(descriptor, part.baseAddress, part.count)
                #elseif canImport(Musl)
                    let written = Musl.write(descriptor, part.baseAddress, part.count)
                #elseif canImport(Darwin)
                    let written = Darwin.write(descriptor, part.baseAddress, part.count)
                #endif
                if written < 0 {
                    if errno == EINTR { continue }
                    throw .cannotWrite(file: path, reason: systemMessage(errno))
                }
                rest = rest.dropFirst(written)
            }
        }
    }
}

private func createTemporary(
    in folder: String, for path: String
) throws(FormatError) -> (path: String, descriptor: Int32) {
    while true {
        let name = folder + temporaryName()
        let descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        if descriptor >= 0 { return (name, descriptor) }
        let code = errno
        if code != EEXIST && code != EINTR {
            throw .cannotWrite(file: path, reason: systemMessage(code))
        }
    }
}

// Not derived from the file's name, which may already be as long as names can be.
private func temporaryName() -> String {
    ".yuyan-" + String(UInt64.random(in: .min ... .max), radix: 36) + ".tmp"
}

private func check(_ result: Int32, _ path: String) throws(FormatError) {
    guard result == 0 else { throw .cannotWrite(file: path, reason: systemMessage(errno)) }
}

/// Makes a rename in `folder` survive a loss of power.
private func synchronise(folder: String, for path: String) throws(FormatError) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotWrite(file: path, reason: systemMessage(errno)) }
    defer { close(descriptor) }
    // Some file systems cannot synchronise folders and say so; nothing more can be done there.
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
        throw .cannotWrite(file: path, reason: systemMessage(errno))
    }
}
