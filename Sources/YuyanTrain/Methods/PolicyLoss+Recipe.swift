extension PolicyLoss {
    /// The loss of a recipe.
    init(_ recipe: Recipe) {
        let alignment = recipe.alignment
        // Leave-one-out and PPO have the clipped ratio, whatever loss_type says.
        let isCISPO =
            alignment.lossType == .cispo && ![.ppo, .rloo].contains(recipe.method.stage)
        let high = alignment.epsilonHigh ?? alignment.epsilon
        let isSequence = alignment.ratioLevel == .sequence
        self.init(
            surrogate: isCISPO
                ? .cispo(bound: alignment.epsilonHigh ?? 5)
                : .clipped(low: alignment.epsilon, high: high, delta: alignment.delta),
            level: recipe.method.stage == .rloo ? .product : isSequence ? .sequence : .token,
            normalization: LossNormalization(recipe),
            beta: recipe.lowersRewards || recipe.divergence == .exact
                || recipe.method.stage == .ppo ? 0 : alignment.beta,
            estimator: KLEstimator(rawValue: recipe.divergence.rawValue) ?? .k3)
    }
}

extension LossNormalization {
    /// What a recipe divides token losses by.
    init(_ recipe: Recipe) {
        if recipe.method.stage == .rloo {
            self = .grpo
            return
        }
        // PPO takes the mean over tokens.
        if recipe.method.stage == .ppo {
            self = .dapo
            return
        }
        self =
            switch recipe.alignment.lossType {
            case .grpo: .grpo
            case .bnpo: .bnpo
            case .drGRPO: .drGRPO(maximumLength: recipe.alignment.completionLength)
            case .dapo, .cispo: .dapo
            }
    }
}

extension Recipe {
    /// How rewards become advantages.
    var advantage: GroupAdvantage {
        switch method.stage {
        case .rloo: .rloo
        case .reinforce: .reinforcePlusPlus
        default:
            switch alignment.rewardScale {
            case .group: .grpo
            case .batch: .batchScaled
            case .none: .drGRPO
            }
        }
    }
}
