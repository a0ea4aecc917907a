import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("The same bits of adapted logits come")
struct AdapterBitsTests {
    private func tokens(_ count: Int, seed: UInt64) -> [Int32] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in .random(in: 3..<96, using: &random) }
    }

    /// The logits of a sequence alone under an adapter.
    private func found(
        _ name: String, _ tokens: [Int32], chunk: Int = .max, on device: Device
    ) throws -> FloatBits {
        let this = try AdapterCase(name)
        let model = try Decoder(this.base.checkpoint, on: device)
        let adapter = try this.adapter(for: model, on: device)
        let feeding = Feeding(chunk: chunk, keyValueType: .f16, adapter: adapter)
        return logits(model, tokens, feeding, on: device).bits
    }

    @Test("from any cut of the prompt", arguments: adapterCases, Precision.allCases)
    func chunks(_ name: String, _ precision: Precision) throws {
        let device = Device(threads: 2, precision: precision)
        let tokens = tokens(70, seed: 5)
        let whole = try found(name, tokens, on: device)
        for chunk in [1, 2, 7, 33] {
            #expect(
                try found(name, tokens, chunk: chunk, on: device) == whole, "chunks of \(chunk)")
        }
    }

    @Test("from any number of threads and every instruction set", arguments: adapterCases)
    func machines(_ name: String) throws {
        let tokens = tokens(41, seed: 6)
        var first: FloatBits?
        for set in InstructionSet.available {
            for threads in [1, 3] {
                let device = Device(threads: threads, instructionSet: set)
                for chunk in [Int.max, 1] {
                    let bits = try found(name, tokens, chunk: chunk, on: device)
                    #expect(bits == first ?? bits, "\(set), \(threads) threads, chunks of \(chunk)")
                    first = bits
                }
            }
        }
    }

    @Test(
        "for a sequence among others, with its adapter, another or none",
        arguments: ["llama-gqa", "qwen2"], Precision.allCases)
    func batches(_ base: String, _ precision: Precision) throws {
        let device = Device(threads: 2, precision: precision)
        let cases = try adapterCases.map { try AdapterCase($0) }.filter { $0.baseName == base }
        let model = try Decoder(ModelCase(folder: base).checkpoint, on: device)
        let adapters = try cases.map { try $0.adapter(for: model, on: device) }
        var random = SeededGenerator(seed: 8)
        for round in 0..<6 {
            let sequences = (0..<9).map { index in
                // Rounds of decoding have one token each, others mix prompts in.
                let count = round.isMultiple(of: 2) ? 1 : Int.random(in: 1...40, using: &random)
                let choice = Int.random(in: -1..<adapters.count, using: &random)
                return (
                    tokens: tokens(count, seed: UInt64(round * 100 + index)),
                    adapter: choice < 0 ? nil : adapters[choice]
                )
            }
            let together = logits(model, together: sequences, on: device)
            for (sequence, rows) in zip(sequences, together) {
                let alone = logits(
                    model, sequence.tokens,
                    Feeding(keyValueType: .f16, adapter: sequence.adapter), on: device)
                #expect(
                    rows.bits == alone.bits,
                    "\(sequence.tokens.count) tokens, \(sequence.adapter?.name ?? "no adapter")")
            }
        }
    }
}
