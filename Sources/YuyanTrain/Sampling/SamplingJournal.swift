import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The batches of a sampling run that are done, a line each: `journal.jsonl`.
///
/// The first line says what the run is made of. A batch counts once its line is whole, and its line is on
/// disk before the next begins; the run's files are made from the lines alone, so they do not show how
/// often it was stopped.
struct SamplingJournal {
    static let name = "journal.jsonl"

    /// Where a run stands.
    struct State: Sendable, Hashable {
        /// Of the data that it answers.
        var fingerprint: String
        /// What renders them; nil in journals that do not say.
        var template: TemplateDigest?
        /// Batches that are done.
        var batches = 0
        /// The first prompt that is not answered.
        var cursor = DataCursor()
        var promptCount = 0
        var tokenCount = 0
        /// Bytes of whole lines.
        fileprivate(set) var byteCount = 0

        init(fingerprint: String, template: TemplateDigest?) {
            self.fingerprint = fingerprint
            self.template = template
        }
    }

    private let path: String
    private let file: LineFile

    /// Begins a journal, or goes on behind the last whole batch of one.
    ///
    /// - Throws: `FormatError.cannotWrite`.
    init(path: String, from state: State) throws {
        self.path = path
        if state.byteCount == 0 {
            var header: [(key: String, value: JSONOutput)] = [
                ("version", .integer(Self.version)),
                ("data_fingerprint", .string(state.fingerprint)),
            ]
            if let template = state.template { header.append(("template", template.json)) }
            let line = JSONOutput.object(header).description
            try writeAtomically(path) { try $0.write(line + "\n") }
            file = try LineFile(path: path)
        } else {
            file = try LineFile(path: path, keeping: state.byteCount)
        }
    }

    /// Appends a batch and waits until it is on disk.
    func append(_ batch: SampledBatch) throws(FormatError) {
        try file.append(batch.json.description)
        try file.synchronise()
    }

    private static let version = 1

    /// Finds out where a run stands; nil if there is no journal.
    ///
    /// What is not whole, and all that is behind it, is as if it were not there.
    ///
    /// - Throws: `FormatError` if the file cannot be read, or its first line is not a journal's.
    static func state(_ path: String) throws -> State? {
        guard access(path, F_OK) == 0 else { return nil }
        var state: State?
        try forEachLine(path) { line, end in
            guard var known = state else {
                guard try line.int("version") == version else {
                    throw FormatError.unsupportedVersion(
                        file: path, found: "a journal of version \(try line.int("version"))",
                        supported: "\(version)")
                }
                state = State(
                    fingerprint: try line.string("data_fingerprint"),
                    template: try TemplateDigest(in: line))
                state?.byteCount = end
                return true
            }
            guard line["batch"]?.int == known.batches + 1 else { return false }
            known.batches += 1
            known.cursor = try DataCursor(json: line.object("cursor"))
            known.promptCount = try line.int("num_prompts")
            known.tokenCount = try line.int("num_tokens")
            known.byteCount = end
            state = known
            return true
        }
        guard let state else {
            throw FormatError.truncated(
                file: path, what: "the first line", offset: 0, needed: 1, have: 0)
        }
        return state
    }

    /// Calls `body` with each batch, in order.
    static func forEachBatch(_ path: String, _ body: (JSONCursor) throws -> Void) throws {
        var isHeader = true
        try forEachLine(path) { line, _ in
            if !isHeader { try body(line) }
            isHeader = false
            return true
        }
    }

    /// Calls `body` with each prompt of each batch, in order.
    static func forEachPrompt(_ path: String, _ body: (JSONCursor) throws -> Void) throws {
        try forEachBatch(path) { batch in
            for prompt in try batch.array("prompts") { try body(prompt) }
        }
    }

    /// Calls `body` with each whole line and the place behind it, until it returns false.
    private static func forEachLine(
        _ path: String, _ body: (JSONCursor, Int) throws -> Bool
    ) throws {
        let file = try MappedFile(path: path)
        var start = 0
        while start < file.count {
            let rest = start..<file.count
            let length = file.withUnsafeBytes(in: rest) { $0.firstIndex(of: 0x0A) }
            guard let length else { return }
            let end = start + length
            let document: JSONDocument
            do {
                document = try JSONDocument(file: file, range: start..<end)
            } catch {
                // The first line tells whose file this is; others may be what a loss of power left.
                guard start > 0 else { throw error }
                return
            }
            guard try body(document.root, end + 1) else { return }
            start = end + 1
        }
    }
}
