import YuyanTensor

extension Recipe {
    /// What is trained, and in which numbers its frozen part is kept.
    public struct Model: Sendable, Hashable {
        /// A GGUF file, a Hugging Face folder or a cached name.
        public var path = ""
        /// Adapters: the last is gone on from, those before it are merged.
        public var adapters: [String] = []
        /// Whether all of them are merged and a fresh one is trained.
        public var createsNewAdapter = false
        /// Whether weights are drawn at random; `path` then gives configuration and tokenizer only.
        public var fromScratch = false
        /// Bits to quantise the frozen weights to: 4, or nil for the file's own format.
        public var quantizationBits: Int?
        /// Whose 4-bit blocks.
        public var quantizationMethod = QuantizationMethod.bnb
        /// The 4-bit code.
        public var quantizationType = QuantizationType.nf4
        /// Whether the blocks' scales are quantised too.
        public var doubleQuantization = true
        /// How products with block-quantised weights are computed.
        public var precision = Precision.int16
        /// Format of the weights of a whole model that is saved.
        public var savedType = SavedType.auto
        /// Whether layers are computed again instead of kept; nil if only for want of memory.
        public var gradientCheckpointing: Bool?
        /// Forbids it, as LLaMA-Factory does.
        public var disablesGradientCheckpointing = false
        /// Worker threads; nil for all processors.
        public var threads: Int?

        /// The defaults.
        public init() {}

        /// Adapters that are added to the weights before anything else, in order.
        public var mergedAdapters: [String] {
            createsNewAdapter ? adapters : Array(adapters.dropLast())
        }
        /// The adapter that training goes on from, or that answers are written through.
        public var startAdapter: String? { createsNewAdapter ? nil : adapters.last }
    }

    /// Whose way of quantising.
    public enum QuantizationMethod: String, CaseIterable, Sendable { case bnb }
    /// The sixteen numbers that 4 bits stand for.
    public enum QuantizationType: String, CaseIterable, Sendable { case nf4, fp4 }
    /// Formats of saved weights.
    public enum SavedType: String, CaseIterable, Sendable { case auto, float16, bfloat16, float32 }

    static let modelKeys: [RecipeKey] = [
        RecipeKey(
            "model_name_or_path", \.model.path,
            "A GGUF file, a Hugging Face folder or a cached name; required."),
        RecipeKey(
            "adapter_name_or_path", \.model.adapters,
            "A PEFT folder to go on training from; its ranks and targets must be the recipe's. Stage "
                + "sample answers through it, whatever they are. Of several all but the last are merged "
                + "into the weights first."),
        RecipeKey(
            "create_new_adapter", \.model.createsNewAdapter,
            "Merge all of adapter_name_or_path and train a fresh adapter over the sum."),
        RecipeKey(
            "train_from_scratch", \.model.fromScratch,
            "Draw the weights at random; the model's folder gives configuration and tokenizer."),
        RecipeKey(
            "quantization_bit", \.model.quantizationBits,
            "4: keep the frozen weights in 4-bit blocks of 64 (QLoRA). Nothing: as in the file."),
        RecipeKey(
            "quantization_method", \.model.quantizationMethod, "Whose 4-bit blocks: bitsandbytes'."),
        RecipeKey("quantization_type", \.model.quantizationType, "The 4-bit code."),
        RecipeKey(
            "double_quantization", \.model.doubleQuantization,
            "Quantise the blocks' scales to 8 bits too."),
        RecipeKey(
            "precision", \.model.precision,
            "Products with block-quantised weights: int16 rounds activations to 16 bits a block, "
                + "f32 is the reference. The server's default too."),
        RecipeKey(
            "infer_dtype", \.model.savedType, .free,
            "Format of a saved whole model's weights; auto is float32, and bfloat16 where pure_bf16 "
                + "trained all of them."),
        RecipeKey(
            "gradient_checkpointing", \.model.gradientCheckpointing, .free,
            "Compute layers again in the backward pass instead of keeping them: the same bits, less "
                + "memory, a third more time. Nothing: only if the memory would not suffice."),
        RecipeKey(
            "disable_gradient_checkpointing", \.model.disablesGradientCheckpointing, .free,
            "Never compute layers again."),
        RecipeKey(
            "threads", \.model.threads, .free, "Worker threads; all processors by default."),
    ]
}

extension Recipe.QuantizationMethod: RecipeChoice {}
extension Recipe.QuantizationType: RecipeChoice {}
extension Recipe.SavedType: RecipeChoice {}
extension Precision: RecipeChoice {}
