import Logging
import Synchronization
import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How lines of the log look.
public enum LogFormat: String, Sendable, CaseIterable {
    /// One JSON object a line.
    case json
    /// For people.
    case text
}

/// Writes events of the log as lines, each with one call of the system.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    let format: LogFormat
    let write: @Sendable (String) -> Void

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let fields = all.sorted { $0.key < $1.key }
        let time = Timestamp.now
        switch format {
        case .json:
            var entries: [(key: String, value: JSONOutput)] = [
                ("time", .string(time)), ("level", .string(event.level.rawValue)),
                ("message", .string(event.message.description)),
            ]
            entries += fields.map { (key: $0.key, value: Self.json($0.value)) }
            write(JSONOutput.object(entries).description + "\n")
        case .text:
            var line = "\(time) \(event.level.rawValue) \(event.message)"
            for (key, value) in fields { line += " \(key)=\(Self.word(value))" }
            write(line + "\n")
        }
    }

    /// Numbers stay numbers.
    private static func json(_ value: Logger.MetadataValue) -> JSONOutput {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let value):
            switch value {
            case let number as Int: .integer(number)
            case let number as Double: .double(number)
            case let flag as Bool: .bool(flag)
            default: .string(value.description)
            }
        case .array(let values): .array(values.map(json))
        case .dictionary(let values):
            .object(values.sorted { $0.key < $1.key }.map { ($0.key, json($0.value)) })
        }
    }

    /// A value that cannot be taken for two, nor for another line.
    private static func word(_ value: Logger.MetadataValue) -> String {
        let text = value.description
        let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "=" }
        return isPlain && !text.isEmpty ? text : JSONOutput.string(text).description
    }
}

/// The time of day as RFC 3339 has it, in UTC, to the millisecond.
enum Timestamp {
    static var now: String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        var seconds = time.tv_sec
        gmtime_r(&seconds, &parts)
        func padded(_ value: Int32, _ width: Int = 2) -> String {
            let digits = "\(value)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date =
            "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1))-"
            + padded(parts.tm_mday)
        let clock = "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
        return "\(date)T\(clock).\(padded(Int32(time.tv_nsec / 1_000_000), 3))Z"
    }
}

/// Makes the server's logger.
public enum ServerLog {
    /// How much is logged, least last.
    public enum Level: String, Sendable, CaseIterable {
        case trace
        case debug
        case info
        case warning
        case error

        var level: Logger.Level {
            switch self {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .warning: .warning
            case .error: .error
            }
        }
    }

    /// A logger whose lines go to `write`, standard error by default.
    static func logger(
        format: LogFormat, level: Level,
        write: @escaping @Sendable (String) -> Void = standardError
    ) -> Logger {
        Logger(label: "yuyan") { _ in
            LineLogHandler(logLevel: level.level, format: format, write: write)
        }
    }

    /// Writes all of a line, in one piece where the system allows.
    private static func standardError(_ line: String) {
        let bytes = Array(line.utf8)
        var start = 0
        bytes.withUnsafeBytes { bytes in
            while start < bytes.count, let base = bytes.baseAddress {
                let count = write(2, base + start, bytes.count - start)
                guard count > 0 else { return }
                start += count
            }
        }
    }
}
