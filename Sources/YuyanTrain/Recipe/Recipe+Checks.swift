import YuyanFormats

extension Recipe {
    /// Keys that hold paths, in which `${NAME}` and a leading `~` are replaced.
    static let pathKeys: Set<String> = [
        "model_name_or_path", "adapter_name_or_path", "dataset", "eval_dataset", "dataset_dir",
        "output_dir", "resume_from_checkpoint", "reward_model", "reference_cache",
    ]

    /// A path with `${NAME}` and a leading `~` replaced; `$${` stands for `${`.
    ///
    /// - Parameters:
    ///   - key: Whose value it is, for messages.
    ///   - environment: What a name means.
    /// - Throws: `RecipeError.badValue` if a variable is not set.
    static func expanded(
        _ path: String, key: String, file: String, environment: (String) -> String?
    ) throws(RecipeError) -> String {
        var result = ""
        var rest = path[...]
        if rest == "~" || rest.hasPrefix("~/") {
            guard let home = environment("HOME") else {
                throw .badValue(
                    place: file, key: key, found: "'\(path)'",
                    expected: "a path without ~: HOME is not set")
            }
            result = home
            rest = rest.dropFirst()
        }
        while let start = rest.firstRange(of: "${") {
            let before = rest[..<start.lowerBound]
            if before.last == "$" {
                result += before.dropLast() + "${"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { break }
            let name = String(rest[start.upperBound..<end])
            guard let value = environment(name) else {
                throw .badValue(
                    place: file, key: key, found: "'\(path)'",
                    expected: "variables that are set: ${\(name)} is not")
            }
            result += before + value
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    /// Replaces `${NAME}` and a leading `~` in everything that is a path.
    mutating func expandPaths(file: String, environment: (String) -> String?) throws {
        func expanded(_ path: String, _ key: String) throws -> String {
            try Self.expanded(path, key: key, file: file, environment: environment)
        }
        model.path = try expanded(model.path, "model_name_or_path")
        model.adapters = try model.adapters.map { try expanded($0, "adapter_name_or_path") }
        data.sets = try data.sets.map { try expanded($0, "dataset") }
        data.evaluationSets = try data.evaluationSets.map { try expanded($0, "eval_dataset") }
        data.folder = try expanded(data.folder, "dataset_dir")
        alignment.rewardModel = try expanded(alignment.rewardModel, "reward_model")
        alignment.referenceCache = try expanded(alignment.referenceCache, "reference_cache")
        alignment.rewards = try alignment.rewards.mapPaths { try expanded($0, "reward_funcs") }
        run.outputFolder = try expanded(run.outputFolder, "output_dir")
        run.resumeFrom = try run.resumeFrom.map { try expanded($0, "resume_from_checkpoint") }
        while run.outputFolder.count > 1, run.outputFolder.hasSuffix("/") {
            run.outputFolder.removeLast()
        }
    }

    /// Refuses what cannot be run, before anything is loaded.
    func check(file: String) throws(RecipeError) {
        try checkRequired(file)
        try checkRanges(file)
        try checkMethod(file)
        try checkAlignment(file)
        try RecipeLint.check(self, file: file)
        if data.streaming, optimisation.maximumSteps <= 0 {
            throw .conflict(
                file: file,
                what: "streaming data has no known end; set max_steps instead of num_train_epochs")
        }
        if !data.mixWeights.isEmpty, data.mixWeights.count != data.sets.count {
            throw .conflict(
                file: file,
                what: "interleave_probs has \(data.mixWeights.count) numbers for "
                    + "\(data.sets.count) data sets; give one for each")
        }
        if run.loadsBest || run.earlyStoppingSteps != nil, evaluationInterval == .no {
            throw .conflict(
                file: file,
                what: "load_best_model_at_end and early_stopping_steps need evaluations; set "
                    + "val_size or eval_dataset, and not eval_strategy: no")
        }
    }

    /// When the validation set is evaluated: as asked, or by steps if there is one.
    public var evaluationInterval: Interval {
        run.evaluationStrategy ?? (hasValidation ? .steps : .no)
    }

    private func checkRequired(_ file: String) throws(RecipeError) {
        guard !model.path.isEmpty else {
            throw .missing(file: file, key: "model_name_or_path", example: "smollm2-135m")
        }
        guard run.doesTrain || hasValidation else {
            throw .missing(file: file, key: "eval_dataset", example: "held-out.jsonl")
        }
        guard !data.sets.isEmpty || !run.doesTrain && data.validationSize == 0 else {
            throw .missing(file: file, key: "dataset", example: "data.jsonl")
        }
        guard !run.outputFolder.isEmpty else {
            throw .missing(file: file, key: "output_dir", example: "out/first-run")
        }
        guard hasValidation || evaluationInterval == .no && !run.evaluatesOnStart else {
            throw .missing(file: file, key: "val_size", example: "0.05")
        }
    }

    /// Far above what anybody wants, and so far below the largest number that products stay exact.
    private static let mostSteps = 1e9
    private static let mostSamples = 1 << 20
    private static let mostTokens = 1 << 24
    private static let mostLayers = 1 << 20
    private static let mostRank = 1 << 20

    private func checkRanges(_ file: String) throws(RecipeError) {
        func check(_ key: String, _ value: Double, _ isRight: Bool, _ expected: String)
            throws(RecipeError)
        {
            guard isRight else {
                let found = Int(exactly: value).map { "\($0)" } ?? "\(value)"
                throw .badValue(place: file, key: key, found: found, expected: expected)
            }
        }
        func positive(_ key: String, _ value: Int) throws(RecipeError) {
            try check(key, Double(value), value >= 1, "at least 1")
        }
        func whole(
            _ key: String, _ value: Int, from least: Int = 1, to most: Int
        ) throws(RecipeError) {
            guard value < least || value > most else { return }
            throw .badValue(
                place: file, key: key, found: "\(value)",
                expected: "at least \(least), at most \(most)")
        }
        let o = optimisation
        try check("learning_rate", o.learningRate, o.learningRate > 0, "above 0")
        try check("weight_decay", o.weightDecay, o.weightDecay >= 0, "at least 0")
        try check("adam_beta1", o.beta1, (0..<1).contains(o.beta1), "from 0 to below 1")
        try check("adam_beta2", o.beta2, (0..<1).contains(o.beta2), "from 0 to below 1")
        try check("adam_epsilon", o.epsilon, o.epsilon > 0, "above 0")
        try check(
            "max_grad_norm", o.maximumGradientNorm, o.maximumGradientNorm >= 0, "at least 0")
        try check(
            "warmup_steps", o.warmupSteps, (0...Self.mostSteps).contains(o.warmupSteps),
            "at least 0, at most \(Int(Self.mostSteps))")
        try check("warmup_ratio", o.warmupRatio, (0...1).contains(o.warmupRatio), "from 0 to 1")
        try whole("per_device_train_batch_size", o.batchSize, to: Self.mostSamples)
        try whole("gradient_accumulation_steps", o.accumulationSteps, to: Self.mostSamples)
        try check(
            "num_train_epochs", o.epochs,
            o.epochs > 0 && o.epochs <= Double(StepPlan.mostEpochs) || o.maximumSteps > 0,
            "above 0, at most \(StepPlan.mostEpochs)")
        let steps = Double(o.maximumSteps)
        try check(
            "max_steps", steps, (1...Self.mostSteps).contains(steps) || o.maximumSteps == -1,
            "at least 1, or -1 to count epochs; at most \(Int(Self.mostSteps))")
        try whole("cutoff_len", data.cutoffLength, from: 2, to: Self.mostTokens)
        if let samples = data.maximumSamples { try positive("max_samples", samples) }
        let size = data.validationSize
        try check(
            "val_size", size,
            (0...Self.mostSteps).contains(size) && (size < 1 || size == size.rounded()),
            "a share below 1, or a number of samples, at most \(Int(Self.mostSteps))")
        for weight in data.mixWeights {
            try check("interleave_probs", weight, weight > 0, "numbers above 0")
        }
        for weight in data.lossWeights {
            // With 0 nothing would be learnt, and steps of nothing cannot be taken.
            try check(
                "dataset_weights", weight, Float(weight) > 0 && Float(weight).isFinite,
                "float32 numbers above 0; leave a data set out to learn nothing of it")
        }
        if let threads = model.threads {
            try check("threads", Double(threads), (1...1024).contains(threads), "1 to 1024")
        }
        try positive("logging_steps", run.loggingSteps)
        try positive("save_steps", run.saveSteps)
        if let steps = run.evaluationSteps { try positive("eval_steps", steps) }
        if let limit = run.saveLimit { try positive("save_total_limit", limit) }
        try whole(
            "per_device_eval_batch_size", run.evaluationBatchSize, to: Self.mostSamples)
        if let steps = run.earlyStoppingSteps { try positive("early_stopping_steps", steps) }
        try whole("seed", run.seed, from: 0, to: .max)
        if let seed = run.dataSeed { try whole("data_seed", seed, from: 0, to: .max) }
        try whole(
            "freeze_trainable_layers", method.freezeTrainableLayers, from: -Self.mostLayers,
            to: Self.mostLayers)
        try check(
            "report_samples", Double(run.reportSamples), (0...64).contains(run.reportSamples),
            "0 to 64")
        for name in run.reportTo where !["tensorboard", "none", "all"].contains(name) {
            throw .badValue(
                place: file, key: "report_to", found: "'\(name)'",
                expected: "tensorboard, all or none; metrics.jsonl is always written")
        }
    }

    private func checkMethod(_ file: String) throws(RecipeError) {
        func refuse(_ key: String, _ found: String, _ expected: String) -> RecipeError {
            .badValue(place: file, key: key, found: found, expected: expected)
        }
        guard run.doesTrain || method.stage.trains else {
            throw refuse("do_train", "false", "true: stage sample has nothing to evaluate")
        }
        guard method.type != .oft else {
            throw refuse("finetuning_type", "oft", "full, freeze or lora")
        }
        guard (1...Self.mostRank).contains(method.loraRank) else {
            throw refuse(
                "lora_rank", "\(method.loraRank)", "at least 1, at most \(Self.mostRank)")
        }
        guard method.alpha > 0 else { throw refuse("lora_alpha", "\(method.alpha)", "above 0") }
        guard (0..<1).contains(method.loraDropout) else {
            throw refuse("lora_dropout", "\(method.loraDropout)", "from 0 to below 1")
        }
        if method.type == .lora, method.loraTarget.isEmpty {
            throw refuse("lora_target", "empty", "module names, or all")
        }
        let both = Set(method.loraTarget).intersection(method.additionalTarget)
        if method.type == .lora, let module = both.min() {
            throw .conflict(
                file: file,
                what: "'\(module)' is in lora_target and in additional_target; train an update of "
                    + "it or all of it")
        }
        if let ratio = method.loraPlusRatio, ratio <= 0 {
            throw refuse("loraplus_lr_ratio", "\(ratio)", "above 0")
        }
        if method.loraPlusEmbeddingRate < 0 {
            throw refuse(
                "loraplus_lr_embedding", "\(method.loraPlusEmbeddingRate)", "at least 0")
        }
        for entry in method.rankPattern.entries
        where entry.value < 1 || entry.value > Double(Self.mostRank)
            || entry.value != entry.value.rounded()
        {
            throw refuse(
                "rank_pattern", "\(entry.value) for \(entry.name)",
                "whole numbers from 1 to \(Self.mostRank)")
        }
        if method.stage.trains, !model.adapters.isEmpty, method.type != .lora {
            throw .conflict(
                file: file,
                what: "adapter_name_or_path is an adapter to go on training; use finetuning_type: "
                    + "lora, or merge it first with `yuyan adapter merge`")
        }
        if !model.mergedAdapters.isEmpty, model.quantizationBits != nil {
            throw .conflict(
                file: file,
                what: "adapters are merged into float weights, and quantization_bit keeps 4 bits "
                    + "of them; merge with `yuyan adapter merge` first and quantise the result, or give "
                    + "one adapter without create_new_adapter")
        }
        if let bits = model.quantizationBits, bits != 4 {
            throw refuse(
                "quantization_bit", "\(bits)", "4, or nothing for the format of the file")
        }
        if model.quantizationBits != nil, method.type != .lora {
            throw .conflict(
                file: file,
                what: "quantization_bit keeps weights that do not change; use finetuning_type: lora"
            )
        }
        let formats = [
            ("bf16", optimisation.usesBF16), ("fp16", optimisation.usesFP16),
            ("pure_bf16", optimisation.pureBF16),
        ].filter(\.1).map(\.0)
        guard formats.count <= 1 else {
            throw .conflict(
                file: file, what: "\(formats.joined(separator: " and ")) are both true; choose one")
        }
        if model.fromScratch, method.type != .full {
            throw .conflict(
                file: file,
                what: "train_from_scratch trains every weight; set finetuning_type: full")
        }
        if data.trainsOnPrompt, data.masksHistory {
            throw .conflict(
                file: file,
                what: "train_on_prompt takes the loss over everything, mask_history over the last "
                    + "answer only; choose one")
        }
        if method.stage == .pt, data.trainsOnPrompt || data.masksHistory {
            throw .conflict(
                file: file,
                what: "stage pt has no prompts or turns; remove train_on_prompt and "
                    + "mask_history, or use stage: sft")
        }
    }
}
