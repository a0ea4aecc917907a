import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a run logs, for TensorBoard too: a file in the folder `runs`.
final class EventLog {
    private let file: EventFile

    private init(_ file: EventFile) { self.file = file }

    /// Begins a file; nil if the recipe wants none.
    ///
    /// - Parameter step: Where a run goes on; readers forget what older files say of later steps.
    /// - Throws: `FormatError.cannotWrite`.
    static func of(_ recipe: Recipe, in folder: RunFolder, after step: Int) throws -> EventLog? {
        guard recipe.run.reportTo.contains(where: { $0 == "tensorboard" || $0 == "all" }) else {
            return nil
        }
        let place = folder.place("runs")
        try createFolder(place)
        return EventLog(
            try EventFile(
                folder: place, host: hostName, process: Int(getpid()), after: step, time: now))
    }

    /// Appends every number of a step.
    func append(_ entry: MetricsEntry) throws {
        let scalars = (entry.metrics + entry.measurements).compactMap { key, value in
            value.number.map { (tag: Self.tag(key), value: Float($0)) }
        }
        try file.append(scalars, step: entry.step, time: Self.now)
    }

    /// As transformers' TensorBoard callback names them: `eval_loss` is `eval/loss`.
    private static func tag(_ key: String) -> String {
        key.hasPrefix("eval_") ? "eval/" + key.dropFirst(5) : "train/" + key
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "host" }
        let text = String(
            decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.isEmpty ? "host" : text
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension JSONOutput {
    /// The value of a number.
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .double(let value): value
        case .float(let value): Double(value)
        default: nil
        }
    }
}
