import YuyanTensor

/// Parameters that share their hyperparameters.
package struct ParameterGroup {
    package var parameters: [Parameter]
    /// Multiplies the schedule's learning rate.
    package var learningRateFactor: Double
    package var weightDecay: Double
    /// Keeps states in float32 even where the optimiser keeps 8 bits: embeddings, whose rows are
    /// seen too unevenly for a scale in common.
    package var keepsFloatStates: Bool

    package init(
        _ parameters: [Parameter], learningRateFactor: Double = 1,
        weightDecay: Double = 0, keepsFloatStates: Bool = false
    ) {
        self.parameters = parameters
        self.learningRateFactor = learningRateFactor
        self.weightDecay = weightDecay
        self.keepsFloatStates = keepsFloatStates
    }
}

/// Groups parameters as the Hugging Face trainer does.
///
/// Norms and biases do not decay. With `loraPlusRatio` the B matrices of adapters, and vectors, learn
/// so many times faster than the rest: Hayou, Ghosh and Yu, "LoRA+", arXiv:2402.12354. Parameters keep
/// their order inside a group; empty groups are left out.
///
/// - Parameter embeddingFactor: What the rate is multiplied by for the B matrices of embeddings, which
///   LoRA+ treats by themselves; nil without LoRA+.
package func parameterGroups(
    _ parameters: [Parameter], weightDecay: Double, loraPlusRatio: Double = 1,
    embeddingFactor: Double? = nil
) -> [ParameterGroup] {
    var groups: [GroupKey: ParameterGroup] = [:]
    var order: [GroupKey] = []
    for parameter in parameters {
        let isFast = parameter.name.contains("lora_B") || parameter.shape.count == 1
        let ofEmbedding = parameter.name.hasSuffix(AdapterTensorKind.embeddingUp.suffix)
        let key = GroupKey(
            decays: decays(parameter.name),
            factor: ofEmbedding ? embeddingFactor ?? 1 : isFast ? loraPlusRatio : 1,
            keepsFloatStates: parameter.name.hasSuffix("embed_tokens.weight"))
        if groups[key] == nil { order.append(key) }
        groups[
            key,
            default: ParameterGroup(
                [], learningRateFactor: key.factor, weightDecay: key.decays ? weightDecay : 0,
                keepsFloatStates: key.keepsFloatStates)
        ].parameters.append(parameter)
    }
    return order.compactMap { groups[$0] }
}

private struct GroupKey: Hashable {
    let decays: Bool
    let factor: Double
    let keepsFloatStates: Bool
}

/// Whether a parameter decays, by its name: no bias, and no part of its path that is a norm.
func decays(_ name: String) -> Bool {
    let name = name.lowercased()
    if ["bias", "layernorm", "rmsnorm"].contains(where: name.contains) { return false }
    return !name.split(separator: ".").contains { $0 == "norm" || $0.hasSuffix("_norm") }
}
