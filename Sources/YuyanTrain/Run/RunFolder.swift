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
        let missing = missingFolders
        try createFolder(path)
        return try RunLock(folder: self, before: names(), made: missing)
    }

    /// Says what `claim` would say of the place, and makes nothing.
    ///
    /// - Throws: `FormatError.cannotWrite`.
    package func checkWritable() throws {
        let parent = missingFolders.last.map(Self.parent) ?? path
        var status = stat()
        try checked(stat(parent, &status), parent)
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw FormatError.cannotWrite(file: parent, reason: "it is no folder")
        }
        try checked(access(parent, W_OK | X_OK), parent)
    }

    /// The folder and those above it that are not there, the deepest first.
    private var missingFolders: [String] {
        var missing: [String] = []
        var place = path
        var status = stat()
        while stat(place, &status) != 0, errno == ENOENT, place != ".", place != "/" {
            missing.append(place)
            place = Self.parent(place)
        }
        return missing
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
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

    /// Files of somebody's model, which a run that did not make them does not overwrite.
    static let modelFiles = [
        "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors",
        "config.json",
    ]

    /// Removes a run: what it could be gone on from first, so that a kill leaves nothing half believed.
    func clear() throws {
        for checkpoint in try checkpoints().reversed() { try remove(checkpoint) }
        for name in [
            "trainer_state.json", SamplingSummary.name, SamplingJournal.name, "samples.jsonl",
            "pairs.jsonl", "best", "last", "metrics.jsonl", "recipe.yaml", "report.html",
            "samples.json", "reward_report.json", MergedAdapters.name, "runs",
        ] {
            try removeItem(name)
        }
    }

    /// The names of everything in the folder, sorted; none if it is not there.
    package func names() throws -> [String] { try missingFolders.isEmpty ? folderNames(path) : [] }
}

/// Keeps other processes out of a folder until it is gone, with its process if need be.
///
/// A run that failed before it left anything takes the lock's file and the folders it made with it.
package final class RunLock {
    private static let name = ".yuyan-lock"
    private let descriptor: Int32
    private let folder: RunFolder
    /// What was in the folder before.
    private let before: [String]
    /// Folders that were made for the run, the deepest first.
    private let made: [String]
    private var isHeld = false

    fileprivate init(folder: RunFolder, before: [String], made: [String]) throws {
        self.folder = folder
        self.before = before
        self.made = made
        descriptor = open(folder.place(Self.name), O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw FormatError.cannotWrite(
                file: folder.path, reason: String(cString: strerror(errno)))
        }
        // What is thrown from here on lets go of the object, which closes the file.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw RunError.busy(folder: folder.path)
        }
        isHeld = true
    }

    deinit {
        if isHeld { removeTraces() }
        guard descriptor >= 0 else { return }
        // A program that is just being started still holds what this process had open.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Removes what only this run made, if there is nothing else; a failure leaves a file of 0 bytes.
    private func removeTraces() {
        guard !before.contains(Self.name),
            case .success(let names) = Result(catching: { try folder.names() }),
            names.filter({ $0 != Self.name }) == before
        else { return }
        unlink(folder.place(Self.name))
        for path in made where rmdir(path) != 0 { return }
    }
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
