import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("An adapter that lies is refused by a typed error")
struct HostileAdapterTests {
    private let device = Device(threads: 1)
    private let model: Decoder
    private let image: AdapterImage

    init() throws {
        model = try Decoder(Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
        image = try AdapterImage(directory: Goldens.path("adapters/llama-dora"))
    }

    /// The error of loading, or nil if it loads and runs; anything untyped is a failure.
    private func fault(_ folder: TemporaryFolder) -> String? {
        do {
            let adapter = try LowRankAdapter(
                name: "test", directory: folder.path, for: model, on: device)
            let found = logits(model, [3, 4, 5], Feeding(adapter: adapter), on: device)
            #expect(found.count == 3 * model.shape.vocabularySize)
            return nil
        } catch let error as AdapterError {
            return "\(error)"
        } catch let error as FormatError {
            return "\(error)"
        } catch {
            Issue.record("untyped: \(error)")
            return "\(error)"
        }
    }

    private func fault(_ image: AdapterImage) -> String? {
        let folder = TemporaryFolder()
        image.write(to: folder)
        return fault(folder)
    }

    private func expectFault(
        _ image: AdapterImage, _ words: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard let text = fault(image) else {
            Issue.record("accepted; expected \(words)", sourceLocation: sourceLocation)
            return
        }
        for word in words {
            #expect(text.contains(word), "\(text)", sourceLocation: sourceLocation)
        }
    }

    @Test("unless it does not")
    func sound() { #expect(fault(image) == nil) }

    @Test("naming a key that asks for what is not supported, or that is impossible")
    func configuration() {
        for (key, value, expected) in [
            ("peft_type", "IA3", "LORA"), ("peft_type", nil, "peft_type"), ("bias", "all", "none"),
            ("modules_to_save", ["lm_head"], "lm_head.weight"),
            ("modules_to_save", ["layernorm"], "input_layernorm.weight"),
            ("modules_to_save", ["embed_tokens"], "embed_tokens.weight"),
            ("modules_to_save", [1], "names"), ("lora_bias", true, "false"),
            ("target_parameters", ["x"], "none"), ("layer_replication", [[0, 1]], "none"),
            ("trainable_token_indices", [1], "none"), ("use_qalora", true, "false"),
            ("use_something_new", true, "rslora"), ("alora_invocation_tokens", [5], "none"),
            ("init_lora_weights", "pissa_niter_4", "pissa"),
            ("init_lora_weights", "OLoRA", "olora"),
            ("r", 0, "1 to"), ("r", -4, "1 to"), ("r", "4", "whole number"),
            ("r", 5, "rank 5"), ("lora_alpha", "8", "number"), ("lora_alpha", 1e300, "float32"),
            ("rank_pattern", ["q_proj": 0], "1 to"), ("rank_pattern", ["q_proj": "2"], "1 to"),
            ("rank_pattern", ["q_proj": 3], "rank 3"), ("rank_pattern", ["(": 3], "'('"),
            ("rank_pattern", ["(?=q_proj)": 3], "(?"), ("rank_pattern", [], "object"),
            ("alpha_pattern", ["q_proj": "x"], "number"), ("use_dora", false, "use_dora"),
            ("use_dora", 1, "bool"), ("target_modules", nil, "target_modules"),
            ("target_modules", [], "target_modules"), ("target_modules", [1], "names"),
            ("target_modules", ["q_proj"], "not among"), ("target_modules", ".*(", "'('"),
            ("target_modules", "all-linear", "v_proj.lora_A.weight"),
            ("exclude_modules", ["q_proj"], "not among"),
            ("layers_to_transform", [0], "not among"), ("layers_to_transform", ["0"], "whole"),
            ("layers_to_transform", "0", "array"),
        ] as [(String, JSONOutput?, String)] {
            var wrong = image
            wrong.set(key, value)
            expectFault(wrong, [key, expected, "adapter_"])
        }
        var wrong = image
        wrong.set("layers_to_transform", 1)
        wrong.set("layers_pattern", "blocks")
        expectFault(wrong, ["layers_pattern", "'blocks'"])
    }

    @Test("naming a tensor that is missing, left over, misshapen or of another type")
    func tensors() throws {
        let name = "base_model.model.model.layers.1.self_attn.o_proj"
        let last = try #require(image.tensors.firstIndex { $0.name == name + ".lora_B.weight" })
        func edited(_ edit: (inout AdapterImage.Tensor) -> Void) -> AdapterImage {
            var image = image
            edit(&image.tensors[last])
            return image
        }
        for half in [".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"] {
            var wrong = image
            wrong.tensors.removeAll { $0.name == name + half }
            expectFault(wrong, ["no tensor '\(name)\(half)'"])
        }
        var wrong = image
        wrong.tensors.removeAll { $0.name.hasPrefix(name) }
        expectFault(wrong, [name, "target_modules"])
        for (other, words) in [
            (name + ".lora_C.weight", ["lora_C", "would not be used"]),
            (name + ".lora_B.default.weight", ["lora_B.default", "would not be used"]),
            (name + ".lora_B.bias", ["lora_bias"]), (name + ".bias", ["would not be used"]),
            ("base_model.model.lm_head.weight", ["[96, 32]"]),
            (name + ".weight", ["modules_to_save"]),
            (name + ".base_layer.weight", ["[32, 32]"]), (name + ".lora_embedding_A", ["embed"]),
            ("base_model.model.model.embed_tokens.lora_embedding_A", ["not among"]),
            ("base_model.model.model.embed_tokens.lora_A.weight", ["not among"]),
            ("base_model.model.model.embed_tokens.weight", ["[96, 32]", "resized"]),
            ("base_model.model.model.norm.weight", ["modules_to_save"]),
            ("model.layers.1.self_attn.o_proj.lora_A.weight", ["base_model.model."]),
            (
                "base_model.model.model.layers.2.self_attn.o_proj.lora_A.weight",
                ["model.layers.2.self_attn.o_proj", "model.layers.1.self_attn.o_proj", "nearest"]
            ),
            ("base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", ["c_attn"]),
        ] {
            var wrong = image
            wrong.tensors.append(wrong.tensors[last])
            wrong.tensors[wrong.tensors.count - 1].name = other
            expectFault(wrong, words)
        }
        for shape in [[4, 32], [128], [32, 2, 2], [64, 2], [1, 32, 4], [128, 1], [32, 4, 1]] {
            expectFault(edited { $0.shape = shape }, ["\(shape)", "[32, 4]", name])
        }
        expectFault(edited { ($0.shape, $0.bytes) = ([0, 4], []) }, ["[0, 4]", name])
        expectFault(edited { $0.type = .i16 }, ["I16", name])
        expectFault(edited { ($0.type, $0.shape) = (.u8, [32, 8]) }, ["U8", name])
        for bad in [Float16.nan, .infinity, -.infinity] {
            expectFault(
                edited { $0.bytes.replaceSubrange(20..<22, with: little(bad.bitPattern)) },
                ["element 10", name])
        }
        var still = image
        for index in still.tensors.indices where still.tensors[index].name.hasPrefix(name) {
            guard still.tensors[index].name.hasSuffix("vector") else { continue }
            still.tensors[index].bytes = still.tensors[index].bytes.map { _ in 0 }
        }
        #expect(fault(still) == nil, "magnitudes of zero are numbers")
    }

    @Test("when a file is missing, no regular file, or too large")
    func files() {
        let folder = TemporaryFolder()
        #expect(fault(folder)?.contains("adapter_config.json") ?? false)
        _ = folder.file("adapter_config.json", image.settings)
        #expect(fault(folder)?.contains("adapter_model.safetensors") ?? false)
        _ = folder.file("adapter_model.bin", [1])
        #expect(fault(folder)?.contains("pickle") ?? false)
        _ = folder.file("adapter_model.safetensors", [])
        #expect(fault(folder) != nil)
        _ = folder.file("adapter_model.safetensors", image.weights)
        #expect(fault(folder) == nil)
        let blanks = [UInt8](repeating: 0x20, count: 5 << 20)
        _ = folder.file("adapter_config.json", image.settings + blanks)
        #expect(fault(folder)?.contains("at most") ?? false)
    }

    @Test("when its memory is limited to less than it takes, with both numbers")
    func limit() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        image.write(to: folder)
        let whole = try LowRankAdapter(
            name: "test", directory: folder.path, for: model, on: device)
        _ = try LowRankAdapter(
            name: "test", directory: folder.path, for: model, on: device,
            limitBytes: whole.byteCount)
        #expect(
            throws: AdapterError.tooLarge(
                directory: folder.path, bytes: whole.byteCount, limit: whole.byteCount - 1)
        ) {
            try LowRankAdapter(
                name: "test", directory: folder.path, for: model, on: device,
                limitBytes: whole.byteCount - 1)
        }
    }

    @Test("or loads, whatever bytes are damaged", arguments: [true, false])
    func fuzz(_ damagesSettings: Bool) {
        let folder = TemporaryFolder()
        image.write(to: folder)
        let name = damagesSettings ? "adapter_config.json" : "adapter_model.safetensors"
        var mutations = Mutations(
            of: damagesSettings ? image.settings : image.weights, seed: 31)
        var refused = 0
        for _ in 0..<700 {
            _ = folder.file(name, mutations.next())
            if fault(folder) != nil { refused += 1 }
        }
        #expect(refused > 100 && refused <= 700)
    }

    @Test("at every length that a file is cut to")
    func cut() {
        let folder = TemporaryFolder()
        image.write(to: folder)
        let weights = image.weights
        for length in stride(from: 0, to: weights.count, by: 97) {
            _ = folder.file("adapter_model.safetensors", Array(weights[..<length]))
            #expect(fault(folder) != nil, "\(length) of \(weights.count) bytes")
        }
    }
}
