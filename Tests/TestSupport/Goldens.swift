import YuyanFormats

/// Where the small reference files made by `Tools/goldens` live.
package enum Goldens {
    /// Absolute path of a file or folder under `Tests/Goldens`.
    package static func path(_ name: String) -> String {
        // From this file, not the caller's: suites lie at several depths.
        var folder = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        folder.removeLast(2)
        return folder.joined(separator: "/") + "/Goldens/" + name
    }
}
