/// Where the gradient of a tensor goes; a tensor without one is frozen.
package enum GradientSource: Sendable {
    /// The output of a recorded operation, or a leaf, of one tape.
    case node(tape: ObjectIdentifier, index: Int)
    /// A vector that is trained.
    case parameter(Parameter)

    /// Whether anything wants the gradient now.
    var isWanted: Bool {
        switch self {
        case .node: true
        case .parameter(let parameter): parameter.isTrainable
        }
    }
}

/// What an operation keeps of an input for its backward.
///
/// The tensor, or, if its operation left a recipe, the recipe: norms and gates are cheaper to
/// compute again than to keep.
struct SavedTensor: Sendable {
    private let tensor: Tensor?
    private let recipe: Recipe?

    init(_ tensor: Tensor) {
        recipe = tensor.recipe
        if recipe == nil {
            var plain = tensor
            plain.source = nil
            self.tensor = plain
        } else {
            self.tensor = nil
        }
    }

    /// The same bits as the tensor that was saved.
    func tensor(on device: Device) -> Tensor {
        if let tensor { return tensor }
        guard let recipe else { preconditionFailure("neither tensor nor recipe was saved") }
        return recipe.make(device)
    }
}

/// How to compute a tensor again from what other operations keep anyway.
final class Recipe: Sendable {
    let make: @Sendable (Device) -> Tensor

    init(_ make: @escaping @Sendable (Device) -> Tensor) { self.make = make }
}
