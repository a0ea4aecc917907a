import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite(
    "SmolLM2-135M-Instruct against transformers", .serialized,
    .enabled(if: Models.smolLM2 != nil, "the model is not downloaded"))
struct SmolLM2Tests {
    private let golden: GoldenFile
    private let checkpoint: Checkpoint

    init() throws {
        golden = try GoldenFile("models/smollm2/golden.safetensors")
        checkpoint = try Checkpoint(path: try #require(Models.smolLM2))
    }

    private func tokens(_ name: String) throws -> [Int32] {
        try golden.ints(name).map { Int32($0) }
    }

    /// The log-probability of each token after the first.
    private func logProbabilities(_ rows: [Float], of tokens: [Int32]) -> [Float] {
        let width = rows.count / tokens.count
        return tokens.indices.dropLast().map { position in
            let row = rows[position * width..<(position + 1) * width].map { Double($0) }
            let largest = row.max() ?? 0
            let sum = row.reduce(0) { $0 + exp($1 - largest) }
            return Float(row[Int(tokens[position + 1])] - largest - log(sum))
        }
    }

    @Test("computes its logits, continues greedily as it does, and scores text as it does")
    func parity() throws {
        let device = Device(threads: 2, precision: .f32)
        let model = try Decoder(checkpoint, on: device)
        let prompt = try tokens("prompt.ids")
        let found = logits(model, prompt, on: device)
        let width = model.shape.vocabularySize
        let ids = try golden.ints("prompt.top.ids")
        let values = try golden.floats("prompt.top.values")
        // Thirty layers of float32 in another order of summation.
        let tolerance = Tolerance(absolute: 2e-4 * values.scale)
        expectClose(
            ids.indices.map { found[$0 / 64 * width + ids[$0]] }, values, tolerance, "top logits")
        for position in prompt.indices {
            let row = found[position * width..<(position + 1) * width]
            let others = Set(ids[position * 64..<position * 64 + 64])
            let smallest = values[position * 64 + 63]
            let rest = row.enumerated().filter { !others.contains($0.offset) }.map(\.element)
            #expect(Double(rest.max() ?? 0) <= Double(smallest) + tolerance.absolute)
        }

        var greedy: [Int] = []
        var sequence = prompt
        for _ in try golden.ints("greedy.ids") {
            let rows = greedy.isEmpty ? found : logits(model, sequence, on: device)
            let last = rows.suffix(width)
            let best = last.indices.max { last[$0] < last[$1] } ?? 0
            greedy.append(best - last.startIndex)
            sequence.append(Int32(best - last.startIndex))
        }
        #expect(greedy == (try golden.ints("greedy.ids")))

        let text = try tokens("text.ids")
        let scores = logProbabilities(logits(model, text, on: device), of: text)
        expectClose(scores, try golden.floats("text.logprobs"), Tolerance(absolute: 2e-3), "text")
        let loss = -scores.reduce(0) { $0 + Double($1) } / Double(scores.count)
        let report = try JSONDocument(path: Goldens.path("models/smollm2/golden.json"))
        let perplexity = try report.root.double("perplexity")
        expectClose([exp(loss)], [perplexity], Tolerance(relative: 1e-4), "perplexity")
    }

    @Test("scores text with 16-bit activations and a 16-bit cache all but as well")
    func defaults() throws {
        let device = Device(threads: 2)
        let model = try Decoder(checkpoint, on: device)
        let text = try tokens("text.ids")
        let scores = logProbabilities(
            logits(model, text, Feeding(keyValueType: .f16), on: device), of: text)
        expectClose(scores, try golden.floats("text.logprobs"), Tolerance(absolute: 0.03), "text")
    }

    @Test(
        "gives the same bits for any chunks, threads and instructions",
        arguments: Precision.allCases)
    func sameBits(_ precision: Precision) throws {
        let tokens = Array(try tokens("text.ids").prefix(40))
        var first: [UInt32]?
        for (threads, set, chunk) in [
            (1, .best, Int.max), (2, .best, 7), (3, .best, 1), (2, .avx2, 33), (5, .best, 64),
        ] as [(Int, InstructionSet, Int)] where InstructionSet.available.contains(set) {
            let device = Device(threads: threads, instructionSet: set, precision: precision)
            let model = try Decoder(checkpoint, on: device)
            let found = logits(
                model, tokens, Feeding(chunk: chunk, keyValueType: .f16), on: device
            ).bits
            #expect(found == first ?? found, "\(threads) threads, \(set), chunks of \(chunk)")
            first = found
        }
        // The scalar kernels are slow; later tokens cannot change the first ones' logits.
        let device = Device(threads: 2, instructionSet: .scalar, precision: precision)
        let found = logits(
            try Decoder(checkpoint, on: device), Array(tokens.prefix(4)),
            Feeding(keyValueType: .f16), on: device
        ).bits
        #expect(found == first.map { Array($0.prefix(found.count)) })
    }
}
