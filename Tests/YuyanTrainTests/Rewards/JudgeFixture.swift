import TestSupport
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

@testable import YuyanTrain

/// A small random chat model as a judge: its grades are noise, but of the form that grades have.
struct JudgeFixture {
    let folder = TemporaryFolder()
    var path: String { folder.path }

    /// - Parameter head: Of a whole reward model `[32]`; nil for a model that writes.
    init(scoredBy head: [Float]? = nil) throws {
        func copy(_ golden: String, _ name: String) throws {
            let text = try MappedFile(path: Goldens.path(golden)).text
            _ = folder.file(name, Array(text.utf8))
        }
        try copy("tokenizers/smollm/tokenizer.json", "tokenizer.json")
        try copy("templates/SmolLM2-135M-Instruct.jinja", "chat_template.jinja")
        let tokenizer = try Tokenizer(directory: folder.path)
        let configuration: JSONOutput = [
            "architectures": [
                head == nil ? "LlamaForCausalLM" : "LlamaForSequenceClassification"
            ], "model_type": "llama", "hidden_size": 32,
            "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-6, "hidden_act": "silu",
            "rope_theta": 10000.0, "max_position_embeddings": 2048, "tie_word_embeddings": false,
            "vocab_size": .integer(tokenizer.vocabularySize),
        ]
        _ = folder.file("config.json", Array(configuration.description.utf8))
        let device = Device(threads: 1)
        let shape = try Families.shape(of: Checkpoint(path: path, needsWeights: false)).1
        // Wide enough that no two grades are equally likely.
        let model = try TrainableModel(
            random: shape, seed: 7, standardDeviation: 0.4, on: device)
        var weights = model.decoder.weights(on: device).map { weight in
            TensorSource(
                name: weight.name, shape: weight.shape,
                values: weight.rows(0..<(weight.shape.count == 1 ? 1 : weight.shape[0])))
        }
        if let head {
            weights.removeAll { $0.name == "lm_head.weight" }
            weights.append(
                TensorSource(name: "score.weight", shape: [1, head.count], values: head))
        }
        try SafetensorsWriter().write(weights, to: path + "/model.safetensors")
    }

    /// The function that a recipe's entry makes.
    func reward(
        _ settings: String, model: String? = nil, threads: Int = 2, seed: UInt64 = 42
    ) throws -> any RewardFunction {
        let text = "[{name: judge, model: \(model ?? path), \(settings)}]"
        let node = try YAMLDocument.value(text, name: "test")
        let host = RewardHost(device: Device(threads: threads), seed: seed)
        return try (RecipeRewards(node) ?? RecipeRewards())
            .functions(place: "r.yaml:3", host: host)[0]
    }

    /// The mean grade by the definition: where texts part, the softmax over what may follow.
    func mean(_ question: String, _ grades: ClosedRange<Int>) throws -> Double {
        let device = Device(threads: 1)
        let tokenizer = try Tokenizer(directory: path)
        let renderer = ChatRenderer(
            tokenizer: tokenizer,
            template: try ChatTemplate(source: tokenizer.chatTemplate ?? "", name: "judge"))
        let chat = renderer.conversation([ChatTurn(role: "user", content: question)])
        let prompt = chat.ids(try chat.render(addsGenerationPrompt: true))
        let session = Session(
            model: try Decoder(Checkpoint(path: path), on: device), device: device)
        func mean(_ texts: [(grade: Int, tokens: [Int32])], _ depth: Int) throws -> Double {
            if texts.count == 1 { return Double(texts[0].grade) }
            let next = Set(texts.map { $0.tokens[depth] }).sorted()
            func behind(_ token: Int32) throws -> Double {
                try mean(texts.filter { $0.tokens[depth] == token }, depth + 1)
            }
            if next.count == 1 { return try behind(next[0]) }
            let logits = try session.prefill(prompt + texts[0].tokens[..<depth]).row(0)
            let best = next.map { logits[Int($0)] }.max() ?? 0
            let weights = next.map { exponential(Double(logits[Int($0)] - best)) }
            let total = weights.reduce(0, +)
            return try zip(next, weights).reduce(0) { try $0 + $1.1 / total * behind($1.0) }
        }
        return try mean(
            grades.map { ($0, tokenizer.encode("{\"score\": \($0)}", addSpecial: false)) }, 0)
    }
}
