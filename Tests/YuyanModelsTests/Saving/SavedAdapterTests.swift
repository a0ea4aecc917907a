import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("A saved adapter")
struct SavedAdapterTests {
    private static let doraCases = adapterCases.filter { $0.contains("dora") }
    private static let plainCases = adapterCases.filter { !$0.contains("dora") }
    private let device = Device(threads: 2, precision: .f32)
    private let folder = TemporaryFolder()

    private func load(_ path: String, for model: Decoder) throws -> LowRankAdapter {
        try LowRankAdapter(name: "copy", path: path, for: model, on: device)
    }

    @Test("as PEFT's directory gives the same logits, bit for bit", arguments: plainCases)
    func peft(_ name: String) throws {
        let this = try AdapterCase(name)
        let model = try Decoder(this.base.checkpoint, on: device)
        let adapter = try this.adapter(for: model, on: device)
        let contents = try AdapterContents(adapter, of: model, device: device)
        let path = folder.path + "/new/adapter"
        try contents.writePEFT(to: path)
        let copy = try load(path, for: model)
        let tokens = try this.base.tokens(1)
        #expect(
            logits(model, tokens, Feeding(adapter: copy), on: device).bits
                == logits(model, tokens, Feeding(adapter: adapter), on: device).bits)
        #expect(copy.updatedModuleCount == adapter.updatedModuleCount)
    }

    @Test(
        "as a GGUF file gives the same logits, on either form of the model",
        arguments: plainCases)
    func gguf(_ name: String) throws {
        let this = try AdapterCase(name)
        let model = try Decoder(this.base.checkpoint, on: device)
        let adapter = try this.adapter(for: model, on: device)
        let contents = try AdapterContents(adapter, of: model, device: device)
        let path = folder.path + "/adapter.gguf"
        guard contents.saved.isEmpty, name != "llama-tied" else {
            #expect(throws: AdapterError.self) {
                try contents.writeGGUF(to: path, for: model.shape)
            }
            #expect(folder.names.isEmpty)
            return
        }
        try contents.writeGGUF(to: path, for: model.shape)
        let file = try GGUFFile(path: path)
        #expect(try file.string("general.type") == "adapter")
        #expect(try file.string("adapter.type") == "lora")
        #expect(file.tensors.allSatisfy { $0.name.utf8.count < 64 })
        let tokens = try this.base.tokens(1)
        let expected = try this.golden.floats("logits.1")
        let converted = try Decoder(ModelCase(gguf: this.baseName).checkpoint, on: device)
        for model in [model, converted] {
            expectClose(
                logits(model, tokens, Feeding(adapter: try load(path, for: model)), on: device),
                expected, Tolerance(absolute: 1e-4 * expected.scale), name)
        }
        // And back again, where factors are equal without losing a bit.
        let back = folder.path + "/back"
        try AdapterContents(load(path, for: model), of: model, device: device)
            .writePEFT(to: back)
        let found = logits(model, tokens, Feeding(adapter: try load(back, for: model)), on: device)
        if name == "llama-qv" {
            expectClose(found, expected, Tolerance(absolute: 1e-4 * expected.scale), name)
        } else {
            let adapted = logits(model, tokens, Feeding(adapter: adapter), on: device)
            #expect(found.bits == adapted.bits)
        }
    }

    @Test("with norms of its own keeps them for PEFT, and is refused as GGUF")
    func norms() throws {
        let this = try AdapterCase("llama-norms")
        let model = try Decoder(this.base.checkpoint, on: device)
        let adapter = try this.adapter(for: model, on: device, merging: true)
        let contents = try AdapterContents(adapter, of: model, device: device)
        #expect(contents.saved.count == 3)
        #expect(throws: AdapterError.self) {
            try contents.writeGGUF(to: folder.path + "/a.gguf", for: model.shape)
        }
        try contents.writePEFT(to: folder.path)
        let copy = try LowRankAdapter(
            name: "copy", path: folder.path, for: model, on: device, merging: true)
        let weights = zip(
            model.weights(adding: copy, on: device), model.weights(adding: adapter, on: device))
        for (one, other) in weights where !one.isMatrix {
            #expect(one.name == other.name)
            #expect(one.rows(0..<1).bits == other.rows(0..<1).bits, "\(one.name)")
        }
    }

    @Test("cannot be made from DoRA's gains alone", arguments: doraCases)
    func dora(_ name: String) throws {
        let this = try AdapterCase(name)
        let model = try Decoder(this.base.checkpoint, on: device)
        let adapter = try this.adapter(for: model, on: device)
        #expect(throws: AdapterError.self) {
            try AdapterContents(adapter, of: model, device: device)
        }
    }

    @Test("with magnitudes, roots, patterns and whole weights says what training knows")
    func contents() throws {
        let model = try Decoder(ModelCase(folder: "llama-gqa").checkpoint, on: device)
        var random = SeededGenerator(seed: 3)
        func values(_ count: Int) -> [Float] {
            (0..<count).map { _ in .random(in: -0.3...0.3, using: &random) }
        }
        func update(_ layer: Int, _ name: String, rank: Int, alpha: Double, out: Int)
            -> AdapterContents.Update
        {
            AdapterContents.Update(
                path: "model.layers.\(layer).self_attn.\(name)", rank: rank, alpha: alpha,
                down: values(rank * 32), up: values(out * rank),
                magnitude: values(out).map { 1 + $0 })
        }
        var contents = AdapterContents(updates: [
            update(0, "q_proj", rank: 4, alpha: 8, out: 32),
            update(1, "q_proj", rank: 2, alpha: 8, out: 32),
            update(0, "o_proj", rank: 4, alpha: 3, out: 32),
        ])
        contents.usesRootScale = true
        contents.dropout = 0.05
        contents.baseModel = "some/model"
        let head = NamedWeight(name: "lm_head.weight", shape: [96, 32]) { rows in
            rows.flatMap { row in (0..<32).map { Float(row - $0) / 96 } }
        }
        contents.saved = [head]
        for type in [ElementType.f32, .bf16] {
            try contents.writePEFT(to: folder.path, as: type)
            let root = try JSONDocument(path: folder.path + "/adapter_config.json").root
            #expect(try root.int("r") == 4 && root.int("lora_alpha") == 8)
            #expect(root["rank_pattern"]?["model.layers.1.self_attn.q_proj"]?.int == 2)
            #expect(root["alpha_pattern"]?["model.layers.0.self_attn.o_proj"]?.int == 3)
            #expect(try root.bool("use_dora") && root.bool("use_rslora"))
            #expect(try root.double("lora_dropout") == 0.05)
            #expect(
                try root.array("target_modules").compactMap(\.string)
                    == contents.updates.map(\.path).sorted())
            #expect(try root.array("modules_to_save").compactMap(\.string) == ["lm_head"])
            let copy = try load(folder.path, for: model)
            #expect(copy.updatedModuleCount == 3)
            let file = try SafetensorsFile(path: folder.path + "/adapter_model.safetensors")
            #expect(file.tensors.count == 10)
            #expect(file.tensors.allSatisfy { $0.elementType == type })
            #expect(file.metadata == ["format": "pt"])
        }
        contents.knownModules = (0..<2).flatMap { layer in
            ["q_proj", "o_proj"].map { "model.layers.\(layer).self_attn.\($0)" }
        }
        contents.updates.removeLast()
        try contents.writePEFT(to: folder.path)
        let root = try JSONDocument(path: folder.path + "/adapter_config.json").root
        #expect(try root.array("target_modules").compactMap(\.string) == ["q_proj"])
    }

    @Test("in a damaged GGUF file is refused by a typed error that names what is wrong")
    func refusals() throws {
        let this = try AdapterCase("llama-all")
        let model = try Decoder(this.base.checkpoint, on: device)
        let contents = try AdapterContents(
            this.adapter(for: model, on: device), of: model, device: device)
        let path = folder.path + "/adapter.gguf"
        try contents.writeGGUF(to: path, for: model.shape)
        let file = try GGUFFile(path: path)
        func fault(
            _ edit: (inout GGUFWriter, inout [TensorSource]) -> Void
        ) throws -> String {
            var writer = GGUFWriter()
            for key in file.keys { writer[key] = file.output(of: key) }
            var tensors = file.tensors.map { TensorSource(copying: $0) }
            edit(&writer, &tensors)
            let wrong = folder.path + "/wrong.gguf"
            try writer.write(tensors, to: wrong)
            do {
                _ = try load(wrong, for: model)
                return "accepted"
            } catch let error as AdapterError {
                return "\(error)"
            } catch let error as FormatError {
                return "\(error)"
            }
        }
        let name = "blk.0.attn_q.weight.lora_a"
        #expect(try fault { _, _ in } == "accepted")
        #expect(
            try fault { writer, _ in writer["general.type"] = .string("model") }
                .contains("general.type"))
        #expect(
            try fault { writer, _ in writer["general.architecture"] = .string("qwen2") }
                .contains("'llama'"))
        #expect(
            try fault { writer, _ in writer["adapter.type"] = nil }.contains("adapter.type"))
        #expect(
            try fault { writer, _ in writer["adapter.lora.alpha"] = .float32(.nan) }
                .contains("finite"))
        #expect(
            try fault { _, tensors in tensors.removeAll { $0.name == name } }
                .contains("no tensor '\(name)'"))
        func replaced(_ source: TensorSource) throws -> String {
            try fault { _, tensors in
                tensors.removeAll { $0.name == name }
                tensors.append(source)
            }
        }
        #expect(
            try replaced(TensorSource(name: name, shape: [3, 32], values: values(96)))
                .contains("[3, 32]"))
        #expect(
            try replaced(
                TensorSource(name: name, shape: [4, 32], values: [.nan] + values(127))
            ).contains("element 0"))
        #expect(
            try fault { _, tensors in
                tensors.append(
                    TensorSource(name: "blk.9.attn_q.weight.lora_a", shape: [1], values: [1]))
            }.contains("blk.9.attn_q.weight"))
        #expect(
            try fault { _, tensors in
                tensors.append(
                    TensorSource(name: "blk.0.attn_norm.weight", shape: [1], values: [1]))
            }.contains("would not be used"))
        let bytes = try MappedFile(path: path).withUnsafeBytes(in: 0..<400) { Array($0) }
        let cut = folder.file("cut.gguf", bytes)
        #expect(throws: FormatError.self) { try load(cut, for: model) }
    }

    private func values(_ count: Int) -> [Float] { (0..<count).map { Float($0) / 100 } }
}

@Suite("A merged adapter")
struct MergedAdapterTests {
    private let device = Device(threads: 2, precision: .f32)
    private let folder = TemporaryFolder()

    @Test("gives peft's logits as a directory", arguments: adapterCases + ["llama-norms"])
    func huggingFace(_ name: String) throws {
        let this = try AdapterCase(name)
        let model = try Decoder(this.base.checkpoint, on: device)
        let adapter = try this.adapter(for: model, on: device, merging: true)
        try model.writeHuggingFace(
            to: folder.path, as: .f32, adding: adapter, source: this.base.checkpoint, on: device)
        try expectParity(this, path: folder.path)
    }

    @Test("gives peft's logits as a GGUF file", arguments: adapterCases + ["llama-norms"])
    func gguf(_ name: String) throws {
        let this = try AdapterCase(name)
        let base = try ModelCase(gguf: this.baseName).checkpoint
        let model = try Decoder(base, on: device)
        let adapter = try this.adapter(for: model, on: device, merging: true)
        let path = folder.path + "/merged.gguf"
        try model.writeGGUF(to: path, as: .f32, adding: adapter, source: base, on: device)
        try expectParity(this, path: path)
    }

    @Test("has the same bytes from any number of threads")
    func threads() throws {
        let this = try AdapterCase("llama-dora")
        var files: [[UInt8]] = []
        for threads in [1, 3] {
            let device = Device(threads: threads)
            let model = try Decoder(this.base.checkpoint, on: device)
            try model.writeHuggingFace(
                to: folder.path, as: .bf16, adding: this.adapter(for: model, on: device),
                source: this.base.checkpoint, on: device)
            let file = try MappedFile(path: folder.path + "/model.safetensors")
            files.append(file.withUnsafeBytes(in: 0..<file.count) { Array($0) })
        }
        #expect(files[0] == files[1])
    }

    @Test("that replaces norms is refused where requests could ask for it")
    func norms() throws {
        let this = try AdapterCase("llama-norms")
        let model = try Decoder(this.base.checkpoint, on: device)
        #expect {
            try this.adapter(for: model, on: device)
        } throws: { error in
            "\(error)".contains("yuyan adapter merge")
        }
        #expect(try this.adapter(for: model, on: device, merging: true).replacesNorms)
    }

    private func expectParity(_ this: AdapterCase, path: String) throws {
        let merged = try Decoder(Checkpoint(path: path), on: device)
        for sequence in 0...1 {
            let expected = try this.golden.floats("logits.\(sequence)")
            expectClose(
                logits(merged, try this.base.tokens(sequence), on: device), expected,
                Tolerance(absolute: 1e-4 * expected.scale), this.name)
        }
    }
}

@Suite("An adapter's summary")
struct AdapterSummaryTests {
    @Test("has ranks, scales and norms of the updates", arguments: adapterCases + ["llama-norms"])
    func figures(_ name: String) throws {
        let directory = Goldens.path("adapters/" + name)
        let summary = try AdapterSummary(path: directory)
        let file = try SafetensorsFile(path: directory + "/adapter_model.safetensors")
        #expect(summary.format == "PEFT")
        #expect(
            summary.parameters == file.tensors.reduce(0) { $0 + $1.elementCount })
        #expect(summary.elementTypes.values.reduce(0, +) == file.tensors.count)
        for part in summary.parts where part.rank != nil {
            let prefix = "base_model.model." + part.path
            let names =
                part.path.hasSuffix("embed_tokens")
                ? (".lora_embedding_A", ".lora_embedding_B") : (".lora_A.weight", ".lora_B.weight")
            let down = try Tensor(file.tensor(prefix + names.0))
            let up = try Tensor(file.tensor(prefix + names.1))
            #expect(part.rank == down.shape[0])
            var sum = 0.0
            for o in 0..<up.shape[0] {
                for k in 0..<down.shape[1] {
                    var element = 0.0
                    for j in 0..<down.shape[0] {
                        element += Double(up.row(o)[j]) * Double(down.row(j)[k])
                    }
                    sum += element * element
                }
            }
            let norm = sum.squareRoot() * (part.scale ?? 0)
            #expect(abs((part.norm ?? 0) - norm) <= 1e-9 * norm, "\(part.path)")
        }
    }

    @Test("of paths puts layer 10 behind layer 9")
    func order() throws {
        let modules = [10, 9, 0].map {
            (path: "model.layers.\($0).mlp.up_proj", inputWidth: 4, outputWidth: 6)
        }
        let folder = TemporaryFolder()
        AdapterImage(modules: modules, rank: 2, seed: 1).write(to: folder)
        let parts = try AdapterSummary(path: folder.path).parts
        #expect(parts.map(\.path) == modules.map(\.path).reversed())
        #expect(parts.allSatisfy { $0.scale == 2 && $0.parameters == 20 })
    }
}
