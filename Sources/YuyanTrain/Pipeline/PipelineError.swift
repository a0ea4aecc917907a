/// A pipeline that cannot be run as it is; what is wrong inside of a recipe is a `RecipeError`.
public enum PipelineError: Error, Sendable, CustomStringConvertible {
    /// A key that pipelines do not have; `nearest` holds the closest ones.
    case unknownKey(place: String, key: String, nearest: [String])
    /// A key that the pipeline decides itself.
    case reservedKey(place: String, key: String, reason: String)
    /// A flag, or a stage that was asked for by name, is of no stage.
    case unknownStage(place: String, name: String, nearest: [String])
    /// `${NAME}` is no stage that comes before; `isLater` if it comes behind, or is the stage itself.
    case unknownReference(
        place: String, key: String, name: String, isLater: Bool, isPath: Bool, nearest: [String])
    /// A stage wants of an earlier one what that does not leave.
    case wrongResult(place: String, key: String, stage: String, leaves: String, advice: String)
    /// A stage goes on from an adapter that is not formed like its own.
    case otherAdapter(place: String, key: String, found: String, stage: String, expected: String)
    /// Steps of a stage were taken by another recipe.
    case changedRecipe(stage: String, folder: String, differences: [String])
    /// The rows that a stage has learnt from are others now.
    case changedData(stage: String, folder: String)
    /// A stage's folder holds a run of which is not known what it was made from.
    case unrecorded(stage: String, folder: String)
    /// A stage is run alone, and one that it takes from is not finished.
    case unfinished(stage: String, needed: String)
    /// A stage ended without the files that later ones would take.
    case noResult(stage: String, folder: String)
    /// What went wrong in a stage.
    case failed(stage: String, cause: any Error)

    /// Where, what was found, what was expected and what to try.
    public var description: String {
        switch self {
        case .unknownKey(let place, let key, let nearest):
            "\(place): a pipeline has no key '\(key)'\(Self.hint(nearest)); keys of recipes stand "
                + "under defaults or in a stage"
        case .reservedKey(let place, let key, let reason): "\(place): '\(key)' \(reason)"
        case .unknownStage(let place, let name, let nearest):
            "\(place): no stage is called '\(name)'\(Self.hint(nearest))"
        case .unknownReference(let place, let key, let name, let isLater, let isPath, let nearest):
            "\(place): '\(key)' takes from ${\(name)}, "
                + (isLater
                    ? "which does not come before this stage"
                    : isPath
                        ? "which is neither an earlier stage nor an environment variable"
                        : "which is no earlier stage")
                + Self.hint(nearest)
                + (isLater || isPath ? "" : "; $${\(name)} stands for the text itself")
        case .wrongResult(let place, let key, let stage, let leaves, let advice):
            "\(place): '\(key)' takes from ${\(stage)}, but that stage leaves \(leaves); \(advice)"
        case .otherAdapter(let place, let key, let found, let stage, let expected):
            "\(place): '\(key)' is \(found), expected \(expected) as in stage '\(stage)', whose adapter "
                + "is trained on; put keys that all stages share under defaults"
        case .changedRecipe(let stage, let folder, let differences):
            "\(folder): stage '\(stage)' was run by another recipe: "
                + "\(differences.joined(separator: ", ")); change it back, or run it and what "
                + "follows anew with --from \(stage)"
        case .changedData(let stage, let folder):
            "\(folder): stage '\(stage)' was run on other data than its files hold now; bring them "
                + "back, or run it and what follows anew with --from \(stage)"
        case .unrecorded(let stage, let folder):
            "\(folder): holds a run of stage '\(stage)', but pipeline.json does not say which results "
                + "it was made from; --from \(stage) runs it anew"
        case .unfinished(let stage, let needed):
            "stage '\(stage)' takes from '\(needed)', which is not finished; run the pipeline without "
                + "--only first"
        case .noResult(let stage, let folder):
            "\(folder): stage '\(stage)' ended and left no file that a later stage could take"
        case .failed(let stage, let cause): "stage '\(stage)': \(cause)"
        }
    }

    private static func hint(_ nearest: [String]) -> String {
        nearest.isEmpty ? "" : "; nearest: \(nearest.joined(separator: ", "))"
    }
}
