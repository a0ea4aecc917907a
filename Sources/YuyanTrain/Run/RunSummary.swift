import YuyanNN
import YuyanTensor

/// What a run will do, for people to read before it starts.
public struct RunSummary: Sendable {
    /// Facts in pairs: model, parameters, data, steps.
    public let facts: [(name: String, value: String)]
    /// Predicted, by part.
    public let memory: MemoryPrediction
    /// Lines about data files: shapes that were found, rows that are left out.
    public let dataNotes: [String]
    /// The first sample, decoded, with what is learnt marked for a terminal and for a file.
    public let preview: (coloured: String, plain: String)
    /// Numbers that change.
    public let trainableParameters: Int
    /// Numbers of model and adapter.
    public let totalParameters: Int
    /// Of the whole run.
    public let steps: Int
    /// Settings that are known to fail together.
    public let warnings: [RecipeLint.Warning]
    /// Names of rewards and tools that a dry run looks at and does not start.
    public let notAsked: [String]

    init(
        _ recipe: Recipe, model: PreparedModel, trainee: any Trainee, data: PreparedData,
        plan: StepPlan, memory: MemoryPrediction, checkpointing: Bool,
        schedule: LearningRateSchedule, warnings: [RecipeLint.Warning]
    ) throws {
        self.memory = memory
        self.warnings = warnings
        notAsked = trainee.unasked
        steps = recipe.run.doesTrain ? plan.steps : 0
        let trained = trainee.parameters.reduce(0) { $0 + $1.count }
        let isAdapter = recipe.method.type == .lora
        trainableParameters = trained
        totalParameters = model.parameterCount + (isAdapter ? trained : 0)
        let share = Double(trained) / Double(max(1, totalParameters)) * 100
        dataNotes = data.data.reports.map { "\($0)" } + data.notes
        let sample = try data.data.preview()
        preview = (sample.text(isColoured: true), sample.text(isColoured: false))
        let o = recipe.optimisation
        var facts: [(name: String, value: String)] = [
            ("model · 模型", recipe.model.path),
            ("method · 方法", Self.method(recipe)),
        ]
        if let adapters = recipe.model.adapterFact { facts.append(adapters) }
        facts.append(
            (
                "trained · 可训练参数",
                "\(trained.grouped) of \(totalParameters.grouped) (\(share.shortText) %)"
            ))
        if let tally = data.survey?.tally {
            facts.append(
                (
                    "data · 数据",
                    "\(tally.samples.grouped) samples, \(tally.tokens.grouped) tokens, "
                        + "\((tally.supervisedShare * 100).shortText) % learnt, longest "
                        + "\(tally.longest.grouped)"
                ))
            if tally.skippedCount > 0 || tally.truncatedRows > 0 {
                facts.append(
                    (
                        "left out · 舍弃",
                        "\(tally.skippedCount.grouped) rows skipped, \(tally.truncatedRows.grouped) cut"
                    ))
            }
        }
        if !data.validation.isEmpty {
            facts.append(("validation · 验证", "\(data.validationTokens.grouped) tokens"))
        }
        facts.append(
            (
                "steps · 步数",
                !recipe.run.doesTrain
                    ? "none: do_train is false, so the model is only evaluated"
                    : "\(plan.steps.grouped)"
                        + (plan.epochs > 0
                            ? " in \(plan.passes.shortText) \(plan.passes == 1 ? "epoch" : "epochs")"
                            : "")
                        + ", \(o.batchSize) × \(o.accumulationSteps) \(Self.unit(recipe)) a step"
            ))
        facts.append(
            (
                "rate · 学习率",
                "\(o.learningRate.shortText), \(schedule.name), \(o.optimizer)"
            ))
        facts.append(("seed · 随机种子", "\(recipe.run.seed)"))
        if checkpointing { facts.append(("checkpointing · 重计算", "layers are computed again")) }
        self.facts = facts
    }

    private static func unit(_ recipe: Recipe) -> String {
        DataOptions(recipe).isPacked ? "rows" : "samples"
    }

    private static func method(_ recipe: Recipe) -> String {
        let method = recipe.method
        let stage = method.stage.rawValue
        switch method.type {
        case .full: return "\(stage), full"
        case .freeze: return "\(stage), freeze: \(method.freezeTrainableLayers) layers"
        case .oft: return "\(stage), oft"
        case .lora:
            let name =
                (method.usesDoRA ? "DoRA" : "LoRA") + (method.usesRSLoRA ? " (rsLoRA)" : "")
                + (method.loraPlusRatio != nil ? " (LoRA+)" : "")
            let bits = recipe.model.quantizationBits.map { _ in
                ", base in \(recipe.model.quantizationType.rawValue)"
            }
            return "\(stage), \(name) r=\(method.loraRank) alpha=\(method.alpha.shortText) on "
                + method.loraTarget.joined(separator: ",") + (bits ?? "")
        }
    }
}

extension Recipe.Model {
    /// What becomes of given adapters; nil if there are none.
    var adapterFact: (name: String, value: String)? {
        guard !adapters.isEmpty else { return nil }
        let merged = mergedAdapters.joined(separator: ", ")
        let parts = [startAdapter, merged.isEmpty ? nil : merged + " merged into the weights"]
        return ("adapter · 适配器", parts.compactMap { $0 }.joined(separator: ", over "))
    }
}

extension Int {
    /// With a comma between thousands.
    var grouped: String {
        var digits = String(magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        groups.insert(digits, at: 0)
        return (self < 0 ? "-" : "") + groups.joined(separator: ",")
    }
}
