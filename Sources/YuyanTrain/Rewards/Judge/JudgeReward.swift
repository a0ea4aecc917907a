import Synchronization
import YuyanFormats
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The grade that a local language model gives a completion.
///
/// The model is loaded when the first batch comes, and stays. A judge that cannot be loaded, or an
/// answer that does not come, is a fault of the rows that it was to grade.
final class JudgeReward: RewardFunction {
    let name: String
    private let prompt: JudgePrompt
    private let scale: GradeScale
    /// Whether the grade stays as it is, instead of becoming 0 to 1.
    private let isRaw: Bool
    private let origin: JudgeSource
    private let asking: JudgeModel.Settings
    private let model = Mutex<Result<JudgeModel, RewardFault>?>(nil)
    /// For messages.
    private let source: RewardSettings

    func scores(_ completions: [ScoredCompletion]) throws -> [Double?] {
        var scores = [Double?](repeating: nil, count: completions.count)
        let questions = completions.map { prompt.text(for: $0, scale) }
        let asked = completions.indices.filter { questions[$0] != nil }
        guard !asked.isEmpty else { return scores }
        var faults: [Int: String] = [:]
        do {
            let grades = try loaded().grades(asked.compactMap { questions[$0] })
            for (row, grade) in zip(asked, grades) {
                do {
                    let value = try grade.get()
                    scores[row] = isRaw ? value : scale.share(value)
                } catch {
                    faults[row] = "\(error)"
                }
            }
        } catch {
            for row in asked { faults[row] = "\(error)" }
        }
        guard faults.isEmpty else { throw PartialRewards(scores: scores, faults: faults) }
        return scores
    }

    private func loaded() throws -> JudgeModel {
        try model.withLock { model in
            if let model { return try model.get() }
            let made: Result<JudgeModel, RewardFault>
            do {
                let device = source.host.device ?? Device()
                made = .success(
                    try JudgeModel(
                        origin, settings: asking, stop: source.host.stop, device: device))
            } catch {
                made = .failure(RewardFault("the judge cannot be loaded: \(error)"))
            }
            model = made
            return try made.get()
        }
    }

    func predictedBytes() throws -> Int {
        do {
            return try origin.predictedBytes() + JudgeModel.keyValueBytes
        } catch {
            throw source.fault(
                "model", "not readable", expected: "a model, and maybe its adapter: \(error)")
        }
    }

    /// Refuses a prompt with a place that no row can fill.
    func check(columns: Set<String>) throws(RecipeError) {
        let known = JudgePrompt.ownNames + columns.sorted()
        for name in prompt.names where !known.contains(name) {
            let nearest = nearestNames(to: name, in: known)
            throw source.fault(
                "prompt", "a text with {\(name)}",
                expected: "places among \(known.joined(separator: ", "))"
                    + (nearest.isEmpty ? "" : "; nearest: \(nearest[0])"))
        }
    }

    // MARK: - Settings

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        name = settings.label
        var origin = JudgeSource(model: try Self.model(&settings))
        origin.adapter = try settings.value("adapter", nil)
        if let adapter = origin.adapter { try Self.check("adapter", adapter, adapter, settings) }
        origin.template = try settings.value("template", nil)
        self.origin = origin
        let bounds = settings.node("scale")
        guard let scale = GradeScale(bounds.map { [Int]($0) ?? [] } ?? [0, 10]) else {
            throw settings.fault(
                "scale", bounds?.inline ?? "nothing",
                expected:
                    "two whole numbers, the lower first, at most \(GradeScale.mostSteps) apart")
        }
        self.scale = scale
        isRaw = try settings.value("raw", false)
        let reason = try settings.value("reason", 200, atLeast: 0)
        guard reason <= Self.longestReason else {
            throw settings.fault(
                "reason", "\(reason)", expected: "characters, at most \(Self.longestReason)")
        }
        prompt = try Self.prompt(&settings, hasReason: reason > 0)
        var asking = JudgeModel.Settings(answer: JudgeAnswer(scale: scale, reasonLength: reason))
        asking.seed = settings.host.seed
        try Self.read(&asking, from: &settings)
        self.asking = asking
        source = settings
    }

    /// What the recipe calls the model of the run.
    private static let selfName = "self"

    private static func model(
        _ settings: inout RewardSettings
    ) throws(RecipeError) -> JudgeSource.Model {
        let model = try settings.value("model", "")
        guard !model.isEmpty else {
            throw settings.fault(
                "model", "nothing",
                expected: "a GGUF file, a Hugging Face folder or a cached name; or self")
        }
        guard model != selfName else {
            switch settings.host.own {
            case .frozen(let own): return .own(own)
            case .promised: return .promised
            case .changing:
                throw settings.fault(
                    "model", "'self'",
                    expected: "another model: self is the base of the model in training, which "
                        + "only finetuning_type: lora without additional_target leaves as it is")
            }
        }
        let path: String
        do {
            path = try settings.host.modelPath(model)
        } catch {
            throw settings.fault("model", "'\(model)'", expected: "a model: \(error)")
        }
        try check("model", model, path, settings)
        return .files(path)
    }

    private static func check(
        _ key: String, _ value: String, _ path: String, _ settings: RewardSettings
    ) throws(RecipeError) {
        guard access(path, R_OK) == 0 else {
            throw settings.fault(
                key, "'\(value)'",
                expected: "a file or folder that can be read: "
                    + String(cString: strerror(errno)))
        }
    }

    private static let longestReason = 10_000
    private static let mostSamples = 64

    private static func read(
        _ asking: inout JudgeModel.Settings, from settings: inout RewardSettings
    ) throws(RecipeError) {
        asking.takesExpectation = try settings.value("expectation", asking.takesExpectation)
        asking.samples = try settings.value("samples", asking.samples, atLeast: 1)
        guard asking.samples <= mostSamples else {
            throw settings.fault(
                "samples", "\(asking.samples)", expected: "at most \(mostSamples)")
        }
        guard asking.samples == 1 || asking.writes else {
            throw settings.fault(
                "samples", "\(asking.samples)",
                expected: "1: with expectation and without a reason all samples are alike")
        }
        asking.temperature = try settings.value("temperature", asking.samples > 1 ? 1 : 0.0)
        guard (0...100).contains(asking.temperature) else {
            throw settings.fault("temperature", "\(asking.temperature)", expected: "0 to 100")
        }
        guard asking.samples == 1 || asking.temperature >= 0.01 else {
            throw settings.fault(
                "temperature", "\(asking.temperature)",
                expected: "0.01 or more: \(asking.samples) samples at 0 are all alike")
        }
        asking.maxTokens = try settings.value(
            "max_tokens", asking.answer.reasonLength + asking.maxTokens, atLeast: 1)
        guard let seconds: Double = try settings.value("timeout", nil) else { return }
        guard seconds > 0, seconds <= 86_400 else {
            throw settings.fault("timeout", "\(seconds)", expected: "seconds, above 0")
        }
        asking.time = .microseconds(Int64(max(1, seconds * 1e6)))
    }

    private static func prompt(
        _ settings: inout RewardSettings, hasReason: Bool
    ) throws(RecipeError) -> JudgePrompt {
        let given: String? = try settings.value("prompt", nil)
        let file: String? = try settings.value("prompt_file", nil)
        guard given == nil || file == nil else {
            throw settings.fault(
                "prompt", "given beside prompt_file", expected: "one of them")
        }
        let key = file == nil ? "prompt" : "prompt_file"
        var text = given ?? (hasReason ? JudgePrompt.usualWithReason : JudgePrompt.usual)
        if let file {
            do {
                text = try MappedFile(path: file).text
            } catch {
                throw settings.fault(key, "'\(file)'", expected: "a text: \(error)")
            }
        }
        let prompt = JudgePrompt(text)
        guard prompt.names.contains("completion") else {
            throw settings.fault(
                key, "a text without {completion}", expected: "what is graded in its place")
        }
        return prompt
    }
}

extension JudgeReward: ConfiguredReward {
    static let kind = "judge"
    static let isForeign = true
}
