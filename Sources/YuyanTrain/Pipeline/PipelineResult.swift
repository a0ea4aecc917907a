import YuyanFormats

/// What a pipeline came to.
public struct PipelineResult: Sendable {
    /// Where everything is.
    public let folder: String
    /// The signal that asked to stop, if one did; the same command goes on.
    public let signal: Int32?
    /// The pipeline's figures of the model that the first stage began from; empty without evaluation.
    public let start: [(name: String, value: Double)]
    /// All stages, in order.
    public let stages: [Stage]

    /// A number that a stage logs, at its beginning and at its end.
    public struct Figure: Sendable, Hashable {
        /// As `metrics.jsonl` calls it.
        public let name: String
        /// The first that was logged.
        public let first: Double
        /// The last one.
        public let last: Double

        /// One figure.
        public init(name: String, first: Double, last: Double) {
            self.name = name
            self.first = first
            self.last = last
        }

        /// Both values by their names.
        public var json: JSONOutput { ["first": .double(first), "last": .double(last)] }
    }

    /// What is known of a stage.
    public struct Stage: Sendable {
        /// The stage's name.
        public let name: String
        /// As recipes call it.
        public let kind: String
        /// Its folder.
        public let folder: String
        /// `finished`, `stopped_early`, `interrupted`, or `waiting` if it was not begun.
        public let status: String
        /// Steps that are done.
        public let steps: Int
        /// Of all commands that worked on it.
        public let seconds: Double
        /// Whether this command found it finished.
        public let wasFinished: Bool
        /// What it logged.
        public let figures: [Figure]
        /// The pipeline's figures of its model; empty without evaluation.
        public let evaluation: [(name: String, value: Double)]
    }

    /// For scripts.
    public var json: JSONOutput {
        func object(_ figures: [(name: String, value: Double)]) -> JSONOutput {
            .object(figures.map { (key: $0.name, value: .double($0.value)) })
        }
        return [
            "outcome": signal == nil ? "finished" : "interrupted",
            "output_dir": .string(folder), "start": object(start),
            "stages": .array(
                stages.map { stage in
                    [
                        "name": .string(stage.name), "stage": .string(stage.kind),
                        "output_dir": .string(stage.folder), "status": .string(stage.status),
                        "steps": .integer(stage.steps), "seconds": .double(stage.seconds),
                        "figures": .object(stage.figures.map { ($0.name, $0.json) }),
                        "evaluation": object(stage.evaluation),
                    ]
                }),
        ]
    }

    /// The figures of the evaluations, in a form for tables: a row for the start and for each stage.
    public var evaluationNames: [String] {
        var names: [String] = []
        for figures in [start] + stages.map(\.evaluation) {
            for figure in figures where !names.contains(figure.name) { names.append(figure.name) }
        }
        return names
    }
}
