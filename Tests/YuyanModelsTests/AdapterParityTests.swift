import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("Adapters against peft")
struct AdapterParityTests {
    /// As for the models themselves; leaving an adapter out is off by whole logits.
    private static let relative = 1e-4

    @Test("give the logits of the adapted model, however it is chunked", arguments: adapterCases)
    func adapted(_ name: String) throws {
        let this = try AdapterCase(name)
        try expectParity(this, Decoder(this.base.checkpoint, on: device))
    }

    @Test(
        "fit the converted GGUF file, whose q and k rows are permuted",
        arguments: adapterCases)
    func gguf(_ name: String) throws {
        let this = try AdapterCase(name)
        let converted = try ModelCase(gguf: this.baseName)
        try expectParity(this, Decoder(converted.checkpoint, on: device))
    }

    @Test(
        "give the logits of merged weights", arguments: mergedCases)
    func merged(_ name: String) throws {
        let this = try AdapterCase(name)
        let model = try Decoder(this.base.checkpoint, on: device)
        let tokens = try this.base.tokens(1)
        let feeding = Feeding(adapter: try this.adapter(for: model, on: device))
        let expected = try this.golden.floats("merged.1")
        expectClose(
            logits(model, tokens, feeding, on: device), expected,
            Tolerance(absolute: Self.relative * expected.scale), name)
    }

    @Test("change nothing for who does not use them")
    func without() throws {
        let this = try AdapterCase("llama-all")
        let model = try Decoder(this.base.checkpoint, on: device)
        let tokens = try this.base.tokens(1)
        let before = logits(model, tokens, on: device)
        let adapter = try this.adapter(for: model, on: device)
        let adapted = logits(model, tokens, Feeding(adapter: adapter), on: device)
        #expect(adapted.bits != before.bits)
        #expect(logits(model, tokens, on: device).bits == before.bits)
    }

    @Test("are all tried here")
    func complete() {
        let folders = itemNames(in: Goldens.path("adapters")).filter { !$0.contains(".") }
        #expect(folders == (adapterCases + ["llama-norms"]).sorted())
    }

    private let device = Device(threads: 1, precision: .f32)

    private func expectParity(_ this: AdapterCase, _ model: Decoder) throws {
        let adapter = try this.adapter(for: model, on: device)
        for sequence in 0...1 {
            let tokens = try this.base.tokens(sequence)
            let expected = try this.golden.floats("logits.\(sequence)")
            for chunk in [Int.max, 5, 1] {
                let feeding = Feeding(chunk: chunk, adapter: adapter)
                expectClose(
                    logits(model, tokens, feeding, on: device), expected,
                    Tolerance(absolute: Self.relative * expected.scale),
                    "\(this.name), sequence \(sequence), \(feeding)")
            }
        }
    }
}
