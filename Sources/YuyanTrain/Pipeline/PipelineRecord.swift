import YuyanFormats

/// `pipeline.json`: what each stage of a pipeline was made from, and what came of it.
struct PipelineRecord: Sendable {
    static let fileName = "pipeline.json"

    /// The stages that a command was asked to run anew, as long as it has not come to its end.
    var request: String?
    /// Stages that begin anew when their turn comes, whatever is in their folders.
    var redo: [String] = []
    /// What the model was like that the first stage began from.
    var start: Evaluation?
    /// In the order in which stages were begun.
    private(set) var entries: [Entry] = []

    /// A figure at the beginning and at the end of a stage.
    typealias Figure = PipelineResult.Figure

    /// Answers of a model to the pipeline's prompts.
    struct Evaluation: Sendable {
        /// Of prompts, rewards and model.
        var fingerprint: String
        var figures: [(name: String, value: Double)]
    }

    /// A stage that was begun.
    struct Entry: Sendable {
        var name: String
        /// As `Recipe.json` has it.
        var recipe: JSONOutput
        var folder: String
        var isFinished = false
        /// The results that it took from earlier stages, by the stages' names.
        var inputs: [(name: String, fingerprint: String)]
        /// Of its rows.
        var data: String
        /// Of the files that it left.
        var result: String?
        /// As `yuyan train` calls it.
        var outcome: String?
        var steps = 0
        /// Of all commands that worked on it, but those that were killed.
        var seconds = 0.0
        var figures: [Figure] = []
        var evaluation: Evaluation?
    }

    subscript(name: String) -> Entry? {
        get { entries.first { $0.name == name } }
        set {
            let index = entries.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let entry?): entries[index] = entry
            case (nil, let entry?): entries.append(entry)
            case (let index?, nil): entries.remove(at: index)
            case (nil, nil): break
            }
        }
    }

    // MARK: - File

    /// Nothing was begun.
    init() {}

    /// Reads a folder's record; an empty one if there is none.
    ///
    /// - Throws: `FormatError` naming file and key.
    init(in folder: RunFolder) throws {
        guard try folder.names().contains(Self.fileName) else { return }
        let path = folder.place(Self.fileName)
        let root = try JSONDocument(path: path).root
        guard try root.int("version") == 1 else {
            throw FormatError.unsupportedVersion(
                file: path, found: "a pipeline of version \(try root.int("version"))",
                supported: "1")
        }
        request = try root.optionalString("request")
        redo = try root.array("redo").compactMap(\.string)
        start = try root["start"].flatMap { try Evaluation($0) }
        entries = try root.array("stages").map { try Entry($0) }
    }

    /// Replaces the file of a folder.
    func write(to folder: RunFolder) throws {
        let text = json.indented + "\n"
        try writeAtomically(folder.place(Self.fileName)) { try $0.write(text) }
    }

    private var json: JSONOutput {
        [
            "version": 1, "request": .text(request), "redo": .array(redo.map { .string($0) }),
            "start": start?.json ?? .null, "stages": .array(entries.map(\.json)),
        ]
    }
}

extension PipelineRecord.Entry {
    fileprivate var json: JSONOutput {
        [
            "name": .string(name), "output_dir": .string(folder),
            "status": isFinished ? "finished" : "running",
            "outcome": .text(outcome), "steps": .integer(steps), "seconds": .double(seconds),
            "inputs": .object(inputs.map { (key: $0.name, value: .string($0.fingerprint)) }),
            "data": .string(data), "result": .text(result),
            "figures": .object(figures.map { (key: $0.name, value: $0.json) }),
            "evaluation": evaluation?.json ?? .null, "recipe": recipe,
        ]
    }

    fileprivate init(_ json: JSONCursor) throws {
        self.init(
            name: try json.string("name"), recipe: JSONOutput(copying: try json.object("recipe")),
            folder: try json.string("output_dir"),
            isFinished: try json.string("status") == "finished",
            inputs: try json.object("inputs").texts(), data: try json.string("data"),
            result: try json.optionalString("result"), outcome: try json.optionalString("outcome"),
            steps: try json.int("steps"), seconds: try json.double("seconds"),
            figures: try (json.object("figures").entries ?? []).map {
                PipelineResult.Figure(
                    name: $0.key, first: try $0.value.double("first"),
                    last: try $0.value.double("last"))
            }, evaluation: try json["evaluation"].flatMap { try PipelineRecord.Evaluation($0) })
    }
}

extension PipelineRecord.Evaluation {
    fileprivate var json: JSONOutput {
        [
            "fingerprint": .string(fingerprint),
            "figures": .object(figures.map { (key: $0.name, value: .double($0.value)) }),
        ]
    }

    /// Nil for null.
    fileprivate init?(_ json: JSONCursor) throws {
        guard !json.isNull else { return nil }
        fingerprint = try json.string("fingerprint")
        let figures = try json.object("figures")
        self.figures = try (figures.entries ?? []).map { ($0.key, try figures.double($0.key)) }
    }
}

extension JSONCursor {
    /// The entries of an object of texts.
    fileprivate func texts() throws -> [(name: String, fingerprint: String)] {
        try (entries ?? []).map { ($0.key, try string($0.key)) }
    }
}

extension Recipe {
    /// Every key with its value; numbers and truth values as such.
    var json: JSONOutput { .object(Self.keys.map { ($0.name, $0.node(self).json) }) }

    /// The keys whose values differ from those of a recipe that was recorded, but idle ones.
    ///
    /// A key that the record does not know was at its default.
    func differences(fromRecorded old: JSONOutput) -> [Difference] {
        let defaults = Recipe()
        return Self.keys.compactMap { key in
            guard !Self.idleKeys.contains(key.name) else { return nil }
            let found = key.node(self).json.description
            let recorded = (old[key.name] ?? key.node(defaults).json).description
            return found == recorded ? nil : Difference(key: key, old: recorded, new: found)
        }
    }
}
