import YuyanFormats
import YuyanTensor

/// Which rule an optimiser follows, and how it keeps its state.
package struct OptimizerConfiguration: Sendable {
    package let rule: any UpdateRule
    package let statePrecision: StatePrecision
    /// Whether the state lies in a file, so that the system may move it out of memory.
    package let isPaged: Bool

    package init(
        _ rule: any UpdateRule, statePrecision: StatePrecision = .float32, isPaged: Bool = false
    ) {
        self.rule = rule
        self.statePrecision = statePrecision
        self.isPaged = isPaged
    }
}

/// How an optimiser keeps its arrays between steps.
package enum StatePrecision: Sendable, Hashable {
    case float32
    /// 8-bit codes with a scale for each 256: `DynamicMap`.
    case dynamic8
}

/// The numbers that optimisers are made with, under the names of recipes.
package struct OptimizerSettings: Sendable, Hashable {
    /// `adam_beta1`, also Lion's first.
    package var beta1: Double
    /// `adam_beta2`, also Lion's second.
    package var beta2: Double
    /// `adam_epsilon`.
    package var epsilon: Double
    /// `optim_args: momentum=…` of `sgd`.
    package var momentum: Double
    /// `optim_args: dampening=…` of `sgd`.
    package var dampening: Double
    /// `optim_args: nesterov=…` of `sgd`.
    package var isNesterov: Bool

    package init(
        beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, momentum: Double = 0,
        dampening: Double = 0, isNesterov: Bool = false
    ) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.momentum = momentum
        self.dampening = dampening
        self.isNesterov = isNesterov
    }

    private func check() throws(OptimizerError) {
        for (name, value) in [("adam_beta1", beta1), ("adam_beta2", beta2)]
        where !(value >= 0 && value < 1) {
            throw .badSetting(name: name, found: "\(value)", expected: "a number in [0, 1)")
        }
        guard epsilon >= 0, epsilon < .infinity else {
            throw .badSetting(
                name: "adam_epsilon", found: "\(epsilon)", expected: "a number of at least 0")
        }
        for (name, value) in [("momentum", momentum), ("dampening", dampening)]
        where !(value >= 0 && value < .infinity) {
            throw .badSetting(name: name, found: "\(value)", expected: "a number of at least 0")
        }
        guard !isNesterov || (momentum > 0 && dampening == 0) else {
            throw .badSetting(
                name: "nesterov", found: "true with momentum \(momentum), dampening \(dampening)",
                expected: "a momentum above 0 and no dampening")
        }
    }

    /// The optimiser that a recipe's `optim` names.
    ///
    /// - Throws: `OptimizerError.unknownOptimizer` with the nearest names, or `.badSetting`.
    package func configuration(of name: String) throws(OptimizerError) -> OptimizerConfiguration {
        guard let entry = optimizers.first(where: { $0.name == name }) else {
            throw .unknownOptimizer(
                name: name, nearest: nearestNames(to: name, in: optimizerNames))
        }
        try check()
        return OptimizerConfiguration(
            entry.rule(self), statePrecision: entry.precision, isPaged: entry.isPaged)
    }
}

/// The values of `optim` that there are.
package let optimizerNames = optimizers.map(\.name)

/// A line of the table of optimisers.
private struct Entry: Sendable {
    let name: String
    let precision: StatePrecision
    let isPaged: Bool
    let rule: @Sendable (OptimizerSettings) -> any UpdateRule

    init(
        _ name: String, _ precision: StatePrecision, isPaged: Bool = false,
        _ rule: @escaping @Sendable (OptimizerSettings) -> any UpdateRule
    ) {
        self.name = name
        self.precision = precision
        self.isPaged = isPaged
        self.rule = rule
    }
}

private let optimizers: [Entry] = [
    Entry("adamw_torch", .float32, adamW), Entry("adamw_torch_fused", .float32, adamW),
    Entry("adamw_8bit", .dynamic8, adamW), Entry("adamw_bnb_8bit", .dynamic8, adamW),
    Entry("paged_adamw", .float32, isPaged: true, adamW),
    Entry("paged_adamw_32bit", .float32, isPaged: true, adamW),
    Entry("paged_adamw_8bit", .dynamic8, isPaged: true, adamW),
    Entry("sgd", .float32) {
        SGD(momentum: $0.momentum, dampening: $0.dampening, isNesterov: $0.isNesterov)
    },
    Entry("lion_32bit", .float32, lion), Entry("lion_8bit", .dynamic8, lion),
    Entry("paged_lion_32bit", .float32, isPaged: true, lion),
    Entry("paged_lion_8bit", .dynamic8, isPaged: true, lion),
]

private let adamW: @Sendable (OptimizerSettings) -> any UpdateRule = {
    AdamW(beta1: $0.beta1, beta2: $0.beta2, epsilon: $0.epsilon)
}

private let lion: @Sendable (OptimizerSettings) -> any UpdateRule = {
    Lion(beta1: $0.beta1, beta2: $0.beta2)
}

extension OptimizerConfiguration {
    /// Bytes that an optimiser's state will take: 4 or 1 + 4 / 256 for each array and element, 4 for a
    /// master, and up to 64 for each array's alignment.
    package func stateBytes(of groups: [ParameterGroup], weights: WeightRounding = .none) -> Int {
        groups.reduce(0) { sum, group in
            group.parameters.reduce(sum) {
                $0
                    + OptimizerMember.byteCount(
                        shape: $1.shape, elementCount: $1.storageCount, of: group, self, weights)
            }
        }
    }
}
