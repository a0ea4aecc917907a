import Synchronization
import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A local program that answers by a protocol of lines: for each request a JSON object with an `id`, and
/// one with the same `id` back, in any order, soon enough.
///
/// It is started once and lives until it crashes, hangs, or says anything else, whereupon it and its
/// children are killed; it is started again a bounded number of times. Requests that it has answered by
/// then keep their answers.
final class LineProgram: Sendable {
    struct Limits: Sendable {
        /// For all requests of one call, starting included.
        var time = Duration.seconds(10)
        /// Bytes of address space.
        var memory = 1 << 30
        /// Starts after the first, over the life of the program.
        var restarts = 3
        /// Bytes of a line of the program.
        var lineBytes = 1 << 16
    }

    /// What messages call things.
    struct Wording: Sendable {
        /// Several requests.
        let requests: String
        /// A right line of the program.
        let form: String
    }

    /// What a line of the program says of its request.
    enum Reading<Answer: Sendable>: Sendable {
        case answer(Answer)
        /// The program, or the answer, is at fault for this request alone.
        case refusal(String)
        /// The program does not keep to the protocol.
        case nonsense(String)
    }

    /// What became of a request.
    enum Outcome<Answer: Sendable>: Sendable {
        case answer(Answer)
        /// The program answered, but with a fault.
        case refused(String)
        /// The program did not answer: it hung, crashed or said something else.
        case broken(String)
    }

    private let command: [String]
    private let limits: Limits
    private let wording: Wording
    private let stop: StopRequest
    private let session: Mutex<Session>

    /// - Parameters:
    ///   - command: Path and arguments; a path without a slash is looked up in `PATH`.
    ///   - stop: Kills the program; what it has not answered by then is broken.
    /// - Throws: `RewardFault` if there is no such program.
    init(
        _ command: [String], limits: Limits, wording: Wording, stop: StopRequest = StopRequest()
    ) throws {
        self.limits = limits
        self.wording = wording
        self.stop = stop
        self.command = [try Self.executable(command.first ?? "")] + command.dropFirst()
        session = Mutex(Session())
    }

    /// Asks everything at once; one outcome for each request, in order.
    ///
    /// - Parameters:
    ///   - requests: The fields of each, without its id.
    ///   - read: What a line says, given its id.
    func ask<Answer: Sendable>(
        _ requests: [[(key: String, value: JSONOutput)]],
        read: @Sendable (_ id: Int, _ line: JSONCursor) -> Reading<Answer>
    ) -> [Outcome<Answer>] {
        session.withLock { session in
            var batch = Batch<Answer>(requests, firstID: session.nextID, form: wording.form)
            session.nextID += requests.count
            let deadline = ContinuousClock.now + limits.time
            while !batch.isDone {
                do {
                    try stop.check()
                    try session.start(command, limits)
                } catch {
                    batch.failRest("\(error)")
                    break
                }
                let what = session.run(
                    &batch, limits, wording, until: deadline, stop, read)
                guard let what else { break }
                batch.fail(session.stop("\(what)"), isOnlyFirst: what.isCrash)
            }
            return batch.outcomes.map { $0 ?? .broken("the program did not answer") }
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

extension LineProgram {
    /// Why a program had to be stopped.
    private enum Stop: CustomStringConvertible {
        case crash(String)
        case hang(String)
        case nonsense(String)
        /// Somebody asked the run to stop.
        case request(Interruption)

        /// Whether another try at the rest makes sense.
        var isCrash: Bool {
            if case .crash = self { true } else { false }
        }

        var description: String {
            switch self {
            case .crash(let text), .hang(let text), .nonsense(let text): text
            case .request(let interruption): "\(interruption)"
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
        mutating func run<Answer>(
            _ batch: inout Batch<Answer>, _ limits: Limits, _ wording: Wording,
            until deadline: ContinuousClock.Instant, _ stop: StopRequest,
            _ read: @Sendable (Int, JSONCursor) -> Reading<Answer>
        ) -> Stop? {
            let requests = batch.requests
            var sent = 0
            while !batch.isDone {
                do { try stop.check() } catch { return .request(error) }
                let left = deadline - ContinuousClock.now
                guard left > .zero else {
                    return .hang(
                        "\(batch.answered) of \(batch.count) \(wording.requests) were answered "
                            + "within \(limits.time); make it faster, or raise `timeout`")
                }
                // Short waits, so that an end is noticed even if a child holds the pipe open.
                let patience = min(Int32(left / .milliseconds(1)) + 1, 20)
                let round =
                    process?.exchange(requests[sent...], patience: patience)
                    ?? ProgramProcess.Round(isClosed: true)
                sent += round.written
                line += round.answer
                if let what = takeLines(&batch, limits, read) { return what }
                if batch.isDone { return nil }
                guard round.answer.isEmpty else { continue }
                process?.checkEnding()
                if let ending = process?.ending {
                    return lastWords(&batch, limits, read) ?? .crash("the program \(ending)")
                }
                if round.isClosed { return closed() }
            }
            return nil
        }

        /// Reads what a program left in its pipe when it ended.
        private mutating func lastWords<Answer>(
            _ batch: inout Batch<Answer>, _ limits: Limits,
            _ read: @Sendable (Int, JSONCursor) -> Reading<Answer>
        ) -> Stop? {
            // A pipe holds 64 KiB unless somebody has enlarged it.
            for _ in 0..<64 {
                guard let round = process?.exchange([], patience: 0), !round.answer.isEmpty else {
                    break
                }
                line += round.answer
                if let what = takeLines(&batch, limits, read) { return what }
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

        private mutating func takeLines<Answer>(
            _ batch: inout Batch<Answer>, _ limits: Limits,
            _ read: @Sendable (Int, JSONCursor) -> Reading<Answer>
        ) -> Stop? {
            var start = 0
            defer { line.removeFirst(start) }
            while let end = line[start...].firstIndex(of: 0x0A) {
                let bytes = Array(line[start..<end])
                start = end + 1
                guard bytes.count <= limits.lineBytes else { return Self.tooLong(limits) }
                if let what = batch.take(bytes, read) { return .nonsense(what) }
            }
            return line.count - start > limits.lineBytes ? Self.tooLong(limits) : nil
        }

        private static func tooLong(_ limits: Limits) -> Stop {
            .nonsense("a line of the program has more than \(limits.lineBytes) bytes")
        }
    }

    /// The requests of one call.
    private struct Batch<Answer: Sendable> {
        private let fields: [[(key: String, value: JSONOutput)]]
        private let firstID: Int
        private let form: String
        private(set) var outcomes: [Outcome<Answer>?]
        /// How many were answered, well or badly.
        private(set) var answered = 0

        init(_ fields: [[(key: String, value: JSONOutput)]], firstID: Int, form: String) {
            self.fields = fields
            self.firstID = firstID
            self.form = form
            outcomes = fields.map { _ in nil }
        }

        var count: Int { fields.count }
        var isDone: Bool { outcomes.allSatisfy { $0 != nil } }

        /// A line for each request that is open.
        var requests: [UInt8] {
            var bytes: [UInt8] = []
            for (row, fields) in fields.enumerated() where outcomes[row] == nil {
                let line = [("id", JSONOutput.integer(firstID + row))] + fields
                bytes += Array(JSONOutput.object(line).description.utf8) + [0x0A]
            }
            return bytes
        }

        /// Takes a line of the program; returns what is wrong with it.
        mutating func take(
            _ bytes: [UInt8], _ read: @Sendable (Int, JSONCursor) -> Reading<Answer>
        ) -> String? {
            guard let document = Self.document(bytes), document.root.kind == .object,
                let id = document.root["id"]?.int
            else {
                let text = String(decoding: bytes.prefix(100), as: UTF8.self)
                return "the program wrote '\(text)', expected \(form); other output belongs on "
                    + "standard error"
            }
            let row = id - firstID
            guard outcomes.indices.contains(row), outcomes[row] == nil else {
                return "the program answered id \(id), which "
                    + (outcomes.indices.contains(row) ? "has its answer" : "was not asked")
            }
            if let error = document.root["error"], !error.isNull {
                outcomes[row] = .refused("the program says: \(error.string ?? "\(error.kind)")")
                return nil
            }
            switch read(id, document.root) {
            case .answer(let answer):
                outcomes[row] = .answer(answer)
                answered += 1
            case .refusal(let what): outcomes[row] = .refused(what)
            case .nonsense(let what): return what
            }
            return nil
        }

        /// A line as JSON; what Python writes for numbers that JSON has not becomes text.
        private static func document(_ bytes: [UInt8]) -> JSONDocument? {
            if let document = try? JSONDocument(bytes: bytes, name: "line") { return document }
            let words = String(decoding: bytes, as: UTF8.self)
                .replacing("-Infinity", with: "\"-I\"").replacing("Infinity", with: "\"I\"")
                .replacing("\"-I\"", with: "\"-Infinity\"").replacing("\"I\"", with: "\"Infinity\"")
                .replacing("NaN", with: "\"NaN\"")
            return try? JSONDocument(bytes: Array(words.utf8), name: "line")
        }

        /// Closes the first open request, or all of them.
        mutating func fail(_ what: String, isOnlyFirst: Bool) {
            guard let first = outcomes.firstIndex(where: { $0 == nil }) else { return }
            outcomes[first] = .broken(what)
            if !isOnlyFirst { failRest(what) }
        }

        mutating func failRest(_ what: String) {
            for row in outcomes.indices where outcomes[row] == nil { outcomes[row] = .broken(what) }
        }
    }
}

extension LineProgram {
    /// The program of an entry of a recipe: its keys `program`, `arguments` and limits.
    ///
    /// - Parameters:
    ///   - example: What a path may look like.
    ///   - limits: Those that hold if the entry says nothing.
    convenience init(
        _ settings: inout RewardSettings, example: String, limits: Limits = Limits(),
        wording: Wording
    ) throws(RecipeError) {
        let program = try settings.value("program", "")
        guard !program.isEmpty else {
            throw settings.fault("program", "nothing", expected: "a path, such as \(example)")
        }
        let arguments = try settings.value("arguments", [String]())
        var limits = limits
        let seconds = try settings.value("timeout", limits.time / .seconds(1))
        guard seconds > 0, seconds <= 86_400 else {
            throw settings.fault("timeout", "\(seconds)", expected: "seconds, above 0")
        }
        limits.time = .milliseconds(Int64(max(1, seconds * 1000)))
        limits.memory = try settings.value("memory", ByteCount(limits.memory)).bytes
        limits.restarts = try settings.value("restarts", limits.restarts, atLeast: 0)
        limits.lineBytes = try settings.value("max_line", limits.lineBytes, atLeast: 64)
        do {
            try self.init(
                [program] + arguments, limits: limits, wording: wording,
                stop: settings.host.stop)
        } catch {
            throw settings.fault("program", "'\(program)'", expected: "a program: \(error)")
        }
    }
}
