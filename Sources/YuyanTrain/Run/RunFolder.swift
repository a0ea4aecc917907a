import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The folder of a run: who may write to it, which checkpoints it has, what a killed run left.
///
/// Every change is one rename or one file that appears whole, so a kill between any two instructions
/// leaves a folder that the next start understands.
package struct RunFolder {
    package let path: String

    /// One saved step.
    package struct Checkpoint: Hashable, Sendable {
        package let step: Int
        package let path: String
        /// The folder's own name.
        package var name: String { "checkpoint-\(step)" }
    }

    package init(_ path: String) { self.path = path }

    package func place(_ name: String) -> String { path + "/" + name }

    /// Creates the folder and takes it for this process.
    ///
    /// - Throws: `RunError.busy` if another process trains into it.
    package func claim() throws -> RunLock {
        try createFolder(path)
        return try RunLock(path: place(".yuyan-lock"), folder: path)
    }

    /// Saved steps, oldest first; whether each can be read is found out by reading it.
    package func checkpoints() throws -> [Checkpoint] {
        try names().compactMap { name in
            guard name.hasPrefix("checkpoint-"), let step = Int(name.dropFirst(11)), step >= 0,
                name == "checkpoint-\(step)"
            else { return nil }
            return Checkpoint(step: step, path: place(name))
        }.sorted { $0.step < $1.step }
    }

    /// Removes what saves and removals left that a kill cut short.
    ///
    /// A checkpoint that was moved aside for a better one, which then did not come, is put back.
    ///
    /// - Returns: How many there were.
    @discardableResult
    package func removeLeftovers() throws -> Int {
        let all = try names()
        let left = all.filter {
            $0.hasPrefix(".yuyan-") && ($0.hasSuffix(".tmp") || $0.hasSuffix(".old"))
        }
        for name in left where name.hasPrefix(Self.asidePrefix) {
            let checkpoint = String(name.dropFirst(Self.asidePrefix.count).dropLast(4))
            guard !all.contains(checkpoint) else { continue }
            try checked(rename(place(name), place(checkpoint)), place(checkpoint))
        }
        for name in left { try removeTree(place(name)) }
        return left.count
    }

    /// Writes a checkpoint that appears whole or not at all, in place of one of the same step.
    ///
    /// - Throws: What `fill` throws, or `RunError.notSaved`; older checkpoints stay as they were.
    package func save(step: Int, _ fill: (_ folder: String) throws -> Void) throws -> Checkpoint {
        let result = Checkpoint(step: step, path: place("checkpoint-\(step)"))
        let aside = place(Self.asidePrefix + result.name + ".old")
        do {
            try createFolderAtomically(result.path) { temporary in
                try fill(temporary)
                // The new one is complete: from here to its renaming the old one has another name.
                var status = stat()
                guard lstat(result.path, &status) == 0 else { return }
                try checked(rename(result.path, aside), result.path)
            }
        } catch {
            // Unless the old one was moved there is nothing to move back.
            _ = rename(aside, result.path)
            guard case FormatError.cannotWrite(_, let reason) = error else { throw error }
            // The file is in a folder that is gone by now.
            throw RunError.notSaved(checkpoint: result.path, reason: reason)
        }
        try removeTree(aside)
        return result
    }

    /// Begins the name of a checkpoint that makes room for another of its step.
    private static let asidePrefix = ".yuyan-replaced-"

    /// Removes a checkpoint; if that is cut short, what is left is no longer called a checkpoint.
    package func remove(_ checkpoint: Checkpoint) throws {
        let old = place(".yuyan-" + String(UInt64.random(in: .min ... .max), radix: 36) + ".old")
        try checked(rename(checkpoint.path, old), checkpoint.path)
        try removeTree(old)
    }

    /// Removes the oldest checkpoints but `limit`, never the newest, never those of `kept`.
    package func rotate(limit: Int?, keeping kept: Set<Int>) throws {
        guard let limit else { return }
        let all = try checkpoints()
        guard let newest = all.last else { return }
        var count = all.count
        let protected = kept.union([newest.step])
        for checkpoint in all where !protected.contains(checkpoint.step) {
            guard count > max(limit, protected.count) else { return }
            try remove(checkpoint)
            count -= 1
        }
    }

    /// Makes `name` a symbolic link to a checkpoint beside it, in one step.
    package func link(_ name: String, to checkpoint: Checkpoint) throws {
        let temporary = place(
            ".yuyan-" + String(UInt64.random(in: .min ... .max), radix: 36) + ".tmp")
        try checked(symlink(checkpoint.name, temporary), place(name))
        do {
            try checked(rename(temporary, place(name)), place(name))
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Removes a file, link or folder of this name, if there is one.
    package func removeItem(_ name: String) throws { try removeTree(place(name)) }

    /// The names of everything in the folder, sorted.
    package func names() throws -> [String] { try folderNames(path) }
}

/// Keeps other processes out of a folder until it is gone, with its process if need be.
package final class RunLock {
    private let descriptor: Int32

    fileprivate init(path: String, folder: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw FormatError.cannotWrite(file: folder, reason: String(cString: strerror(errno)))
        }
        // What is thrown from here on lets go of the object, which closes the file.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw RunError.busy(folder: folder)
        }
    }

    deinit { close(descriptor) }
}

private func checked(_ result: Int32, _ path: String) throws(FormatError) {
    guard result == 0 else {
        throw .cannotWrite(file: path, reason: String(cString: strerror(errno)))
    }
}

private func folderNames(_ path: String) throws(FormatError) -> [String] {
    guard let folder = opendir(path) else {
        throw .cannotOpen(file: path, reason: String(cString: strerror(errno)))
    }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { place in
            place.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Removes a file, a link or a folder with all that is in it.
private func removeTree(_ path: String) throws(FormatError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
        try checked(unlink(path), path)
        return
    }
    for name in try folderNames(path) { try removeTree(path + "/" + name) }
    try checked(rmdir(path), path)
}
