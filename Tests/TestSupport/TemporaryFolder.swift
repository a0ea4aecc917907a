#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A new folder that is removed with everything in it when this object goes away.
package final class TemporaryFolder {
    package let path: String

    package init() {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        path = parent + "/yuyan-test-" + String(UInt64.random(in: .min ... .max), radix: 36)
        precondition(mkdir(path, 0o700) == 0, "cannot create \(path)")
    }

    deinit { remove(path) }

    /// Creates a file and returns its path.
    package func file(_ name: String, _ bytes: [UInt8]) -> String {
        let target = path + "/" + name
        // Under another name first: somebody may still have the old file mapped.
        let stream = fopen(target + ".new", "wb")
        precondition(stream != nil, "cannot create \(target)")
        precondition(fwrite(bytes, 1, bytes.count, stream) == bytes.count, "cannot write \(target)")
        fclose(stream)
        precondition(rename(target + ".new", target) == 0, "cannot rename to \(target)")
        return target
    }

    /// The names of the files in this folder.
    package var names: [String] { itemNames(in: path) }

    private func remove(_ item: String) {
        for name in itemNames(in: item) { remove(item + "/" + name) }
        if unlink(item) != 0 { rmdir(item) }
    }
}

/// The sorted names of what is in a folder, or nothing if `path` is none.
package func itemNames(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
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
