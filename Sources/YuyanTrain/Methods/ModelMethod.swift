import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// A way to train a model other than by imitation: its numbers and files are a `ModelTrainee`'s, its
/// loss is its own.
protocol ModelMethod: Trainee {
    /// The model, and how it is kept in files.
    var base: ModelTrainee { get }
    /// What the model said before it was trained, if the loss asks for that.
    var referenceScores: ReferenceScores? { get }
}

extension ModelMethod {
    var parameters: [Parameter] { base.parameters }
    var served: LowRankAdapter? { base.served }
    var referenceScores: ReferenceScores? { nil }

    func diagnose(_ batch: TrainingBatch, tokensBefore: UInt64) -> NumericalFault? {
        base.diagnose(batch, tokensBefore: tokensBefore)
    }

    func damagedWeight(near place: String) -> DamagedWeight? { base.damagedWeight(near: place) }

    /// A step's mean is over samples, by the weights of their data sets.
    func begin(step: Int, _ batches: [TrainingBatch]) throws -> Double {
        sampleWeight(of: batches)
    }

    func sampleWeight(of batches: [TrainingBatch]) -> Double {
        batches.reduce(0) { $1.samples.reduce($0) { $0 + $1.sampleWeight } }
    }

    func refresh() { base.refresh() }
    func save(to folder: String) throws {
        try base.save(to: folder)
        try referenceScores?.save()
    }
    func export(to folder: String, as type: ElementType) throws {
        try base.export(to: folder, as: type)
        try referenceScores?.save()
    }
    func restore(from folder: String) throws { try base.restore(from: folder) }
}

/// An answer's tokens behind a prompt, and which of them count.
struct WeightedAnswer {
    let tokens: [Int32]
    let isLearnt: [Bool]

    var learntCount: Int { isLearnt.count { $0 } }

    /// Sum of the learnt tokens' log-probabilities, in order.
    func score(_ logProbabilities: some Sequence<Float>, reference: Double? = nil) -> SequenceScore
    {
        var sum = 0.0
        for (value, counts) in zip(logProbabilities, isLearnt) where counts { sum += Double(value) }
        return SequenceScore(sum: sum, reference: reference, tokenCount: learntCount)
    }
}

extension LossStatistics {
    /// Adds a number at each learnt token of an answer to the mean over such tokens.
    mutating func add(_ name: String, of values: ArraySlice<Float>, _ answer: WeightedAnswer) {
        for (value, counts) in zip(values, answer.isLearnt) where counts {
            add(name, Double(value))
        }
    }
}

extension TrainingSample {
    /// Tokens before the first that counts.
    var promptLength: Int { weights.firstIndex { $0 != 0 } ?? tokens.count }

    /// What comes behind a prompt of so many tokens.
    func answer(behind prompt: Int) -> WeightedAnswer {
        WeightedAnswer(
            tokens: Array(tokens[prompt...]), isLearnt: weights[prompt...].map { $0 != 0 })
    }

    /// What the sample counts in a mean over samples: the weight of its data set.
    var sampleWeight: Double { Double(weights.first { $0 != 0 } ?? 1) }
}

/// Two answers to one prompt, of which the first is better.
struct PreferencePair {
    let prompt: [Int32]
    let chosen: WeightedAnswer
    let rejected: WeightedAnswer
    let weight: Double
    let margin: Double

    /// Nil if the sample is no pair.
    init?(_ sample: TrainingSample) {
        guard case .rejected(let other) = sample.companion else { return nil }
        let rejected = TrainingSample(
            tokens: other.tokens, weights: other.weights, source: sample.source)
        // Texts may meet in a token, so the prompt ends where the two really part.
        let limit = min(sample.promptLength, rejected.promptLength)
        let shared = zip(sample.tokens, rejected.tokens).prefix(limit).prefix { $0 == $1 }.count
        prompt = Array(sample.tokens[..<shared])
        chosen = sample.answer(behind: shared)
        self.rejected = rejected.answer(behind: shared)
        weight = sample.sampleWeight
        margin = other.margin ?? 0
    }

    var group: AnswerGroup {
        AnswerGroup(prompt: prompt, answers: [chosen.tokens, rejected.tokens])
    }
}
