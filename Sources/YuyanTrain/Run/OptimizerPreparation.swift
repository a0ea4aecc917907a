import YuyanNN
import YuyanTensor

extension Optimizer {
    /// The optimiser that a recipe asks for.
    ///
    /// - Parameter folder: Where paged state lies; nil for a run that takes no step. Then paged state,
    ///   which may be larger than memory and disk, is not made at all.
    /// - Throws: `OptimizerError`, `FormatError` if there is no room for the state.
    convenience init(_ recipe: Recipe, _ parameters: [Parameter], folder: String?) throws {
        let settings = try OptimizerSettings(recipe)
        let o = recipe.optimisation
        let weights: WeightRounding =
            if o.usesBF16 {
                .bfloat16Masters
            } else if o.pureBF16 {
                .bfloat16Stochastic(CounterRandom(seed: UInt64(recipe.run.seed)))
            } else {
                .none
            }
        let configuration = try settings.configuration(of: o.optimizer)
        let groups = parameterGroups(
            parameters, weightDecay: o.weightDecay,
            loraPlusRatio: recipe.method.loraPlusRatio ?? 1,
            // A rate of its own, which follows the schedule as all do.
            embeddingFactor: recipe.method.loraPlusRatio == nil
                ? nil : recipe.method.loraPlusEmbeddingRate / o.learningRate)
        guard let folder else {
            try self.init(
                configuration, groups: configuration.isPaged ? [] : groups, weights: weights)
            return
        }
        try self.init(configuration, groups: groups, weights: weights, pagesIn: folder)
    }
}

extension OptimizerSettings {
    init(_ recipe: Recipe) throws(RecipeError) {
        let o = recipe.optimisation
        self.init(beta1: o.beta1, beta2: o.beta2, epsilon: o.epsilon)
        for pair in (o.optimizerArguments ?? "").split(separator: ",") {
            let parts = pair.split(separator: "=").map { String($0.filter { $0 != " " }) }
            let number = parts.count == 2 ? Double(parts[1]) : nil
            switch (parts.first ?? "", number) {
            case ("momentum", .some(let value)): momentum = value
            case ("dampening", .some(let value)): dampening = value
            case ("nesterov", _) where parts.count == 2:
                isNesterov = parts[1].lowercased() == "true"
            default:
                throw .badValue(
                    place: "recipe", key: "optim_args", found: "'\(pair)'",
                    expected: "momentum=0.9, dampening=0 or nesterov=true, with commas between")
            }
        }
    }
}

extension LearningRateSchedule {
    /// The schedule that a recipe asks for, over so many steps.
    ///
    /// - Throws: `OptimizerError`.
    init(_ recipe: Recipe, steps: Int) throws(OptimizerError) {
        let o = recipe.optimisation
        // As transformers: a number below 1 is a share.
        let isShare = o.warmupSteps > 0 && o.warmupSteps < 1
        let options = o.scheduleOptions.entries.map { entry in
            (entry.name, Double(entry.text).map(ScheduleOption.number) ?? .text(entry.text))
        }
        try self.init(
            o.schedule,
            ScheduleSettings(
                learningRate: o.learningRate, totalSteps: steps,
                warmupSteps: isShare ? 0 : Int(o.warmupSteps),
                warmupRatio: isShare ? o.warmupSteps : o.warmupRatio,
                options: Dictionary(options, uniquingKeysWith: { _, last in last })))
    }
}
