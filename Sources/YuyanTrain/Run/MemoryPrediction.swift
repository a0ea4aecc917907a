import YuyanModels
import YuyanNN
import YuyanTensor

/// What a run will hold in memory, by part, in bytes.
///
/// Weights, gradients, optimiser and reward models are counted exactly. Activations follow from what the tape keeps:
/// see `activationFloats`. The program itself, with tokenizer and data, is measured, not predicted.
public struct MemoryPrediction: Sendable {
    /// The parts, largest ideas first.
    public var parts: [Part]

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
    ///   - base: What the process holds before the first step; nil if the system does not tell.
    init(
        decoder: Decoder, trainee: any Trainee, optimizer: Optimizer, recipe: Recipe, tokens: Int,
        longestPrompt: Int = 1, checkpointing: Bool, base: Int?
    ) {
        let weights = decoder.weightBytes
        let trained = trainee.parameters.reduce(0) { $0 + 4 * $1.storageCount }
        let isAdapter = recipe.method.type == .lora
        let state = optimizer.arrays.reduce(0) { $0 + $1.byteCount }
        let shape = decoder.shape
        let activations = Self.activationBytes(
            shape, tokens: tokens, checkpointing: checkpointing,
            rank: isAdapter ? recipe.method.loraRank : 0)
        // Rows of logits, their gradient in place, and the same rows on their way through the head.
        let rows = min(256, max(16, (32 << 20) / (4 * shape.vocabularySize)))
        let logits = min(rows, max(1, tokens)) * shape.vocabularySize * 4
        var parts = [Part(key: "weights", name: "weights · 权重", bytes: weights)]
        if isAdapter { parts.append(Part(key: "adapter", name: Self.adapterName, bytes: trained)) }
        parts += [
            Part(key: "gradients", name: "gradients · 梯度", bytes: trained),
            Part(
                key: "optimiser", name: "optimiser · 优化器",
                bytes: optimizer.configuration.isPaged ? 0 : state),
            Part(key: "activations", name: "activations · 激活", bytes: activations),
            Part(key: "logits", name: "logits · 对数几率", bytes: logits),
        ]
        if recipe.method.stage.writesAnswers {
            parts.append(
                Self.rollouts(decoder, recipe: recipe, longestPrompt: max(1, longestPrompt)))
        }
        // What is held already counts weights and adapter, and the optimiser's state once touched.
        let judges = trainee.rewardModelBytes
        if judges > 0 { parts.append(Self.rewardModels(judges)) }
        if let base {
            parts.append(
                Self.program(max(0, base - weights - (isAdapter ? trained : 0) - judges)))
        }
        self.parts = parts
    }

    /// Of a run that only answers.
    ///
    /// - Parameters:
    ///   - longestPrompt: Tokens of the longest prompt.
    ///   - rewardModels: Bytes of models that score the answers.
    ///   - base: What the process holds before the first answer; nil if the system does not tell.
    init(
        answering model: TrainableModel, recipe: Recipe, longestPrompt: Int, rewardModels: Int,
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
        if rewardModels > 0 { parts.append(Self.rewardModels(rewardModels)) }
        if let base {
            parts.append(Self.program(max(0, base - weights - adapter - rewardModels)))
        }
    }

    private static let adapterName = "adapter · 适配器"

    private static func rollouts(
        _ decoder: Decoder, recipe: Recipe, longestPrompt: Int
    ) -> Part {
        Part(
            key: "rollouts", name: "keys and values of answers · 回答的键值",
            bytes: RolloutWriter.keyValueBytes(
                decoder, recipe: recipe, longestPrompt: longestPrompt))
    }

    private static func rewardModels(_ bytes: Int) -> Part {
        Part(key: "reward_models", name: "reward models · 奖励模型", bytes: bytes)
    }

    private static func program(_ bytes: Int) -> Part {
        Part(key: "program", name: "program, tokenizer, data · 程序、分词器、数据", bytes: bytes)
    }

    /// Bytes that the tape keeps between forward and backward of a micro-batch, at its fullest.
    static func activationBytes(
        _ shape: ModelShape, tokens: Int, checkpointing: Bool, rank: Int
    ) -> Int {
        let layer = activationFloats(shape, rank: rank)
        let kept =
            checkpointing
            ? shape.layerCount * shape.width + layer : shape.layerCount * layer
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
