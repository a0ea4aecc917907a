import TestSupport
import Testing
import YuyanFormats
import YuyanNN
import YuyanTensor

@testable import yuyan

@Suite("Inspect")
struct InspectTests {
    @Test("every tensor of every tiny model has a known part, and the parts add up")
    func parts() throws {
        let gguf = itemNames(in: Goldens.path("models/gguf")).filter { $0.hasSuffix(".gguf") }
            .map { "gguf/" + $0 }
        let folders = itemNames(in: Goldens.path("models"))
            .filter { itemNames(in: Goldens.path("models/" + $0)).contains("config.json") }
        #expect(gguf.count >= 5 && folders.count >= 10)
        for name in gguf + folders {
            let summary = try summary("models/" + name)
            let shape = try #require(summary.shape, "\(name)")
            let C = shape.width
            let (H, K) = (
                shape.heads * shape.headDimension, shape.keyValueHeads * shape.headDimension
            )
            let table = shape.vocabularySize * C
            #expect(summary.parameters[.embedding] == table, "\(name)")
            #expect(summary.parameters[.head] ?? 0 == (shape.tiedEmbeddings ? 0 : table), "\(name)")
            let layerNorms = 2 * C + (shape.queryKeyNorm ? 2 * shape.headDimension : 0)
            #expect(summary.parameters[.norms] == shape.layerCount * layerNorms + C, "\(name)")
            let biases =
                (shape.queryKeyValueBias ? H + 2 * K : 0) + (shape.outputBias ? C : 0)
            #expect(
                summary.parameters[.attention]
                    == shape.layerCount * (2 * C * H + 2 * C * K + biases), "\(name)")
            let feedForwardBiases = shape.feedForwardBias ? 2 * shape.hiddenWidth + C : 0
            #expect(
                summary.parameters[.feedForward]
                    == shape.layerCount * (3 * C * shape.hiddenWidth + feedForwardBiases), "\(name)"
            )
            let bytes = summary.checkpoint.tensors.reduce(0) { $0 + $1.byteRange.count }
            #expect(summary.tensorBytes == bytes && summary.fileBytes > bytes, "\(name)")
            #expect(!summary.text.isEmpty && !summary.tensorText.isEmpty)
            _ = try parsed(summary)
        }
    }

    @Test("keys and values take layers × 2 × heads × width × bytes a token")
    func keyValueBytes() throws {
        let summary = try summary("models/gguf/llama-gqa.gguf")
        let json = try parsed(summary).root
        let sizes = try json.object("kv_bytes_per_token")
        #expect(try sizes.int("f32") == 2 * 2 * 2 * 8 * 4)
        #expect(try sizes.int("f16") == 2 * 2 * 2 * 8 * 2)
        // One float32 scale per token, head, and key or value.
        #expect(try sizes.int("q8") == 2 * 2 * 2 * (8 + 4))
        let memory = try #require(summary.memory)
        for type in KeyValueType.allCases {
            let parts = memory.weights + memory.activations + memory.program
            #expect(memory.total(type) == parts + memory.keyValueBytes(type))
            #expect(memory.keyValueBytes(type) == 128 * (try sizes.int(type.rawValue)))
        }
    }

    @Test("metadata keeps its order and long arrays are cut")
    func metadata() throws {
        let json = try parsed(summary("models/gguf/llama-gqa.gguf")).root
        let metadata = try json.object("metadata")
        #expect(metadata.entries?.first?.key == "general.architecture")
        let tokens = try metadata.object("tokenizer.ggml.tokens")
        #expect(try tokens.int("count") == 96)
        #expect(try tokens.string("type") == "string")
        #expect(try tokens.array("first").count == 8)
        #expect(try json.object("tokenizer").int("entries") == 96)
        #expect(try json.array("tensors").count == json.int("tensor_count"))
    }

    @Test("an architecture that no family reads is described all the same")
    func unknownArchitecture() throws {
        var image = GGUFImage()
        image.key("general.architecture", "mamba\u{1B}[2J")
        image.tensor("x.weight", [32, 2], type: 8, offset: 0)
        image.data = [UInt8](repeating: 1, count: 68)
        let folder = TemporaryFolder()
        let path = folder.file("m.gguf", image.bytes)
        let summary = try ModelSummary(path: path, context: nil, chunk: 512)
        #expect(summary.shape == nil && summary.parameters == [.other: 64])
        #expect(summary.bitsPerWeight == 8.5)
        #expect(summary.text.contains("supported: llama"))
        #expect(!summary.text.contains("\u{1B}"))
    }

    @Test("2,000 damaged models are described or refused, never more")
    func damaged() throws {
        let original = try InputFile.bytes(Goldens.path("models/gguf/qwen2.gguf"))
        var mutations = Mutations(of: original, seed: 11)
        let folder = TemporaryFolder()
        var refused = 0
        for _ in 0..<2000 {
            // Damage near the front meets the header; the end is mostly weights.
            let path = folder.file("m.gguf", mutations.next())
            do {
                let summary = try ModelSummary(path: path, context: nil, chunk: 512)
                #expect(!summary.text.isEmpty)
                _ = try parsed(summary)
            } catch {
                #expect(!"\(error)".isEmpty)
                refused += 1
            }
        }
        #expect(refused > 500 && refused < 2000, "\(refused)")
    }

    @Test(
        "the sizes of SmolLM2 are those of its model card",
        .enabled(if: Models.smolLM2 != nil, "the model is not downloaded"))
    func smolLM2() throws {
        let path = try #require(Models.smolLM2)
        let summary = try ModelSummary(path: path, context: 1024, chunk: 512)
        #expect(summary.parameterCount == 134_515_008)
        #expect(summary.parameters[.embedding] == 49152 * 576)
        #expect(summary.fileBytes == 98_362_432)
        let shape = try #require(summary.shape)
        #expect(shape.keyValueBytesPerToken(.f16) == 30 * 2 * 3 * 64 * 2)
    }

    private func summary(_ name: String) throws -> ModelSummary {
        try ModelSummary(path: Goldens.path(name), context: nil, chunk: 512)
    }

    private func parsed(_ summary: ModelSummary) throws -> JSONDocument {
        let text = summary.json(tensors: true, metadata: true).description
        return try JSONDocument(bytes: Array(text.utf8), name: "inspect --json")
    }
}
