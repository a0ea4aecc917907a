import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What is logged of one step: what the run decides, then what the machine does.
public struct MetricsEntry: Sendable {
    /// Counted from 1.
    public var step: Int
    /// Functions of recipe, data and step; equal in every run, however often it was killed.
    public var metrics: [(key: String, value: JSONOutput)]
    /// Times and sizes of memory, which no two runs share.
    public var measurements: [(key: String, value: JSONOutput)]

    /// One entry.
    public init(
        step: Int, metrics: [(key: String, value: JSONOutput)],
        measurements: [(key: String, value: JSONOutput)] = []
    ) {
        self.step = step
        self.metrics = metrics
        self.measurements = measurements
    }

    /// The part that is the same in every run, as `trainer_state.json` keeps it.
    public var deterministic: JSONOutput {
        .object([("step", .integer(step))] + metrics)
    }

    /// One line of `metrics.jsonl`, without its end.
    public var line: String {
        JSONOutput.object([("step", .integer(step))] + metrics + measurements).description
    }
}

/// `metrics.jsonl`: one object a line, in the order of steps.
package final class MetricsLog {
    private let file: LineFile

    /// Opens the log to go on after `step`: what follows, and a torn last line, is removed.
    ///
    /// - Parameters:
    ///   - step: Lines of later steps go; -1 empties the log.
    ///   - count: Most lines to keep: those that the checkpoint of `step` knows of.
    /// - Throws: `FormatError.cannotOpen`, `.cannotWrite`.
    package init(path: String, after step: Int, keeping count: Int? = nil) throws {
        try Self.cut(path, after: step, keeping: count)
        file = try LineFile(path: path)
    }

    /// Appends one line.
    package func append(_ entry: MetricsEntry) throws { try file.append(entry.line) }

    /// Waits until all lines are on disk.
    package func synchronise() throws { try file.synchronise() }

    private static func cut(_ path: String, after step: Int, keeping count: Int?) throws {
        guard access(path, F_OK) == 0 else { return }
        let file = try MappedFile(path: path)
        let bytes = file.withBytes { all in all.withUnsafeBytes { Array($0) } }
        var kept: [UInt8] = []
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast()
        for line in lines.prefix(count ?? lines.count) {
            guard let document = try? JSONDocument(bytes: Array(line), name: path),
                let found = document.root["step"]?.int, found <= step
            else { break }
            kept += line + [0x0A]
        }
        guard kept.count < bytes.count else { return }
        try writeAtomically(path) { try $0.write(kept) }
    }
}
