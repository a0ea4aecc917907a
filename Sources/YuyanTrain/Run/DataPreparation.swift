import YuyanFormats
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
    /// Of files and sizes; another value means other data.
    let fingerprint: String
    /// The longest sample.
    let longest: Int
    /// Tokens of the largest micro-batch that may come.
    let mostTokens: Int

    init(
        _ recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate?, device: Device
    ) throws {
        let options = DataOptions(recipe)
        data = try TrainingData(options, tokenizer: tokenizer, template: template)
        survey = recipe.data.streaming ? nil : try data.survey(.training, pool: device.pool)
        var batches: [TrainingBatch] = []
        if data.hasValidation {
            let loader = try data.loader(.validation)
            while let loaded = try loader.next() { batches.append(loaded.batch) }
        }
        validation = batches.isEmpty ? [] : [ValidationSet(batches: batches)]
        validationTokens = batches.reduce(0) { $0 + $1.tokens.count }
        let tally = survey?.tally
        fingerprint =
            "\(data.rowCount(.training)) rows"
            + (tally.map { ", \($0.samples) samples, \($0.tokens) tokens" } ?? "")
        longest = min(tally?.longest ?? options.cutoffLength, options.cutoffLength)
        let row = options.isPacked ? options.cutoffLength : longest
        mostTokens = options.batchSize * row
    }

    /// Steps and epochs.
    func plan(_ recipe: Recipe) -> StepPlan {
        StepPlan(
            accumulation: recipe.optimisation.accumulationSteps,
            epochs: recipe.optimisation.epochs,
            maximumSteps: recipe.optimisation.maximumSteps,
            microBatches: survey.map { survey in { survey.batchCount(epoch: $0) } })
    }
}

extension DataOptions {
    /// What a recipe says about its data.
    init(_ recipe: Recipe) {
        self.init()
        let (data, run) = (recipe.data, recipe.run)
        datasets = data.sets
        folder = data.folder
        evaluationDatasets = data.evaluationSets
        validation =
            switch data.validationSize {
            case 0: .none
            case ..<1: .share(data.validationSize)
            default: .rows(Int(data.validationSize))
            }
        stage = recipe.method.stage == .pt ? .pretraining : .supervised
        cutoffLength = data.cutoffLength
        overlong =
            switch data.overlong {
            case .stop: .stop
            case .skip: .skip
            case .truncate: .truncate
            }
        maxSamples = data.maximumSamples
        mixing =
            switch data.mixStrategy {
            case .concat: .concat
            case .interleaveUnder: .interleaveUnder
            case .interleaveOver: .interleaveOver
            }
        probabilities = data.mixWeights
        lossWeights = data.lossWeights
        isPacked = data.neatPacking || data.packing ?? (recipe.method.stage == .pt)
        batchSize = recipe.optimisation.batchSize
        evaluationBatchSize = run.evaluationBatchSize
        seed = UInt64(run.dataSeed ?? run.seed)
        isShuffled = !data.disablesShuffling
        supervision = data.trainsOnPrompt ? .all : data.masksHistory ? .lastAnswer : .answers
        badRows = data.badRows == .stop ? .stop : .skip
        if let thinking = data.enableThinking { variables["enable_thinking"] = .bool(thinking) }
    }
}
