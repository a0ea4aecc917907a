import TestSupport
import Testing
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A tiny model from Tests/Goldens with the logits that transformers computed for one sequence.
struct EvaluationFixture {
    let decoder: Decoder
    let ids: [Int32]
    /// Reference logits, a row for each position.
    let reference: [[Double]]

    init(_ name: String) throws {
        decoder = try Decoder(
            Checkpoint(path: Goldens.path("models/\(name)")), on: Device(threads: 1))
        let golden = try GoldenFile("models/\(name)/golden.safetensors")
        ids = try golden.ints("ids.1").map { Int32($0) }
        let flat = try golden.floats("logits.1").map(Double.init)
        let width = flat.count / ids.count
        reference = stride(from: 0, to: flat.count, by: width).map { Array(flat[$0..<$0 + width]) }
    }

    /// Logits of every position of `tokens`, read alone, token by token through a session.
    func logits(_ tokens: [Int32], on device: Device) throws -> [[Double]] {
        let session = Session(model: decoder, device: device, keyValueType: .f32)
        return try tokens.map { try session.decode($0).row(0).map(Double.init) }
    }
}

/// SmolLM2 with a text and the log-probability that transformers gave each of its tokens.
struct RealModel {
    let decoder: Decoder
    let ids: [Int32]
    /// Of token `i + 1` after those up to `i`.
    let logProbabilities: [Double]

    /// - Precondition: `Models.smolLM2` is there.
    init(on device: Device) throws {
        let path = try #require(Models.smolLM2)
        decoder = try Decoder(Checkpoint(path: path), on: device)
        let golden = try GoldenFile("models/smollm2/golden.safetensors")
        ids = try golden.ints("text.ids").map { Int32($0) }
        logProbabilities = try golden.floats("text.logprobs").map(Double.init)
    }
}

/// Log-probabilities in float64, the obvious way.
func naiveLogSoftmax(_ logits: [Double]) -> [Double] {
    let largest = logits.reduce(-.infinity, max)
    let logSum = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
    return logits.map { $0 - logSum }
}
