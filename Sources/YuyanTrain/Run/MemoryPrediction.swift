import YuyanModels
import YuyanNN
import YuyanTensor

/// What a run will hold in memory, by part, in bytes.
///
/// Weights, gradients, optimiser and reward models are counted exactly. Activations follow from what the
/// tape keeps: see `activationFloats`. Samples follow from the tokens of the rows that are packed
/// together. The program itself, with tokenizer and data as they are after counting, is measured, not
/// predicted.
public struct MemoryPrediction: Sendable {
    /// The parts, largest ideas first.
    public var parts: [Part]
    /// Whether a run usually takes much less: with tools every answer might use all of their tokens.
    public let isUpperBound: Bool

    /// One part.
    public struct Part: Sendable, Hashable {
        /// As JSON has it.
        public let key: String
        /// For people, in two languages.
        public let name: String
        /// How much it takes.
        public let bytes: Int
    }

    /// All parts together.
    public var total: Int { parts.reduce(0) { $0 + $1.bytes } }

    /// - Parameters:
    ///   - tokens: Of the largest micro-batch.
    ///   - longestPrompt: Tokens of a prompt that the model answers.
    ///   - samples: Bytes of the samples that are read ahead.
    ///   - judges: Bytes of the models that grade answers, loaded when they are first asked.
    ///   - base: What the process holds before the optimiser is made; nil if the system does not tell.
    init(
        decoder: Decoder, trainee: any Trainee, optimizer: Optimizer, recipe: Recipe, tokens: Int,
        longestPrompt: Int = 1, samples: Int = 0, checkpointing: Bool, judges: Int = 0, base: Int?
    ) {
        let trains = recipe.run.doesTrain
        let weights = decoder.weightBytes
        let trained = trainee.parameters.reduce(0) { $0 + 4 * $1.storageCount }
        let isAdapter = recipe.method.type == .lora
        let state = optimizer.arrays.reduce(0) { $0 + $1.byteCount }
        let shape = decoder.shape
        let activations = Self.activationBytes(
            shape, tokens: tokens, keeping: !trains ? .nothing : checkpointing ? .inputs : .all,
            rank: isAdapter ? recipe.method.loraRank : 0)
        // Rows of logits, their gradient in place, and the same rows on their way through the head.
        let rows = min(256, max(16, (32 << 20) / (4 * shape.vocabularySize)))
        let logits = min(rows, max(1, tokens)) * shape.vocabularySize * 4
        var parts = [Part(key: "weights", name: "weights · 权重", bytes: weights)]
        if isAdapter { parts.append(Part(key: "adapter", name: Self.adapterName, bytes: trained)) }
        parts += [
            Part(key: "gradients", name: "gradients · 梯度", bytes: trains ? trained : 0),
            Part(
                key: "optimiser", name: "optimiser · 优化器",
                bytes: optimizer.configuration.isPaged || !trains ? 0 : state),
            Part(key: "activations", name: "activations · 激活", bytes: activations),
            Part(key: "logits", name: "logits · 对数几率", bytes: logits),
            Part(key: "samples", name: "samples read ahead · 预读样本", bytes: samples),
        ]
        if recipe.method.stage.writesAnswers {
            parts.append(
                Self.rollouts(decoder, recipe: recipe, longestPrompt: max(1, longestPrompt)))
        }
        if judges > 0 { parts.append(Self.judges(judges)) }
        // What is held already counts weights, adapter and reward models.
        let rewardModels = trainee.rewardModelBytes
        if rewardModels > 0 { parts.append(Self.rewardModels(rewardModels)) }
        if let base {
            parts.append(
                Self.program(max(0, base - weights - (isAdapter ? trained : 0) - rewardModels)))
        }
        self.parts = parts
        isUpperBound = Self.isUpperBound(recipe)
    }

    /// Of a run that only answers.
    ///
    /// - Parameters:
    ///   - longestPrompt: Tokens of the longest prompt.
    ///   - judges: Bytes of the models that grade answers, loaded when they are first asked.
    ///   - rewardModels: Bytes of models that score the answers, loaded already.
    ///   - base: What the process holds before the first answer; nil if the system does not tell.
    init(
        answering model: TrainableModel, recipe: Recipe, longestPrompt: Int, judges: Int = 0,
        rewardModels: Int = 0,
        base: Int?
    ) {
        let weights = model.decoder.weightBytes
        let adapter = model.adapter?.byteCount ?? 0
        parts = [Part(key: "weights", name: "weights · 权重", bytes: weights)]
        if adapter > 0 {
            parts.append(Part(key: "adapter", name: Self.adapterName, bytes: adapter))
        }
        parts.append(
            Self.rollouts(model.decoder, recipe: recipe, longestPrompt: max(1, longestPrompt)))
        if judges > 0 { parts.append(Self.judges(judges)) }
        if rewardModels > 0 { parts.append(Self.rewardModels(rewardModels)) }
        if let base {
            parts.append(Self.program(max(0, base - weights - adapter - rewardModels)))
        }
        isUpperBound = Self.isUpperBound(recipe)
    }

    private static func isUpperBound(_ recipe: Recipe) -> Bool {
        recipe.method.stage.writesAnswers && !recipe.alignment.tools.isEmpty
    }

    private static let adapterName = "adapter · 适配器"

    private static func judges(_ bytes: Int) -> Part {
        Part(key: "judges", name: "judges with keys and values · 评审模型与键值", bytes: bytes)
    }

    private static func rollouts(
        _ decoder: Decoder, recipe: Recipe, longestPrompt: Int
    ) -> Part {
        Part(
            key: "rollouts",
            name: isUpperBound(recipe)
                ? "keys and values of answers, at most · 回答的键值（上限）"
                : "keys and values of answers · 回答的键值",
            bytes: RolloutWriter.keyValueBytes(
                decoder, recipe: recipe, longestPrompt: longestPrompt))
    }

    private static func rewardModels(_ bytes: Int) -> Part {
        Part(key: "reward_models", name: "reward models · 奖励模型", bytes: bytes)
    }

    private static func program(_ bytes: Int) -> Part {
        Part(key: "program", name: "program, tokenizer, data · 程序、分词器、数据", bytes: bytes)
    }

    /// What of a layer outlives its forward pass.
    enum Kept {
        /// All that its backward reads.
        case all
        /// Its input, from which the rest is computed again.
        case inputs
        /// Nothing: there is no backward.
        case nothing
    }

    /// Bytes that a micro-batch takes at its fullest: what the tape keeps for the backward, and more.
    static func activationBytes(
        _ shape: ModelShape, tokens: Int, keeping: Kept, rank: Int
    ) -> Int {
        let layer = activationFloats(shape, rank: rank)
        let kept =
            switch keeping {
            case .all: shape.layerCount * layer
            case .inputs: shape.layerCount * shape.width + layer
            case .nothing: layer
            }
        // At the last layer's backward: its gradients beside what is kept.
        let moving = 2 * shape.hiddenWidth + 4 * shape.width
        return 4 * tokens * (kept + moving)
    }

    /// Floats of a token that one layer keeps: its two residual inputs, queries, keys, values, the
    /// attention's output with its log-sums, gate and up. Norms and the gated product are computed
    /// again. A low-rank update keeps what `A` gives, for each of seven modules.
    private static func activationFloats(_ shape: ModelShape, rank: Int) -> Int {
        let queries = shape.heads * shape.headDimension
        let keys = shape.keyValueHeads * shape.headDimension
        return 2 * shape.width + 2 * queries + 2 * keys + shape.heads + 2 * shape.hiddenWidth
            + 7 * rank
    }

    /// Whether the machine has that much, with a fifth to spare.
    static func fits(_ total: Int) -> Bool {
        ProcessMemory.available.map { total < $0 / 5 * 4 } ?? true
    }
}
