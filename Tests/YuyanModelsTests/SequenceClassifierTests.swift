import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// Against transformers: `Tools/goldens/scores.py`.
@Suite("Whole reward models")
struct SequenceClassifierTests {
    private let device = Device(threads: 2, precision: .f32)

    private func model(_ name: String) throws -> SequenceClassifier {
        try SequenceClassifier(
            Checkpoint(path: Goldens.path("scores/" + name)), on: device)
    }

    private func score(_ ids: [Int32], _ model: SequenceClassifier) -> Double {
        let ids = model.judged(ids)
        let batch = TokenBatch(tokens: ids, lengths: [ids.count], adapter: nil)
        let hidden = model.decoder.hiddenStates(whole: batch, checkpointing: false, on: device)
        let state = model.decoder.normalized(hidden: hidden, on: device).row(ids.count - 1)
        return zip(state, model.head).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    @Test(
        "score texts as transformers does, padded ones too",
        arguments: ["llama", "qwen2"])
    func parity(_ name: String) throws {
        let golden = try GoldenFile("scores/\(name)/golden.safetensors")
        let model = try model(name)
        #expect(model.padding == 3)
        let texts = try (0..<3).map { try golden.ints("ids.\($0)").map { Int32($0) } }
        #expect(texts[2].suffix(3) == [3, 3, 3])
        expectClose(
            texts.map { Float(score($0, model)) }, try golden.floats("scores"),
            Tolerance(absolute: 1e-4), name)
    }

    @Test("are read up to the last token that is no padding, of which one stays")
    func padding() {
        func judged(_ ids: [Int32], _ padding: Int32?) -> [Int32] {
            SequenceClassifier.judged(ids, padding: padding)
        }
        #expect(judged([5, 3, 4, 3, 3], 3) == [5, 3, 4])
        #expect(judged([5, 3, 4, 3, 3], nil) == [5, 3, 4, 3, 3])
        #expect(judged([3, 3], 3) == [3])
        #expect(judged([], 3) == [])
    }

    @Test("must have one score, and say that they score")
    func refuses() throws {
        #expect {
            try SequenceClassifier(
                Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
        } throws: {
            "\($0)".contains("LlamaForCausalLM") && "\($0)".contains("ForSequenceClassification")
        }
        #expect {
            try SequenceClassifier(
                Checkpoint(path: Goldens.path("models/gguf/llama-gqa.gguf")), on: device)
        } throws: {
            "\($0)".contains("architectures")
        }
        for (labels, reason) in [(2, "[2, 32]"), (0, "score.weight")] {
            let folder = TemporaryFolder()
            let source = Goldens.path("scores/llama")
            let configuration = try JSONDocument(path: source + "/config.json").root
            _ = folder.file(
                "config.json", Array(JSONOutput(copying: configuration).description.utf8))
            let kept = try SafetensorsFile(path: source + "/model.safetensors").tensors
                .filter { $0.name != "score.weight" }.map { TensorSource(copying: $0) }
            let head = (0..<(labels / 2)).map { _ in
                TensorSource(
                    name: "score.weight", shape: [2, 32],
                    values: [Float](repeating: 0.5, count: 64))
            }
            try SafetensorsWriter().write(kept + head, to: folder.path + "/model.safetensors")
            #expect {
                try SequenceClassifier(Checkpoint(path: folder.path), on: device)
            } throws: {
                "\($0)".contains(reason)
            }
        }
    }
}
