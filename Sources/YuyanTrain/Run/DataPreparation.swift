import YuyanFormats
import YuyanNN
import YuyanTensor
import YuyanText

/// The data of a run, counted, and what a checkpoint says of them.
struct PreparedData {
    let data: TrainingData
    /// Counts of every row; nil for streamed data.
    let survey: DataSurvey?
    let validation: [ValidationSet]
    /// Tokens of the validation samples.
    let validationTokens: Int
    /// Of counts and of the files' bytes, streamed files by their ends; another value means other data.
    let fingerprint: String
    /// What rendered them.
    let template: TemplateDigest
    /// The longest sample.
    let longest: Int
    /// Tokens of the largest micro-batch that may come.
    let mostTokens: Int
    /// Bytes of the samples that are read before they are trained on: packing looks at many rows
    /// together. 0 for streamed data, whose rows nobody has counted.
    let sampleBytes: Int

    /// What a user should know about the rows, a line each.
    let notes: [String]

    init(
        _ recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate?, vocabularySize: Int,
        device: Device, fetchedFolder: String?
    ) throws {
        self.template = TemplateDigest(recipe, template: template)
        var options = DataOptions(recipe)
        options.fetchedFolder = fetchedFolder
        if recipe.method.stage.writesAnswers {
            options.tools = try recipe.alignment.tools.set(place: "recipe").offers
        }
        data = try TrainingData(
            options, tokenizer: tokenizer, template: template, vocabularySize: vocabularySize)
        survey = recipe.data.streaming ? nil : try data.survey(.training, pool: device.pool)
        var batches: [TrainingBatch] = []
        var validated = DataTally()
        if data.hasValidation {
            let loader = try data.loader(.validation)
            while let loaded = try loader.next() {
                batches.append(loaded.batch)
                validated.add(loaded.tally)
            }
        }
        validation = batches.isEmpty ? [] : [ValidationSet(batches: batches)]
        validationTokens = batches.reduce(0) { $0 + $1.tokens.count }
        let tally = survey?.tally
        notes = (tally?.notes ?? []) + validated.notes.map { "validation: " + $0 }
        fingerprint =
            "\(data.rowCount(.training)) rows"
            + (tally.map { ", \($0.samples) samples, \($0.tokens) tokens" } ?? "")
            + (batches.isEmpty ? "" : ", \(validationTokens) tokens to validate on")
            + ", files \(data.fingerprint(isWhole: !recipe.data.streaming))"
        longest = min(tally?.longest ?? options.cutoffLength, options.cutoffLength)
        let row = options.isPacked ? options.cutoffLength : longest
        mostTokens = options.batchSize * row
        let rows = data.rowCount(.training)
        sampleBytes = tally.map { options.sampleBytes($0, rows: rows) } ?? 0
    }

    /// Steps and epochs.
    ///
    /// - Throws: `DataError.nothingToLearn` if an epoch of a mixture meets bad rows only;
    ///   `RecipeError` if the steps take too many epochs.
    func plan(_ recipe: Recipe) throws -> StepPlan {
        try StepPlan(
            accumulation: recipe.optimisation.accumulationSteps,
            epochs: recipe.optimisation.epochs,
            maximumSteps: recipe.optimisation.maximumSteps,
            repetitions: recipe.repetitions,
            microBatches: survey.map { survey in
                { epoch in
                    let count = survey.batchCount(epoch: epoch)
                    guard count > 0 else {
                        throw DataError.nothingToLearn(
                            rows: data.rowCount(.training), problems: survey.tally.problems)
                    }
                    return count
                }
            })
    }
}

extension PreparedData {
    /// The micro-batches of a run, and single samples where its method may ask for these.
    func source(_ recipe: Recipe, from cursor: DataCursor) throws(DataError) -> any BatchSource {
        guard recipe.resamples > 0 else { return try data.loader(.training, from: cursor) }
        return SampleStream(
            try data.loader(.training, from: cursor, batchSize: 1),
            batchSize: recipe.optimisation.batchSize)
    }

    /// What rules of `RecipeLint` ask about data and model.
    func facts(_ recipe: Recipe, plan: StepPlan, model: PreparedModel) throws -> LintFacts {
        var facts = LintFacts()
        facts.steps = plan.steps
        facts.contextLength = model.decoder.shape.contextLength
        if recipe.method.stage.writesAnswers {
            facts.longReferenceShare = try longReferenceShare(recipe, model.tokenizer)
        }
        guard let tally = survey?.tally else { return facts }
        facts.epochs = plan.passes
        facts.samples = tally.samples
        facts.longest = tally.longest
        facts.desirable = tally.desirable
        facts.undesirable = tally.undesirable
        return facts
    }

    /// Prompts whose answers in the data are measured.
    private static let measuredPrompts = 256

    /// Share of the first answers in the data that are longer than answers may be; nil if there are
    /// none.
    private func longReferenceShare(_ recipe: Recipe, _ tokenizer: Tokenizer) throws -> Double? {
        let loader = try data.loader(.training, epochs: 1)
        var (seen, measured, long) = (0, 0, 0)
        while seen < Self.measuredPrompts, let batch = try loader.next()?.batch {
            for case .prompt(let row)? in batch.samples.map(\.companion) {
                seen += 1
                let answers = ArithmeticReward.usualColumns.compactMap { name in
                    row.columns.last { $0.key == name }?.value.string
                }
                guard let text = answers.first else { continue }
                measured += 1
                let count = tokenizer.encode(text, addSpecial: false).count
                if count > recipe.alignment.completionLength { long += 1 }
            }
        }
        return measured == 0 ? nil : Double(long) / Double(measured)
    }
}

extension DataOptions {
    /// Bytes of the samples of the rows that are in memory at a time.
    ///
    /// - Parameter rows: Of an epoch.
    fileprivate func sampleBytes(_ tally: DataTally, rows: Int) -> Int {
        let window = min(rows, isPacked ? packingWindow : (readAhead + 1) * batchSize)
        let share = Double(window) / Double(max(1, tally.rows))
        // Ids and weights, two arrays of a sample with their heads, and its place in two lists.
        let sample = 2 * MemoryLayout<TrainingSample>.stride + 2 * 48 + 48
        return Int(share * Double(8 * tally.tokens + sample * tally.samples))
    }

    /// What a recipe says about its data.
    init(_ recipe: Recipe) {
        self.init()
        let (data, run) = (recipe.data, recipe.run)
        // What is only evaluated on is then all there is to read.
        let isEvaluation = !run.doesTrain && data.validationSize == 0
        datasets = isEvaluation ? data.evaluationSets : data.sets
        folder = data.folder
        let trains = recipe.method.stage.trains
        evaluationDatasets = trains ? data.evaluationSets : []
        validation =
            switch data.validationSize {
            case _ where !trains: .none
            case 0: .none
            case ..<1: .share(data.validationSize)
            default: .rows(Int(data.validationSize))
            }
        stage =
            switch recipe.method.stage {
            case .pt: .pretraining
            case .sft: .supervised
            case .rm, .dpo, .orpo, .simpo, .cpo: .preference
            case .prm: .stepwise
            case .kto: .unpaired
            case .grpo, .rloo, .reinforce, .ppo, .sample: .prompts
            }
        cutoffLength = data.cutoffLength
        overlong =
            switch data.overlong {
            case .stop: .stop
            case .skip: .skip
            case .truncate: .truncate
            }
        maxSamples = data.maximumSamples
        if !isEvaluation {
            mixing =
                switch data.mixStrategy {
                case .concat: .concat
                case .interleaveUnder: .interleaveUnder
                case .interleaveOver: .interleaveOver
                }
            probabilities = data.mixWeights
            lossWeights = data.lossWeights
        }
        isPacked = data.neatPacking || data.packing ?? (recipe.method.stage == .pt)
        batchSize = recipe.optimisation.batchSize
        evaluationBatchSize = run.evaluationBatchSize
        seed = UInt64(run.dataSeed ?? run.seed)
        isShuffled = !data.disablesShuffling && trains
        supervision = data.trainsOnPrompt ? .all : data.masksHistory ? .lastAnswer : .answers
        badRows = data.badRows == .stop ? .stop : .skip
        if let thinking = data.enableThinking { variables["enable_thinking"] = .bool(thinking) }
    }
}
