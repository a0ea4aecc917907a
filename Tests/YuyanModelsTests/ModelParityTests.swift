import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("Decoder against transformers")
struct ModelParityTests {
    /// Both sides sum in float32: a ten-thousandth of the largest logit is several times their
    /// distance, and wrong variants are off by more than a whole logit.
    static let relative = 1e-4

    @Test("computes the logits of a folder, however it is chunked", arguments: folderCases)
    func folder(_ name: String) throws {
        try expectParity(ModelCase(folder: name), name)
    }

    @Test("reads transformers 4's configuration to the same end", arguments: folderCases)
    func legacy(_ name: String) throws {
        try expectParity(ModelCase(legacy: name), name)
    }

    @Test("computes the logits of the converted file, however it is chunked", arguments: ggufCases)
    func gguf(_ name: String) throws {
        try expectParity(ModelCase(gguf: name), name)
    }

    @Test("knows every golden there is")
    func complete() {
        let folders = itemNames(in: Goldens.path("models")).filter {
            !$0.contains(".") && $0 != "gguf" && $0 != "smollm2"
        }
        #expect(folders == folderCases.sorted())
        let files = itemNames(in: Goldens.path("models/gguf")).filter { $0.hasSuffix(".gguf") }
        #expect(files == ggufCases.map { $0 + ".gguf" })
    }

    @Test("decodes under dynamic NTK with the frequencies of each call's length")
    func dynamicDecoding() throws {
        let model = try ModelCase(folder: "rope-dynamic")
        let tokens = try model.tokens(1)
        let start = try #require(try model.golden.ints("decode.start").first)
        let device = Device(threads: 1, precision: .f32)
        let decoder = try Decoder(model.checkpoint, on: device)
        let cache = KeyValueBlocks(layout: decoder.cacheLayout(type: .f32))
        var found: [Float] = []
        for (first, end) in [(0, start)] + (start..<tokens.count).map({ ($0, $0 + 1) }) {
            let batch = TokenBatch(
                tokens: Array(tokens[first..<end]), firstPosition: first, blocks: [0, 1])
            let hidden = decoder.hiddenStates(batch, cache: cache, on: device)
            guard first > 0 else { continue }
            found += decoder.logits(hidden: hidden, rows: [0], on: device).values
        }
        let expected = try model.golden.floats("decode.logits")
        expectClose(found, expected, Tolerance(absolute: Self.relative * expected.scale))
    }

    @Test(
        "is moved by a rounded cache no further than its rounding explains",
        arguments: folderCases, [(KeyValueType.f16, 0x1p-11), (.q8, 1.0 / 254)])
    func roundedCache(_ name: String, _ type: (KeyValueType, unit: Double)) throws {
        let model = try ModelCase(folder: name)
        let tokens = try model.tokens(1)
        let device = Device(threads: 1, precision: .f32)
        let decoder = try Decoder(model.checkpoint, on: device)
        let found = logits(
            decoder, tokens, Feeding(keyValueType: type.0, contextLength: tokens.count),
            on: device)
        let expected = try model.golden.floats("logits.1")
        // A score of size s moves by s times the unit, and a probability by that factor; scores
        // of these models reach a few tens, and two layers add up.
        expectClose(found, expected, Tolerance(absolute: 32 * type.unit * expected.scale))
        // The rounding happened at all.
        #expect(
            found.bits
                != logits(
                    decoder, tokens, Feeding(contextLength: tokens.count), on: device
                ).bits)
    }

    private func expectParity(_ model: ModelCase, _ name: String) throws {
        let device = Device(threads: 1, precision: .f32)
        let decoder = try Decoder(model.checkpoint, on: device)
        for sequence in 0...1 {
            let tokens = try model.tokens(sequence)
            let expected = try model.golden.floats("logits.\(sequence)")
            for chunk in [Int.max, 7, 1] {
                // The golden rotates every key for the whole length (only dynamic NTK cares).
                let feeding = Feeding(chunk: chunk, contextLength: tokens.count)
                expectClose(
                    logits(decoder, tokens, feeding, on: device), expected,
                    Tolerance(absolute: Self.relative * expected.scale),
                    "\(name), sequence \(sequence), \(feeding)")
            }
        }
    }
}
