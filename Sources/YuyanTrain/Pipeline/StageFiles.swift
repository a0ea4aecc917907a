import YuyanFormats
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Fingerprints of what stages read and leave.
enum StageFiles {
    /// Files of a run's folder that no later run reads, and that may differ where results do not.
    private static let records: Set<String> = [
        "metrics.jsonl", "recipe.yaml", "report.html", "samples.json", "trainer_state.json",
        SamplingSummary.name, SamplingJournal.name, MergedAdapters.name,
    ]

    /// Of the names and bytes of a stage's result; nil if there is none.
    ///
    /// - Throws: `FormatError` if a file cannot be read.
    static func result(in folder: String) throws -> String? {
        let run = RunFolder(folder)
        var hash = StableHash()
        var count = 0
        for name in try run.names() where !records.contains(name) && !name.hasPrefix(".") {
            var status = stat()
            guard stat(run.place(name), &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                continue
            }
            for byte in name.utf8 { hash.add(byte) }
            try add(run.place(name), to: &hash)
            count += 1
        }
        return count == 0 ? nil : String(hash.value, radix: 16)
    }

    /// Of the bytes of all rows that a recipe reads; of streamed ones the first and last 64 KiB.
    ///
    /// - Throws: `DataError` if a data set is not there, `FormatError` if it cannot be read.
    static func data(of recipe: Recipe, fetchedFolder: String?) throws -> String {
        let info = try DatasetInfo(folder: recipe.data.folder, fetched: fetchedFolder)
        var hash = StableHash()
        for name in recipe.data.sets + recipe.data.evaluationSets {
            for path in try info.definition(of: name).files {
                try add(path, to: &hash, isWhole: !recipe.data.streaming)
            }
        }
        return String(hash.value, radix: 16)
    }

    private static func add(_ path: String, to hash: inout StableHash, isWhole: Bool = true) throws
    {
        let file = try MappedFile(path: path)
        hash.add(UInt64(file.count))
        let end = min(file.count, 1 << 16)
        let ranges = isWhole ? [0..<file.count] : [0..<end, file.count - end..<file.count]
        for range in ranges {
            file.withUnsafeBytes(in: range) { for byte in $0 { hash.add(byte) } }
        }
    }
}
