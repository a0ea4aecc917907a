#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where a command is to put what takes long to make.
enum OutputPath {
    /// Refuses a folder that holds something, before any work is done for it.
    ///
    /// Files are replaced in one step, so those need no check.
    static func check(_ path: String) throws {
        guard let folder = opendir(path) else { return }
        defer { closedir(folder) }
        var count = 0
        // Every folder has an entry for itself and one for its parent.
        while readdir(folder) != nil { count += 1 }
        guard count <= 2 else {
            throw CommandError.badArgument("\(path) exists and is not empty; choose another name")
        }
    }
}
