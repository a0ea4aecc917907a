import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("A checkpoint that lies is refused by a typed error")
struct HostileCheckpointTests {
    /// The error of loading, or nil if it loads; anything untyped is a failure.
    private func fault(_ open: () throws -> Checkpoint) -> String? {
        do {
            let device = Device(threads: 1)
            let model = try Decoder(open(), on: device)
            // What loads can also be run.
            #expect(logits(model, [0, 0, 0], on: device).count == 3 * model.shape.vocabularySize)
            return nil
        } catch let error as FormatError {
            return "\(error)"
        } catch let error as CheckpointError {
            return "\(error)"
        } catch let error as WeightError {
            return "\(error)"
        } catch {
            Issue.record("untyped: \(error)")
            return "\(error)"
        }
    }

    private func fault(_ model: SyntheticModel) -> String? { fault { try model.checkpoint() } }

    @Test("unless it does not")
    func sound() {
        #expect(fault(.small) == nil)
        #expect(fault(.superBlocks) == nil)
    }

    @Test(
        "naming a missing tensor and the nearest there are",
        arguments: [
            ("token_embd.weight", nil), ("output_norm.weight", "output.weight"),
            ("blk.0.attn_norm.weight", "blk.1.attn_norm.weight"),
            ("blk.1.attn_q.weight", "blk.1.attn_k.weight"),
            ("blk.1.attn_k.weight", "blk.1.attn_q.weight"), ("blk.0.attn_v.weight", nil),
            ("blk.0.attn_output.weight", "blk.1.attn_output.weight"),
            ("blk.1.ffn_gate.weight", "blk.0.ffn_gate.weight"), ("blk.1.ffn_up.weight", nil),
            ("blk.1.ffn_down.weight", nil), ("blk.0.ffn_norm.weight", "blk.1.ffn_norm.weight"),
        ] as [(String, String?)])
    func missingTensor(_ name: String, _ nearest: String?) throws {
        var model = SyntheticModel.small
        model.without = [name]
        let text = try #require(fault(model))
        #expect(text.contains("no tensor '\(name)'") && text.contains("nearest"))
        if let nearest { #expect(text.contains(nearest), "\(text)") }
    }

    @Test("naming a tensor of another shape, with both shapes")
    func wrongShape() throws {
        for (name, sizes, found) in [
            ("token_embd.weight", [32, 70], "[70, 32]"), ("token_embd.weight", [64], "[64]"),
            ("output.weight", [64, 71], "[71, 64]"), ("output_norm.weight", [65], "[65]"),
            ("blk.0.attn_q.weight", [64, 32], "[32, 64]"),
            ("blk.0.attn_k.weight", [64, 64], "[64, 64]"),
            ("blk.1.attn_v.weight", [64, 32, 1], "[1, 32, 64]"),
            ("blk.1.attn_output.weight", [32, 64], "[64, 32]"),
            ("blk.0.attn_norm.weight", [64, 1], "[1, 64]"),
            ("blk.1.ffn_down.weight", [64, 64], "[64, 64]"),
        ] as [(String, [UInt64], String)] {
            var model = SyntheticModel.small
            model.sizes = [name: sizes]
            // Only the first has as many values in every type.
            model.otherTypes = [name: .f32]
            let text = try #require(fault(model), "\(name) \(sizes)")
            #expect(text.contains("'\(name)'") && text.contains(found), "\(text)")
        }
    }

    @Test(
        "naming a tensor of a type that cannot be multiplied",
        arguments: [ElementType.i32, .i8, .f64, .q8_K, .q2_K, .iq4_xs, .tq1_0])
    func wrongType(_ type: ElementType) throws {
        for name in ["blk.0.ffn_up.weight", "token_embd.weight"] {
            var model = SyntheticModel.superBlocks
            model.otherTypes = [name: type]
            let text = try #require(fault(model), "\(name)")
            #expect(text.contains("'\(name)'") && text.contains(type.name), "\(text)")
        }
        var model = SyntheticModel.superBlocks
        model.otherTypes = ["blk.0.attn_norm.weight": type]
        #expect(try #require(fault(model)).contains("blk.0.attn_norm.weight"))
    }

    @Test("on sizes that contradict each other or no model has")
    func metadata() throws {
        func uint(_ value: UInt32) -> (GGUFValueType, [UInt8]) { (.uint32, little(value)) }
        func int(_ value: Int64) -> (GGUFValueType, [UInt8]) { (.int64, little(value)) }
        func float(_ value: Float) -> (GGUFValueType, [UInt8]) {
            (.float32, little(value.bitPattern))
        }
        let text = { (value: String) in
            (GGUFValueType.string, GGUFImage.string(Array(value.utf8)))
        }
        var cases: [(String, (GGUFValueType, [UInt8]))] = []
        for key in [
            "embedding_length", "feed_forward_length", "block_count", "context_length",
            "attention.head_count", "attention.head_count_kv", "attention.key_length",
            "attention.value_length", "rope.dimension_count",
        ] {
            cases += [uint(0), uint(.max), int(-1), int(.max), int(.min), float(8), text("8")]
                .map { (key, $0) }
        }
        cases += [
            ("attention.head_count_kv", uint(3)), ("attention.head_count", uint(5)),
            ("attention.value_length", uint(32)), ("rope.dimension_count", uint(7)),
            ("rope.dimension_count", uint(18)), ("embedding_length", uint(128)),
            ("feed_forward_length", uint(64)), ("block_count", uint(3)),
            ("block_count", uint(4096)), ("block_count", uint(1_000_000_000)),
            ("attention.layer_norm_rms_epsilon", float(.nan)),
            ("attention.layer_norm_rms_epsilon", float(-1)),
            ("attention.layer_norm_rms_epsilon", float(.infinity)),
            ("rope.freq_base", float(0)), ("rope.freq_base", float(.nan)),
            ("rope.freq_base", float(.infinity)), ("rope.freq_base", float(-1)),
            ("rope.scaling.factor", float(0)), ("rope.scaling.factor", float(.nan)),
            ("rope.scaling.factor", float(-.infinity)), ("rope.scaling.factor", text("4")),
            ("rope.scaling.type", text("longrope")), ("rope.scaling.type", float(1)),
            ("rope.scale_linear", float(0)),
        ]
        for (key, (type, value)) in cases {
            var model = SyntheticModel.small
            model.keys = [("llama." + key, type, value)]
            let message = fault(model)
            #expect(message != nil, "\(key): \(value)")
        }
        for (key, value) in [
            ("original_context_length", uint(0)), ("original_context_length", int(-5)),
            ("yarn_beta_fast", float(0)), ("yarn_beta_slow", float(.nan)),
            ("yarn_attn_factor", float(.infinity)), ("yarn_attn_factor", float(0)),
        ] {
            var model = SyntheticModel.small
            model.keys = [
                ("llama.rope.scaling.type", text("yarn").0, text("yarn").1),
                ("llama.rope.scaling.factor", .float32, little(Float(4).bitPattern)),
                ("llama.rope.scaling." + key, value.0, value.1),
            ]
            #expect(fault(model) != nil, "\(key): \(value.1)")
        }
        var other = SyntheticModel.small
        other.keys = [("general.architecture", text("gpt2").0, text("gpt2").1)]
        #expect(try #require(fault(other)).contains("architecture 'gpt2' is not supported"))
        for key in ["general.architecture", "llama.embedding_length", "llama.block_count"] {
            var model = SyntheticModel.small
            model.without = [key]
            #expect(try #require(fault(model)).contains("no key '\(key)'"))
        }
    }

    @Test("on frequency divisors that are not as many, or not positive")
    func divisors() {
        for (count, value) in [(7, Float(1)), (8, 0), (8, -.infinity), (8, .nan), (9, 1)] {
            var image = GGUFImage()
            image.tensor("rope_freqs.weight", [UInt64(count)], offset: 0)
            image.data = (0..<count).flatMap { _ in little(value.bitPattern) }
            image.tensor("token_embd.weight", [64, 2], offset: 64)
            image.data += [UInt8](repeating: 0, count: 64 - image.data.count + 512)
            image.key("general.architecture", "llama")
            for (key, size) in [
                ("embedding_length", 64), ("feed_forward_length", 96), ("block_count", 2),
                ("context_length", 64), ("attention.head_count", 4),
            ] {
                image.key("llama." + key, UInt32(size))
            }
            image.key(
                "llama.attention.layer_norm_rms_epsilon", .float32,
                little(Float(1e-5).bitPattern))
            let folder = TemporaryFolder()
            let path = folder.file("model.gguf", image.bytes)
            let message = fault { try Checkpoint(path: path) }
            #expect(
                message?.contains("rope_freqs.weight") ?? false,
                "\(count) of \(value): \(message ?? "accepted")")
        }
    }

    @Test("soon, when it claims thousands of layers and has two")
    func manyLayers() {
        var model = SyntheticModel.small
        model.keys = [("llama.block_count", .uint32, little(UInt32(4096)))]
        let clock = ContinuousClock()
        let start = clock.now
        #expect(fault(model)?.contains("blk.2.") ?? false)
        #expect(clock.now - start < .seconds(2))
    }

    @Test("when the folder's configuration is not of these weights")
    func folders() throws {
        for (changes, hint) in [
            (["\"vocab_size\": 96": "\"vocab_size\": 95"], "embed_tokens"),
            (["\"hidden_size\": 32": "\"hidden_size\": 64"], "embed_tokens"),
            (["\"num_hidden_layers\": 2": "\"num_hidden_layers\": 3"], "model.layers.2."),
            (["\"num_attention_heads\": 4": "\"num_attention_heads\": 8"], "q_proj"),
            (["\"num_key_value_heads\": 2": "\"num_key_value_heads\": 1"], "k_proj"),
            (["\"num_key_value_heads\": 2": "\"num_key_value_heads\": 3"], "config.json"),
            (["\"attention_bias\": false": "\"attention_bias\": true"], "bias"),
            (["\"attention_bias\": false": "\"attention_bias\": 1"], "attention_bias"),
            (["\"intermediate_size\": 40": "\"intermediate_size\": 41"], "gate_proj"),
            (["\"model_type\": \"llama\"": "\"model_type\": \"gpt2\""], "gpt2"),
            (["\"hidden_act\": \"silu\"": "\"hidden_act\": \"gelu\""], "hidden_act"),
        ] {
            let text = try #require(fault { try folder(changes) }, "\(changes)")
            #expect(text.contains(hint), "\(changes): \(text)")
        }
        #expect(fault { try folder([:]) } == nil)
    }

    @Test("when the path is no model at all")
    func paths() throws {
        #expect(fault { try Checkpoint(path: "/nonexistent/model.gguf") } != nil)
        let folder = TemporaryFolder()
        #expect(fault { try Checkpoint(path: folder.path) } != nil)
        let text = folder.file("notes.txt", Array("not a model".utf8))
        #expect(fault { try Checkpoint(path: text) } != nil)
        let weights = folder.file("model.safetensors", SafetensorsImage.sample.bytes)
        #expect(fault { try Checkpoint(path: folder.path) }?.contains("config.json") ?? false)
        #expect(fault { try Checkpoint(path: weights) } != nil)
    }

    @Test("or loads, whatever bytes of a GGUF file are damaged")
    func fuzz() throws {
        // The head holds all that is believed; damage to weights only changes numbers.
        let image = SyntheticModel.small.image()
        let head = Array(image.bytes.dropLast(image.data.count))
        var mutations = Mutations(of: head, seed: 21)
        var loaded = 0
        let folder = TemporaryFolder()
        for _ in 0..<1500 {
            let path = folder.file("model.gguf", mutations.next() + image.data)
            if fault({ try Checkpoint(path: path) }) == nil { loaded += 1 }
        }
        #expect(loaded < 1500)
    }

    /// `llama-gqa` with pieces of its configuration replaced.
    private func folder(_ changes: [String: String]) throws -> Checkpoint {
        let source = Goldens.path("models/llama-gqa")
        let folder = TemporaryFolder()
        var text = String(decoding: try contents(source + "/config.json"), as: UTF8.self)
        for (old, new) in changes {
            let place = try #require(text.range(of: old), "no \(old) in the configuration")
            text.replaceSubrange(place, with: new)
        }
        _ = folder.file("config.json", Array(text.utf8))
        _ = folder.file("model.safetensors", try contents(source + "/model.safetensors"))
        return try withExtendedLifetime(folder) { try Checkpoint(path: folder.path) }
    }

    private func contents(_ path: String) throws -> [UInt8] {
        let file = try MappedFile(path: path)
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }
}

extension String {
    /// The first occurrence of a text.
    fileprivate func range(of text: String) -> Range<Index>? {
        indices.first { self[$0...].hasPrefix(text) }.map {
            $0..<index($0, offsetBy: text.count)
        }
    }
}
