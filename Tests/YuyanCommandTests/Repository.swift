import TestSupport
import YuyanFormats

/// The repository as its documentation describes it.
enum Repository {
    /// Absolute path of a file or folder of the repository.
    static func path(_ name: String, source: String = #filePath) -> String {
        var folder = source.split(separator: "/", omittingEmptySubsequences: false)
        folder.removeLast(3)
        return folder.joined(separator: "/") + "/" + name
    }

    static func text(_ name: String) throws -> String {
        let file = try MappedFile(path: path(name))
        return file.withUnsafeBytes(in: 0..<file.count) { String(decoding: $0, as: UTF8.self) }
    }

    /// The Swift and C files under a folder, as paths from the root of the repository.
    static func sources(under folder: String) -> [String] {
        itemNames(in: path(folder)).flatMap { name in
            let inner = folder + "/" + name
            if isSource(name) { return [inner] }
            return sources(under: inner)
        }
    }

    static func isSource(_ name: String) -> Bool {
        [".swift", ".c", ".h"].contains { name.hasSuffix($0) }
    }
}
