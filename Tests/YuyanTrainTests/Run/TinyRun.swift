import TestSupport
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanTrain

/// A run over a random model and random tokens, small enough to be killed after every step.
struct TinyRun {
    var recipe = Recipe()
    var threads = 2
    /// Micro-batches of an epoch.
    var count = 5
    /// Ends reading at this micro-batch of the run, as a kill would.
    var killedAt: Int?
    /// Asks to stop once so many micro-batches were looked at.
    var stopsAt: Int?
    var hasValidation = false
    /// What fp16 begins with; nil for the usual.
    var lossScale: Float?
    /// Whether micro-batches have one sample instead of two; `count` is twice as many then.
    var splitsBatches = false

    init(_ change: (inout Recipe) -> Void = { _ in }) {
        recipe.model.path = "tiny"
        recipe.data.sets = ["none"]
        recipe.optimisation.learningRate = 0.01
        recipe.optimisation.epochs = 2
        recipe.optimisation.accumulationSteps = 2
        recipe.run.loggingSteps = 1
        recipe.run.saveSteps = 1
        recipe.run.reportTo = ["none"]
        recipe.method.loraRank = 2
        recipe.method.loraDropout = 0.1
        change(&recipe)
    }

    struct Killed: Error {}

    /// Runs in a folder from wherever it stands.
    @discardableResult
    func run(in path: String) throws -> RunOutcome {
        var recipe = recipe
        recipe.run.outputFolder = path
        if hasValidation { recipe.data.validationSize = 3 }
        let folder = RunFolder(path)
        let lock = try folder.claim()
        defer { withExtendedLifetime(lock) {} }
        let resumption = try Resumption.find(recipe, folder: folder)
        let device = Device(threads: threads)
        let trainee = try trainee(recipe, device)
        let optimizer = try Optimizer(recipe, trainee.parameters, folder: path)
        var state = TrainerState()
        if let checkpoint = resumption.checkpoint, let saved = resumption.state {
            state = saved
            try trainee.restore(from: checkpoint.path)
            try optimizer.restore(
                from: SafetensorsFile(path: checkpoint.path + "/optimizer.safetensors"))
        }
        try resumption.clear(folder)
        if let lossScale, resumption.state == nil { state.lossScale = lossScale }
        let count = count
        let plan = try StepPlan(
            accumulation: recipe.optimisation.accumulationSteps, epochs: recipe.optimisation.epochs,
            maximumSteps: recipe.optimisation.maximumSteps, microBatches: { _ in count })
        let files = try RunFiles(
            folder: folder, recipe: recipe,
            context: TrainerState.Context(
                plan: plan, recipe: recipe, dataFingerprint: "random", microBatchSize: 2),
            resumed: resumption.state)
        var asked = 0
        let loop = try TrainingLoop(
            TrainingLoop.Parts(
                recipe: recipe, plan: plan, trainee: trainee,
                data: TinyData(
                    count: count, from: state.cursor, killedAt: killedAt, splits: splitsBatches),
                validation: hasValidation
                    ? [ValidationSet(batches: (0..<3).map { TinyData.batch(100 + $0) })] : [],
                optimizer: optimizer, schedule: LearningRateSchedule(recipe, steps: plan.steps),
                device: device, files: files, state: state),
            stopSignal: {
                asked += 1
                return stopsAt.map { asked > $0 } == true ? 2 : nil
            })
        let outcome = try loop.run()
        if case .interrupted = outcome { return outcome }
        try trainee.save(to: path)
        try files.finish(loop.state)
        return outcome
    }

    private func trainee(_ recipe: Recipe, _ device: Device) throws -> any Trainee {
        // The frozen part too is random, by the same seed in every run.
        let model = try TrainableModel(
            random: Self.shape, seed: 3, standardDeviation: 0.2,
            method: TrainingMethod(recipe), on: device)
        return ModelTrainee(model, recipe: recipe, device: device)
    }

    private static var shape: ModelShape {
        get throws {
            let text = """
                {"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, \
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, \
                "vocab_size": 40, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, \
                "rope_theta": 10000, "tie_word_embeddings": true, "head_dim": 8}
                """
            return try ModelShape(
                configuration: JSONDocument(bytes: Array(text.utf8), name: "tiny"), family: "llama")
        }
    }
}

/// Random micro-batches whose tokens repeat, so that there is something to learn.
final class TinyData: BatchSource {
    private let count: Int
    private var cursor: DataCursor
    private let killedAt: Int?
    private let splits: Bool

    init(count: Int, from cursor: DataCursor, killedAt: Int?, splits: Bool) {
        self.splits = splits
        self.count = count
        self.cursor = cursor
        self.killedAt = killedAt
    }

    func next() throws -> LoadedBatch? {
        let number = cursor.epoch * count + cursor.index
        if let killedAt, number >= killedAt { throw TinyRun.Killed() }
        let (epoch, endsEpoch) = (cursor.epoch, cursor.index + 1 == count)
        cursor =
            endsEpoch
            ? DataCursor(epoch: epoch + 1) : DataCursor(epoch: epoch, index: cursor.index + 1)
        return LoadedBatch(
            batch: splits
                ? TrainingBatch([Self.samples(number / 2)[number % 2]]) : Self.batch(number),
            cursor: cursor, epoch: epoch, endsEpoch: endsEpoch, unitCount: 2, tally: DataTally())
    }

    static func batch(_ number: Int) -> TrainingBatch { TrainingBatch(samples(number)) }

    private static func samples(_ number: Int) -> [TrainingSample] {
        let random = CounterRandom(seed: 9)
        return (0..<2).map { sample in
            let stream = UInt64(number * 2 + sample)
            let length = 4 + Int(random.word32(stream: stream, position: 0) % 6)
            let first = Int32(random.word32(stream: stream, position: 1) % 40)
            return TrainingSample(
                tokens: (0..<length).map { (first + Int32($0) * 3) % 40 },
                weights: (0..<length).map { $0 < 2 ? 0 : $0 % 3 == 0 ? 0.5 : 1 },
                source: SampleSource(file: "random", row: number))
        }
    }
}

extension TemporaryFolder {
    /// The bytes of files that equal runs must share.
    func bytes(_ name: String) throws -> [UInt8] {
        let file = try MappedFile(path: path + "/" + name)
        return file.withBytes { all in all.withUnsafeBytes { Array($0) } }
    }

    /// The log without measurements.
    func log() throws -> [String] {
        try ReportPage.lines(of: path + "/metrics.jsonl").map { line in
            let values = line.values.filter {
                !["tokens_per_second", "step_time", "memory_rss", "memory_peak_rss"].contains(
                    $0.key)
            }
            return "\(line.step) "
                + values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                .joined(separator: " ")
        }
    }
}
