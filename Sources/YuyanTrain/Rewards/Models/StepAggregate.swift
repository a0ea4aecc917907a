/// What becomes one reward of the chances that an answer's steps are right.
///
/// The least of them: Wang et al., "Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human
/// Annotations", arXiv:2312.08935. Their product, the chance that all are right: Lightman et al.,
/// "Let's Verify Step by Step", arXiv:2305.20050.
enum StepAggregate: String, CaseIterable, Sendable {
    case min, product, mean, last

    /// Of no steps 0: nothing that was said is right.
    func value(of chances: [Double]) -> Double {
        guard let last = chances.last else { return 0 }
        return switch self {
        case .min: chances.reduce(last, Swift.min)
        case .product: chances.reduce(1, *)
        case .mean: chances.reduce(0, +) / Double(chances.count)
        case .last: last
        }
    }
}

extension StepAggregate: RecipeChoice {}
