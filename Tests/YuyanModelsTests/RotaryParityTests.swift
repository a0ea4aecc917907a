import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@Suite("Rotary tables against transformers")
struct RotaryParityTests {
    @Test("have its frequencies and attention factor", arguments: folderCases)
    func frequencies(_ name: String) throws {
        let (rotary, golden) = try table(name)
        // The reference computes powers in float32, we in float64: a few units in the last place.
        expectClose(
            rotary.frequencies(length: 1), try golden.floats("inv_freq"),
            Tolerance(relative: 8 * 0x1p-24))
        expectClose(
            [rotary.attentionFactor], try golden.floats("attention_scaling"),
            Tolerance(relative: 0x1p-23))
    }

    @Test("have its cosines and sines", arguments: folderCases)
    func angles(_ name: String) throws {
        let (rotary, golden) = try table(name)
        let length = try golden.shape("cos")[0]
        let batch = TokenBatch(
            tokens: Array(repeating: 0, count: length), firstPosition: 0, blocks: [0, 1])
        let found = rotary.table(for: batch)
        // An angle of up to 47 radians from frequencies that differ as above.
        let tolerance = Tolerance(absolute: 47 * 8 * 0x1p-24)
        expectClose(found.cosine.values, try golden.floats("cos"), tolerance, "cos")
        expectClose(found.sine.values, try golden.floats("sin"), tolerance, "sin")
    }

    @Test("follow the length under dynamic NTK, call by call")
    func dynamic() throws {
        let (rotary, golden) = try table("rope-dynamic")
        let start = try golden.ints("decode.start")[0]
        let expected = try golden.floats("decode.inv_freq")
        let rows = try golden.shape("decode.inv_freq")[0]
        let found = (0..<rows).flatMap { rotary.frequencies(length: start + $0 + 1) }
        expectClose(found, expected, Tolerance(relative: 16 * 0x1p-24))
    }

    @Test("are the same wherever a row stands in a batch", arguments: ropeCases)
    func rows(_ name: String) throws {
        let rotary = try table(name).0
        let whole = rotary.table(
            for: TokenBatch(
                tokens: [Int32](repeating: 0, count: 40), firstPosition: 0,
                blocks: [0, 1], contextLength: 64))
        for position in 0..<40 {
            let one = rotary.table(
                for: TokenBatch(
                    tokens: [0], firstPosition: position, blocks: [0, 1], contextLength: 64))
            #expect(one.cosine.row(0).bits == whole.cosine.row(position).bits)
            #expect(one.sine.row(0).bits == whole.sine.row(position).bits)
        }
    }

    private func table(_ name: String) throws -> (RotaryEmbedding, GoldenFile) {
        let model = try ModelCase(folder: name)
        let shape = try Families.shape(of: model.checkpoint).1
        return (
            RotaryEmbedding(
                dimension: shape.rotaryDimension, theta: shape.ropeTheta,
                scaling: shape.rotaryScaling), model.golden
        )
    }
}
