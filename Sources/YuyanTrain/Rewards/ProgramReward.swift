import Synchronization
import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The scores of a local program, by a protocol of lines.
///
/// For each completion the program reads one JSON object a line, `{"id", "prompt", "completion",
/// "tokens", "ended"}` and the row's columns (a column of one of these names is left out), and answers
/// with `{"id", "score"}` or `{"id", "error"}` a line, in any order, soon enough; a score of null means
/// that the function does not apply. It is started once and lives until it crashes, hangs, or says
/// anything else, whereupon it and its children are killed; it is started again a bounded number of
/// times. Rows that it has answered by then keep their scores.
final class ProgramReward: RewardFunction {
    struct Limits: Sendable {
        /// For a whole batch, starting included.
        var time = Duration.seconds(10)
        /// Bytes of address space.
        var memory = 1 << 30
        /// Starts after the first, over the life of the function.
        var restarts = 3
        /// Bytes of a line of the program.
        var lineBytes = 1 << 16
    }

    let name: String
    private let command: [String]
    private let limits: Limits
    private let session: Mutex<Session>

    /// - Parameter command: Path and arguments; a path without a slash is looked up in `PATH`.
    /// - Throws: `RewardFault` if there is no such program.
    init(name: String, command: [String], limits: Limits = Limits()) throws {
        self.name = name
        self.limits = limits
        self.command = [try Self.executable(command.first ?? "")] + command.dropFirst()
        session = Mutex(Session())
    }

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        try session.withLock { session in
            var batch = Batch(completions, firstID: session.nextID)
            session.nextID += completions.count
            let deadline = ContinuousClock.now + limits.time
            while !batch.isDone {
                do {
                    try session.start(command, limits)
                } catch {
                    batch.failRest("\(error)")
                    break
                }
                guard let what = session.run(&batch, limits, until: deadline) else { break }
                batch.fail(session.stop("\(what)"), isOnlyFirst: what.isCrash)
            }
            guard batch.faults.isEmpty else {
                throw PartialRewards(scores: batch.scores, faults: batch.faults)
            }
            return batch.scores
        }
    }

    /// The absolute path of a program.
    private static func executable(_ word: String) throws -> String {
        guard !word.isEmpty else { throw RewardFault("no program is named") }
        var candidates = [word]
        if !word.contains("/") {
            let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
            candidates = path.split(separator: ":").map { "\($0)/\(word)" }
        }
        for candidate in candidates where access(candidate, X_OK) == 0 {
            guard let real = realpath(candidate, nil) else { continue }
            defer { free(real) }
            // A link's own name may matter to a program, but the working folder changes.
            return candidate.hasPrefix("/") ? candidate : String(cString: real)
        }
        let reason = access(word, F_OK) == 0 ? "not executable; try chmod +x" : "not there"
        throw RewardFault("the program '\(word)' is \(reason)")
    }
}

extension ProgramReward {
    /// Why a program had to be stopped.
    private enum Stop: CustomStringConvertible {
        case crash(String)
        case hang(String)
        case nonsense(String)

        /// Whether another try at the rest makes sense.
        var isCrash: Bool {
            if case .crash = self { true } else { false }
        }

        var description: String {
            switch self {
            case .crash(let text), .hang(let text), .nonsense(let text): text
            }
        }
    }

    /// The program, if it runs, and how often it may still be started.
    private struct Session {
        var process: ProgramProcess?
        var folder: WorkFolder?
        var starts = 0
        var nextID = 0
        /// Bytes of a line whose end has not come yet.
        var line: [UInt8] = []
        /// Why it was stopped last.
        var lastStop = ""

        mutating func start(_ command: [String], _ limits: Limits) throws {
            process?.checkEnding()
            if let ending = process?.ending { _ = stop("the program \(ending) between batches") }
            if process != nil { return }
            guard starts <= limits.restarts else {
                throw RewardFault(
                    "the program was restarted \(limits.restarts) times and is given up; mend it, "
                        + "or raise `restarts`; the last time \(lastStop)")
            }
            starts += 1
            let folder = try self.folder ?? WorkFolder()
            self.folder = folder
            line = []
            process = try ProgramProcess(command, folder: folder.path, memory: limits.memory)
        }

        /// Ends the program; returns the reason with the end of its complaints.
        mutating func stop(_ what: String) -> String {
            process?.readComplaint()
            let bytes = process?.complaint ?? []
            process = nil
            let text = stripped(String(decoding: bytes, as: UTF8.self))
            lastStop = what + (text.isEmpty ? "" : "; its standard error ends: \(text)")
            return lastStop
        }

        /// Sends what is unanswered and reads answers; nil once all are there.
        mutating func run(
            _ batch: inout Batch, _ limits: Limits, until deadline: ContinuousClock.Instant
        ) -> Stop? {
            let requests = batch.requests
            var sent = 0
            while !batch.isDone {
                let left = deadline - ContinuousClock.now
                guard left > .zero else {
                    return .hang(
                        "\(batch.answered) of \(batch.count) rows were answered within "
                            + "\(limits.time); make it faster, or raise `timeout`")
                }
                // Short waits, so that an end is noticed even if a child holds the pipe open.
                let patience = min(Int32(left / .milliseconds(1)) + 1, 20)
                let round =
                    process?.exchange(requests[sent...], patience: patience)
                    ?? ProgramProcess.Round(isClosed: true)
                sent += round.written
                line += round.answer
                if let what = takeLines(&batch, limits) { return what }
                if batch.isDone { return nil }
                guard round.answer.isEmpty else { continue }
                process?.checkEnding()
                if let ending = process?.ending {
                    return lastWords(&batch, limits) ?? .crash("the program \(ending)")
                }
                if round.isClosed { return closed() }
            }
            return nil
        }

        /// Reads what a program left in its pipe when it ended.
        private mutating func lastWords(_ batch: inout Batch, _ limits: Limits) -> Stop? {
            // A pipe holds 64 KiB unless somebody has enlarged it.
            for _ in 0..<64 {
                guard let round = process?.exchange([], patience: 0), !round.answer.isEmpty else {
                    break
                }
                line += round.answer
                if let what = takeLines(&batch, limits) { return what }
            }
            return nil
        }

        /// The program answers nothing more, but may not have ended yet.
        private mutating func closed() -> Stop {
            for _ in 0..<20 {
                process?.checkEnding()
                if let ending = process?.ending { return .crash("the program \(ending)") }
                usleep(5000)
            }
            return .crash("the program closed its standard output")
        }

        private mutating func takeLines(_ batch: inout Batch, _ limits: Limits) -> Stop? {
            var start = 0
            defer { line.removeFirst(start) }
            while let end = line[start...].firstIndex(of: 0x0A) {
                let bytes = Array(line[start..<end])
                start = end + 1
                guard bytes.count <= limits.lineBytes else { return Self.tooLong(limits) }
                if let what = batch.take(bytes) { return .nonsense(what) }
            }
            return line.count - start > limits.lineBytes ? Self.tooLong(limits) : nil
        }

        private static func tooLong(_ limits: Limits) -> Stop {
            .nonsense("a line of the program has more than \(limits.lineBytes) bytes")
        }
    }

    /// The rows of one call.
    private struct Batch {
        private let completions: [ScoredCompletion]
        private let firstID: Int
        private(set) var scores: [Double?]
        private(set) var faults: [Int: String] = [:]
        private var isOpen: [Bool]
        private(set) var answered = 0

        init(_ completions: [ScoredCompletion], firstID: Int) {
            self.completions = completions
            self.firstID = firstID
            scores = completions.map { _ in nil }
            isOpen = completions.map { _ in true }
        }

        var count: Int { completions.count }
        var isDone: Bool { answered + faults.count == count }

        /// A line for each row that has neither score nor fault.
        var requests: [UInt8] {
            var bytes: [UInt8] = []
            for (row, completion) in completions.enumerated() where isOpen[row] {
                var fields: [(key: String, value: JSONOutput)] = [
                    ("id", .integer(firstID + row)), ("prompt", .string(completion.prompt)),
                    ("completion", .string(completion.text)),
                    ("tokens", .integer(completion.tokens.count)),
                    ("ended", .bool(completion.hasEnded)),
                ]
                let own = Set(fields.map(\.key))
                fields += completion.columns.filter { !own.contains($0.key) }
                    .map { ($0.key, JSONOutput(copying: $0.value)) }
                bytes += Array(JSONOutput.object(fields).description.utf8) + [0x0A]
            }
            return bytes
        }

        /// Takes a line of the program; returns what is wrong with it.
        mutating func take(_ bytes: [UInt8]) -> String? {
            guard let document = Self.document(bytes), document.root.kind == .object,
                let id = document.root["id"]?.int
            else {
                let text = String(decoding: bytes.prefix(100), as: UTF8.self)
                return "the program wrote '\(text)', expected {\"id\": …, \"score\": …}; other "
                    + "output belongs on standard error"
            }
            let row = id - firstID
            guard isOpen.indices.contains(row), isOpen[row] else {
                return "the program answered id \(id), which "
                    + (isOpen.indices.contains(row) ? "has its answer" : "was not asked")
            }
            if let error = document.root["error"], !error.isNull {
                faults[row] = "the program says: \(error.string ?? "\(error.kind)")"
            } else if let text = document.root["score"]?.string, Self.notFinite.contains(text) {
                faults[row] = "the score is \(text), expected a finite number"
            } else if let score = document.root["score"], score.isNull || score.kind == .number {
                // A number beyond the largest double is infinite, which nobody accepts.
                scores[row] = score.isNull ? nil : score.double ?? .infinity
                answered += 1
            } else {
                return "the program answered id \(id) without a number as score"
            }
            isOpen[row] = false
            return nil
        }

        private static let notFinite = ["-Infinity", "Infinity", "NaN"]

        /// A line as JSON; what Python writes for numbers that JSON has not becomes text.
        private static func document(_ bytes: [UInt8]) -> JSONDocument? {
            if let document = try? JSONDocument(bytes: bytes, name: "line") { return document }
            let words = String(decoding: bytes, as: UTF8.self)
                .replacing("-Infinity", with: "\"-I\"").replacing("Infinity", with: "\"I\"")
                .replacing("\"-I\"", with: "\"-Infinity\"").replacing("\"I\"", with: "\"Infinity\"")
                .replacing("NaN", with: "\"NaN\"")
            return try? JSONDocument(bytes: Array(words.utf8), name: "line")
        }

        /// Closes the first open row, or all of them.
        mutating func fail(_ what: String, isOnlyFirst: Bool) {
            guard let first = isOpen.firstIndex(of: true) else { return }
            faults[first] = what
            isOpen[first] = false
            if !isOnlyFirst { failRest(what) }
        }

        mutating func failRest(_ what: String) {
            for row in isOpen.indices where isOpen[row] {
                faults[row] = what
                isOpen[row] = false
            }
        }
    }
}

extension ProgramReward: ConfiguredReward {
    static let kind = "program"

    convenience init(_ settings: inout RewardSettings) throws(RecipeError) {
        let program = try settings.value("program", "")
        guard !program.isEmpty else {
            throw settings.fault("program", "nothing", expected: "a path, such as ./reward.py")
        }
        let arguments = try settings.value("arguments", [String]())
        var limits = Limits()
        let seconds = try settings.value("timeout", 10.0)
        guard seconds > 0, seconds <= 86_400 else {
            throw settings.fault("timeout", "\(seconds)", expected: "seconds, above 0")
        }
        limits.time = .milliseconds(Int64(max(1, seconds * 1000)))
        limits.memory = try settings.value("memory", ByteCount(limits.memory)).bytes
        limits.restarts = try settings.value("restarts", limits.restarts, atLeast: 0)
        limits.lineBytes = try settings.value("max_line", limits.lineBytes, atLeast: 64)
        do {
            try self.init(name: settings.label, command: [program] + arguments, limits: limits)
        } catch {
            throw settings.fault("program", "'\(program)'", expected: "a program: \(error)")
        }
    }
}

/// An amount of memory as people write it: `512MB`, `2 GiB`, `1000000`.
private struct ByteCount: RecipeValue {
    let bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    static var expectation: String { "an amount of memory of 1 MB or more, such as 512MB or 2GiB" }

    init?(_ node: YAMLNode) {
        guard let text = String(node)?.lowercased().filter({ $0 != " " }) else { return nil }
        let units = [
            "": 1, "b": 1, "k": 1 << 10, "kb": 1000, "kib": 1 << 10, "m": 1 << 20,
            "mb": 1_000_000, "mib": 1 << 20, "g": 1 << 30, "gb": 1_000_000_000, "gib": 1 << 30,
        ]
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let unit = units[String(text.dropFirst(digits.count))], let number = Int(digits),
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit), !overflow,
            bytes >= 1_000_000
        else { return nil }
        self.bytes = bytes
    }

    var node: YAMLNode { .scalar("\(bytes)", isQuoted: false, line: 0) }
}
