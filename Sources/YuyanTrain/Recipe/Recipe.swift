import YuyanFormats

/// Everything that decides a training run; a run's results are a function of it and its files.
///
/// Keys carry the names that LLaMA-Factory's recipes use wherever it has them, and its defaults
/// (which for the loop are those of transformers' `TrainingArguments`) wherever they make sense on a
/// CPU. Each part is a file with its fields and, below them, its keys.
public struct Recipe: Sendable, Hashable {
    /// What is trained.
    public var model = Model()
    /// What it is trained on.
    public var data = DataSettings()
    /// Which numbers change: all, some layers, or an adapter.
    public var method = Method()
    /// How they change.
    public var optimisation = Optimisation()
    /// How answers are judged and learnt from, in the stages behind fine-tuning.
    public var alignment = Alignment()
    /// Which answers are kept, in stage sample.
    public var sampling = Sampling()
    /// How long, where to, and what is reported.
    public var run = Run()

    /// Every key at its default; model, data and folder are still to be named.
    public init() {}

    /// Every key with its value, as YAML that reads back to an equal recipe.
    public var yaml: String {
        YAMLNode.mapping(
            Self.keys.map { YAMLNode.Entry(key: $0.name, value: $0.node(self), line: 0) }, line: 0
        ).text
    }

    /// The keys whose values differ from another recipe's, in order.
    public func differences(from other: Recipe) -> [Difference] {
        Self.keys.compactMap { key in
            let (old, new) = (key.node(other).inline, key.node(self).inline)
            return old == new ? nil : Difference(key: key, old: old, new: new)
        }
    }

    /// Keys that change no byte of a run that has ended.
    static let idleKeys: Set<String> = [
        "output_dir", "threads", "resume_from_checkpoint", "overwrite_output_dir", "do_train",
        "plot_loss", "lint_ignore",
    ]

    /// A key with two values.
    public struct Difference: Sendable, CustomStringConvertible {
        /// The key.
        public let key: RecipeKey
        /// As the other recipe has it.
        public let old: String
        /// As this one has it.
        public let new: String

        /// `key (old → new)`.
        public var description: String { "\(key.name) (\(old) → \(new))" }
    }
}
