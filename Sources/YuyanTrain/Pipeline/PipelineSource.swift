import YuyanFormats

/// A pipeline as it was read: runs one after another, each by a recipe of its own.
///
/// ```yaml
/// output_dir: out/r1
/// defaults: {model_name_or_path: smollm2-135m, lora_rank: 16}
/// stages:
///   - name: cold-start
///     dataset: cold.jsonl
///   - name: grpo
///     stage: grpo
///     dataset: train.jsonl
///     reward_funcs: [arithmetic]
///     adapter_name_or_path: ${cold-start}
/// ```
public struct PipelineSource: Sendable {
    /// The file.
    public let name: String
    /// What the report is called.
    public let title: String
    /// Where everything goes.
    public let outputFolder: String
    /// In the order in which they run.
    public let stages: [PipelineStage]
    /// How each stage's model is asked, if it is.
    public let evaluation: PipelineEvaluation?
    /// A line for each key that has no effect.
    public let notes: [String]

    /// Reads a YAML or JSON file, then flags, which win, and checks every stage's recipe.
    ///
    /// - Parameters:
    ///   - arguments: The file, and flags: `--STAGE.key value`, `--defaults.key value`,
    ///     `--evaluate.key value`, `--output_dir FOLDER`, `--run_name TEXT`.
    ///   - environment: What `${NAME}` in a path means where no stage is called so.
    /// - Throws: `PipelineError`, `RecipeError`, `YAMLError` or `FormatError`.
    public init(
        arguments: [String], environment: @escaping (String) -> String? = { _ in nil }
    ) throws {
        let words = try RecipeWords(arguments, hasScopes: true)
        guard let path = words.path else {
            throw RecipeError.badArgument("give the file of a pipeline")
        }
        var file = try PipelineFile(path)
        for flag in words.flags { try file.set(flag) }
        func text(_ setting: RecipeSetting) throws(RecipeError) -> String {
            guard let text = String(setting.value), !text.isEmpty else {
                throw .wrongType(
                    place: setting.place, key: setting.key, found: setting.value.summary,
                    expected: String.expectation)
            }
            return text
        }
        guard let output = file.output else {
            throw RecipeError.missing(file: path, key: "output_dir", example: "out/first-pipeline")
        }
        var folder = try Recipe.expanded(
            try text(output), key: output.key, file: output.place, environment: environment)
        while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
        name = path
        outputFolder = folder
        title = try file.title.map(text) ?? folder
        var notes: [String] = []
        var stages: [PipelineStage] = []
        for index in file.stages.indices {
            stages.append(
                try file.stage(
                    index, after: stages, in: folder, environment: environment, notes: &notes))
        }
        evaluation = try file.evaluation.map {
            try PipelineEvaluation($0, file: path, environment: environment)
        }
        self.stages = stages
        // A line about defaults comes once, not once a stage.
        var seen: Set<String> = []
        self.notes = notes.filter { seen.insert($0).inserted }
    }
}
