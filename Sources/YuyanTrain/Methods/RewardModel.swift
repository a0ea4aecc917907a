import YuyanModels
import YuyanNN
import YuyanTensor

/// A reward model over the base of the policy: an adapter with a head, as stage `rm` trains it.
struct RewardModel {
    private let adapter: LowRankAdapter
    private let head: [Float]
    private let model: TrainableModel
    private let device: Device
    private let padding: Int32?
    private let stop: StopRequest

    /// What it holds beside the policy.
    var byteCount: Int { adapter.byteCount }

    /// - Parameters:
    ///   - padding: As the model was trained with.
    ///   - stop: Ends the scoring.
    /// - Throws: `RecipeError` if the adapter has no head; what is wrong with its files.
    init(
        directory: String, for model: TrainableModel, padding: Int32?,
        stop: StopRequest = StopRequest(), device: Device
    ) throws {
        self.padding = padding
        self.stop = stop
        adapter = try LowRankAdapter(
            name: "reward", directory: directory, for: model.decoder, on: device)
        guard let head = adapter.score else {
            throw RecipeError.badValue(
                place: "recipe", key: "reward_model", found: "'\(directory)'",
                expected: "an adapter with 'score.weight', as stage: rm writes it")
        }
        self.head = head
        self.model = model
        self.device = device
    }

    /// The score of each answer behind its prompt: `[group][answer]`.
    ///
    /// - Throws: `Interruption`.
    func scores(of groups: [AnswerGroup]) throws -> [[Double]] {
        var found = groups.map { [Double](repeating: 0, count: $0.answers.count) }
        var options = GroupPassOptions()
        (options.adapter, options.splitsGroups) = (.other(adapter), true)
        try model.visit(groups, options, on: device) { pass in
            try stop.check()
            let states = pass.normalized(
                rows: pass.answers.map { pass.judgedRow($0, padding: padding) })
            for (row, answer) in pass.answers.enumerated() {
                let state = states.row(row)
                found[answer.group][answer.index] = zip(state, head).reduce(0) {
                    $0 + Double($1.0) * Double($1.1)
                }
            }
        }
        return found
    }
}
