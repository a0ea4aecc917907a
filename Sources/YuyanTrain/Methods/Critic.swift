import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// Predicts at each token of an answer what will still be earned: PPO's critic.
///
/// An adapter of its own over the policy's base, with a linear head that starts at zero. So the four roles
/// of PPO share one model: the policy is the base with its adapter, the critic with this one, the reward
/// model with a third, and the reference is the base alone.
final class Critic {
    private let model: TrainableModel
    private let head: PackedMatrix
    private let loss: ValueLoss
    private let coefficient: Double
    private let device: Device

    init(beside policy: TrainableModel, recipe: Recipe, device: Device) throws {
        self.device = device
        var configuration = LowRankConfiguration(recipe)
        configuration.seed &+= 1
        model = try TrainableModel(
            sharing: policy, configuration, name: "value", prefix: "value.", on: device)
        let width = policy.decoder.shape.width
        head = PackedMatrix(
            rows: 1, columns: width, parameter: "value.score.weight", on: device
        ) { _, values in
            for column in 0..<width { values[column] = 0 }
        }
        loss = ValueLoss(clip: recipe.alignment.valueClip)
        coefficient = recipe.alignment.valueCoefficient
    }

    var parameters: [Parameter] {
        model.parameters + (head.parameter.map { [$0] } ?? [])
    }

    func refresh() { model.parametersChanged(on: device) }

    /// What it expects before each token: `[group][answer][token]`.
    ///
    /// - Throws: What `check` throws, which is called behind each pass.
    func values(
        of groups: [AnswerGroup], check: () throws -> Void
    ) rethrows -> [[[Double]]] {
        var found = groups.map { $0.answers.map { _ in [Double]() } }
        var options = GroupPassOptions()
        options.splitsGroups = true
        try model.visit(groups, options, on: device) { pass in
            try check()
            let values = linear(pass.targetRows().x, head, on: pass.device).values
            for answer in pass.answers {
                found[answer.group][answer.index] = values[answer.tokens].map(Double.init)
            }
        }
        return found
    }

    /// Adds the gradients of its loss.
    ///
    /// - Parameters:
    ///   - tokenCount: Learnt tokens of the whole step.
    ///   - statistics: Is added to.
    func addGradients(
        of groups: [JudgedGroup], tokenCount: Int, normalizer: Double,
        statistics: inout ValueStatistics
    ) {
        var options = GroupPassOptions()
        options.splitsGroups = true
        model.addGradients(of: groups.map(\.rollout.group), options, on: device) { pass in
            let values = linear(pass.targetRows().x, head, on: pass.device)
            let numbers = values.values
            let slopes = pass.answers.flatMap { answer in
                let group = groups[answer.group]
                return loss.gradients(
                    values: numbers[answer.tokens].map(Double.init),
                    sampled: group.values[answer.index], returns: group.returns[answer.index],
                    isLearnt: group.isLearnt(answer.index), tokenCount: tokenCount,
                    statistics: &statistics)
            }
            let gradient = slopes.map { Float($0 * coefficient / normalizer) }
            return [(values, Tensor(gradient, shape: [gradient.count, 1]))]
        }
    }

    // MARK: - Files

    private static let fileName = "/value_model.safetensors"

    func save(to folder: String) throws {
        try SafetensorsWriter().write(
            parameters.map {
                TensorSource(name: $0.name, shape: $0.shape, values: $0.rowMajor())
            }, to: folder + Self.fileName)
    }

    func restore(from folder: String) throws {
        let file = try SafetensorsFile(path: folder + Self.fileName)
        for parameter in parameters {
            try parameter.load(file.tensor(parameter.name), from: folder + Self.fileName)
        }
        refresh()
    }
}
