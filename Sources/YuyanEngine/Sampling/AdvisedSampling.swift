import YuyanFormats
import YuyanNN

extension SamplingParameters {
    /// What a model's makers advise; what they leave open does not change the distribution.
    ///
    /// A Hugging Face directory says it in `generation_config.json`, which vLLM follows too: its
    /// `do_sample` is ignored, as the request decides. A GGUF file may say it under
    /// `general.sampling.*`, which llama.cpp follows.
    ///
    /// - Throws: `FormatError` for a value of another type, `SamplingError` for one out of range.
    public init(advisedBy checkpoint: Checkpoint) throws {
        self.init()
        switch checkpoint.source {
        case .huggingFace(let directory, _):
            guard let advice = try directory.json("generation_config.json")?.root else { return }
            try read(
                [
                    "temperature": "temperature", "topK": "top_k", "topP": "top_p",
                    "minP": "min_p", "typicalP": "typical_p",
                    "repetitionPenalty": "repetition_penalty",
                ]
            ) { key in
                try advice[key].flatMap { $0.isNull ? nil : try advice.double(key) }
            }
        case .gguf(let file):
            try read(
                [
                    "temperature": "temp", "topK": "top_k", "topP": "top_p", "minP": "min_p",
                    "repetitionPenalty": "penalty_repeat", "penaltyWindow": "penalty_last_n",
                ]
            ) { try file.optionalDouble("general.sampling.\($0)") }
        }
        try validate()
    }

    private mutating func read(
        _ names: [String: String], value: (String) throws -> Double?
    ) throws {
        func number(_ field: String) throws -> Double? {
            try names[field].flatMap { try value($0) }
        }
        func count(_ field: String) throws -> Int? {
            // Zero and below mean no limit, in both formats.
            try number(field).map { Int(exactly: max(0, $0).rounded()) ?? 0 }
        }
        if let value = try number("temperature") { temperature = Float(value) }
        if let value = try count("topK") { topK = value }
        if let value = try number("topP") { topP = Float(value) }
        if let value = try number("minP") { minP = Float(value) }
        if let value = try number("typicalP") { typicalP = Float(value) }
        if let value = try number("repetitionPenalty") { repetitionPenalty = Float(value) }
        if let value = try count("penaltyWindow"), value > 0 { penaltyWindow = value }
    }

    /// The fields that differ from plain sampling, by the names of requests; empty if none does.
    public var advice: String {
        let plain = SamplingParameters()
        var words: [String] = []
        func say(_ name: String, _ value: some CustomStringConvertible, if differs: Bool) {
            if differs { words.append("\(name) \(value)") }
        }
        say("temperature", temperature, if: temperature != plain.temperature)
        say("top_k", topK, if: topK != plain.topK)
        say("top_p", topP, if: topP != plain.topP)
        say("min_p", minP, if: minP != plain.minP)
        say("typical_p", typicalP, if: typicalP != plain.typicalP)
        say(
            "repetition_penalty", repetitionPenalty,
            if: repetitionPenalty != plain.repetitionPenalty)
        return words.joined(separator: ", ")
    }
}
