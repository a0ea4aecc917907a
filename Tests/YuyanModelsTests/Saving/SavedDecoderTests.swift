import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("A saved model")
struct SavedDecoderTests {
    private let device = Device(threads: 2, precision: .f32)
    private let folder = TemporaryFolder()

    private func reloaded(
        _ model: Decoder, as type: ElementType = .f32, source: Checkpoint?,
        maximumShardBytes: Int = 5_000_000_000
    ) throws -> Decoder {
        try model.writeHuggingFace(
            to: folder.path, as: type, source: source, maximumShardBytes: maximumShardBytes,
            on: device)
        return try Decoder(Checkpoint(path: folder.path), on: device)
    }

    @Test("gives the same logits from its directory, bit for bit", arguments: folderCases)
    func huggingFace(_ name: String) throws {
        let this = try ModelCase(folder: name)
        let model = try Decoder(this.checkpoint, on: device)
        let tokens = try this.tokens(1)
        let copy = try reloaded(model, source: this.checkpoint)
        #expect(copy.shape == model.shape)
        #expect(logits(copy, tokens, on: device).bits == logits(model, tokens, on: device).bits)
    }

    @Test("has a configuration of its own that says the same", arguments: folderCases)
    func configuration(_ name: String) throws {
        let this = try ModelCase(folder: name)
        let model = try Decoder(this.checkpoint, on: device)
        let copy = try reloaded(model, source: nil)
        #expect(copy.shape == model.shape)
    }

    @Test("from GGUF is the directory that GGUF was made of", arguments: ggufCases)
    func fromGGUF(_ name: String) throws {
        let this = try ModelCase(gguf: name)
        let model = try Decoder(this.checkpoint, on: device)
        let tokens = try this.tokens(1)
        let copy = try reloaded(model, source: this.checkpoint)
        let expected = try this.golden.floats("logits.1")
        let found = logits(copy, tokens, on: device)
        expectClose(found, expected, Tolerance(absolute: 2e-4 * expected.scale), name)
        // The file has rounded divisors, the configuration the rule that they come from.
        if name != "rope-llama3" {
            #expect(found.bits == logits(model, tokens, on: device).bits)
        }
        // The rows of q and k are back in the order of the original.
        guard name == "llama-gqa" else { return }
        let original = try CheckpointDirectory(path: Goldens.path("models/llama-gqa"))
        let saved = try CheckpointDirectory(path: folder.path)
        #expect(saved.tensors.map(\.name) == original.tensors.map(\.name))
        for entry in original.tensors {
            #expect(
                try Tensor(saved.tensor(entry.name)).values.bits == Tensor(entry).values.bits,
                "\(entry.name)")
        }
    }

    @Test("is the same model as GGUF", arguments: folderCases)
    func gguf(_ name: String) throws {
        let this = try ModelCase(folder: name)
        let model = try Decoder(this.checkpoint, on: device)
        let path = folder.path + "/model.gguf"
        let write = { try model.writeGGUF(to: path, as: .f32, source: this.checkpoint, on: device) }
        let inexpressible = [
            "rope-dynamic", "rope-yarn-mscale", "rope-yarn-mscale-only", "rope-yarn-untruncated",
            "mistral-window", "qwen2-window",
        ]
        guard !inexpressible.contains(name) else {
            #expect(throws: CheckpointError.self) { try write() }
            #expect(folder.names.isEmpty)
            return
        }
        try write()
        let copy = try Decoder(Checkpoint(path: path), on: device)
        let tokens = try this.tokens(1)
        let expected = logits(model, tokens, on: device)
        let found = logits(copy, tokens, on: device)
        if name == "rope-llama3" || name.hasPrefix("rope-yarn") || name == "rope-ntk" {
            // The file has divisors and scalings in float32.
            expectClose(found, expected, Tolerance(absolute: 1e-4 * expected.scale), name)
        } else {
            #expect(found.bits == expected.bits)
        }
    }

    @Test("from GGUF keeps the file's metadata as GGUF", arguments: ggufCases)
    func ggufToGGUF(_ name: String) throws {
        let this = try ModelCase(gguf: name)
        guard case .gguf(let original) = this.checkpoint.source else { return }
        let model = try Decoder(this.checkpoint, on: device)
        let path = folder.path + "/copy.gguf"
        try model.writeGGUF(to: path, as: .f16, source: this.checkpoint, on: device)
        let copy = try GGUFFile(path: path)
        for key in original.keys
        where !["general.file_type", "general.alignment", "general.quantization_version"]
            .contains(key)
        {
            #expect(copy.output(of: key) == original.output(of: key), "\(key)")
        }
        #expect(try copy.int("general.file_type") == 1)
        #expect(Set(copy.tensors.map(\.name)) == Set(original.tensors.map(\.name)))
        for entry in copy.tensors where entry.name != "rope_freqs.weight" {
            #expect(entry.elementType == (entry.shape.count == 2 ? .f16 : .f32), "\(entry.name)")
        }
        let tokens = try this.tokens(1)
        let expected = try this.golden.floats("logits.1")
        expectClose(
            logits(try Decoder(Checkpoint(path: path), on: device), tokens, on: device), expected,
            Tolerance(absolute: 1e-2 * expected.scale), name)
    }

    @Test("of quantised weights is what those stand for", arguments: [false, true])
    func quantised(_ superBlocks: Bool) throws {
        let synthetic = superBlocks ? SyntheticModel.superBlocks : .small
        let source = folder.file("model.gguf", synthetic.image().bytes)
        let checkpoint = try Checkpoint(path: source)
        let model = try Decoder(checkpoint, on: device)
        let output = folder.path + "/hf"
        try createFolder(output)
        try model.writeHuggingFace(to: output, as: .f32, source: checkpoint, on: device)
        let tokens: [Int32] = [3, 9, 27, 5, 1, 60]
        let expected = logits(model, tokens, on: device)
        expectClose(
            logits(try Decoder(Checkpoint(path: output), on: device), tokens, on: device),
            expected, Tolerance(absolute: 1e-5 * expected.scale))
    }

    @Test("in shards and in half precision is read back as it was rounded")
    func shards() throws {
        let this = try ModelCase(folder: "qwen2")
        let model = try Decoder(this.checkpoint, on: device)
        let copy = try reloaded(
            model, as: .bf16, source: this.checkpoint, maximumShardBytes: 20_000)
        #expect(folder.names.contains("model.safetensors.index.json"))
        let configuration = try JSONDocument(path: folder.path + "/config.json").root
        #expect(
            (configuration["dtype"] ?? configuration["torch_dtype"])?.string == "bfloat16")
        let tokens = try this.tokens(0)
        let expected = logits(model, tokens, on: device)
        expectClose(
            logits(copy, tokens, on: device), expected, Tolerance(absolute: 0.1 * expected.scale))
        // Saving again as it is loses nothing more.
        let again = try reloaded(copy, as: .bf16, source: Checkpoint(path: folder.path))
        #expect(logits(again, tokens, on: device).bits == logits(copy, tokens, on: device).bits)
    }

    @Test("whose rows are permuted and permuted back has them in order")
    func rowOrders() throws {
        let shape = try Decoder(ModelCase(folder: "llama-gqa").checkpoint, on: device).shape
        for heads in [1, 3] {
            let there = shape.pairsFromHalves(heads: heads)
            let back = shape.halvesFromPairs(heads: heads)
            #expect(back.map { there[$0] } == Array(there.indices))
        }
    }
}
