import YuyanModels
import YuyanNN
import YuyanTensor

/// Log-probabilities of answers under the model as it was before training.
///
/// Through a fresh adapter the reference is the base itself, and is asked when an answer first comes. A
/// model whose own weights change, or that goes on from an adapter, is asked about all answers before the
/// first step. Either way an answer is computed once, however many epochs there are.
final class ReferenceScores {
    private let model: TrainableModel
    private let device: Device
    /// Whether the base is still the reference once training has begun.
    let isBase: Bool
    private var known: [AnswerGroup: [[Float]]] = [:]

    init(_ model: TrainableModel, recipe: Recipe, device: Device) {
        self.model = model
        self.device = device
        isBase = model.trainsAdapterOnly && recipe.model.adapters.isEmpty
    }

    /// Computes what is not known; only while the model is still the reference.
    func note(_ groups: [AnswerGroup]) {
        let new = groups.filter { known[$0] == nil }
        guard !new.isEmpty else { return }
        var options = GroupPassOptions()
        options.adapter = isBase ? .none : .trained
        for (group, found) in zip(new, model.logProbabilities(of: new, options, on: device)) {
            known[group] = found
        }
    }

    /// `[group][answer][token]`.
    ///
    /// - Throws: `RunError.unknownAnswer` if the model is not the reference any more and never was asked.
    func scores(of groups: [AnswerGroup]) throws(RunError) -> [[[Float]]] {
        if isBase { note(groups) }
        var found: [[[Float]]] = []
        for group in groups {
            guard let scores = known[group] else { throw .unknownAnswer }
            found.append(scores)
        }
        return found
    }
}

extension TrainableModel {
    /// Whether nothing but an adapter's matrices is trained.
    var trainsAdapterOnly: Bool {
        parameters.count == (lowRank?.parameters.count ?? 0)
    }
}
