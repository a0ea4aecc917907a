import YuyanFormats

/// Something that gives each completion a number; higher is better.
package protocol RewardFunction: Sendable {
    /// What metrics and messages call it.
    var name: String { get }

    /// One score for each completion, in order; nil where the function does not apply to the row.
    ///
    /// - Throws: `PartialRewards` if only some rows have no score; anything else means all of them.
    func scores(_ completions: [ScoredCompletion]) throws -> [Double?]

    /// Refuses settings that no row can satisfy, before anything is scored.
    ///
    /// - Parameter columns: The columns that rows of the data have beside the prompt.
    func check(columns: Set<String>) throws(RecipeError)

    /// Bytes of a model of its own, which it loads when it is first asked.
    ///
    /// - Throws: What is wrong with the model's files.
    func predictedBytes() throws -> Int

    /// Whether its scores are its own; not in a dry run that does not ask it.
    var isAsked: Bool { get }

    /// Loads what a run holds from its beginning, so that a mistake in it does not wait for answers.
    ///
    /// - Throws: `RecipeError` naming the setting.
    func load() throws(RecipeError)

    /// What `load` brought into memory.
    var heldBytes: Int { get }
}

/// A completion and what reward functions may know of it.
package struct ScoredCompletion: Sendable {
    /// What the model was asked, as text.
    package var prompt: String
    /// What it wrote, without special tokens; of an answer with tools the last turn.
    package var text: String
    /// The tokens that the model wrote, its end token included if it has one; not those of tools.
    package var tokens: [Int32]
    /// Whether it ended by itself; false if it was cut.
    package var hasEnded: Bool
    /// The row's columns beside the prompt.
    package var columns: [(key: String, value: JSONCursor)]
    /// Where the row stands, such as `data.jsonl:7`; empty if nobody knows.
    package var place: String
    /// What was said in turns, where the model has tools.
    package var episode: EpisodeRecord?
    /// The prompt as its row has it.
    package var row: PromptColumns?

    package init(
        prompt: String, text: String, tokens: [Int32] = [], hasEnded: Bool = true,
        columns: [(key: String, value: JSONCursor)] = [], place: String = "",
        episode: EpisodeRecord? = nil, row: PromptColumns? = nil
    ) {
        self.prompt = prompt
        self.text = text
        self.tokens = tokens
        self.hasEnded = hasEnded
        self.columns = columns
        self.place = place
        self.episode = episode
        self.row = row
    }

    /// The first of some columns that the row has; null counts as absent.
    package func column(_ names: [String]) -> JSONCursor? {
        for name in names {
            if let value = columns.last(where: { $0.key == name })?.value, !value.isNull {
                return value
            }
        }
        return nil
    }
}

/// Scores of a batch of which some rows have none, and why.
package struct PartialRewards: Error, Sendable, CustomStringConvertible {
    /// One a completion; those of `faults` do not count.
    package var scores: [Double?]
    /// What is wrong, by the completion's index.
    package var faults: [Int: String]

    package init(scores: [Double?], faults: [Int: String]) {
        self.scores = scores
        self.faults = faults
    }

    package var description: String {
        guard let first = faults.keys.min(), let what = faults[first] else { return "no fault" }
        return "completion \(first): \(what)"
            + (faults.count > 1 ? " (and \(faults.count - 1) more)" : "")
    }
}

extension RewardFunction {
    package func check(columns: Set<String>) throws(RecipeError) {}
    package func predictedBytes() throws -> Int { 0 }
    package var isAsked: Bool { true }
    package func load() throws(RecipeError) {}
    package var heldBytes: Int { 0 }

    /// Scores row by row; a row whose scoring throws is a fault of that row alone.
    func eachScore(
        _ completions: [ScoredCompletion], _ score: (ScoredCompletion) throws -> Double?
    ) throws(PartialRewards) -> [Double?] {
        var partial = PartialRewards(scores: [], faults: [:])
        for (index, completion) in completions.enumerated() {
            do {
                partial.scores.append(try score(completion))
            } catch {
                partial.scores.append(nil)
                partial.faults[index] = "\(error)"
            }
        }
        guard partial.faults.isEmpty else { throw partial }
        return partial.scores
    }
}

/// A row that a reward function cannot score.
struct RewardFault: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
