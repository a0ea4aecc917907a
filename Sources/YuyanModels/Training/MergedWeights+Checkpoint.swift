import YuyanFormats
import YuyanNN
import YuyanTensor

extension MergedWeights {
    /// A checkpoint's weights with adapters added one after the other, each to what those before made.
    ///
    /// - Parameters:
    ///   - checkpoint: Of float weights; blocks would be widened.
    ///   - adapters: PEFT directories or GGUF files, at least one.
    /// - Throws: What loading either throws; `AdapterError` for a reward model, whose head is no weight
    ///   of a language model.
    package init(_ checkpoint: Checkpoint, merging adapters: [String], on device: Device) throws {
        precondition(!adapters.isEmpty, "nothing to merge")
        // A matrix that is not kept must not live on in a piece that it shares.
        var decoder = try Decoder(checkpoint, on: device.withOwnPieces)
        for path in adapters.dropLast() {
            let merged = try MergedWeights(decoder, path, on: device)
            decoder = try Decoder(
                shape: merged.shape, weights: merged, interleaved: false, on: device.withOwnPieces)
        }
        try self.init(decoder, adapters[adapters.count - 1], on: device)
    }

    private init(_ decoder: Decoder, _ path: String, on device: Device) throws {
        let adapter = try LowRankAdapter(
            name: path, path: path, for: decoder, on: device.withOwnPieces, merging: true)
        guard adapter.score == nil else {
            throw AdapterError.unusedTensor(
                name: "score.weight", file: path,
                reason: "the head of a reward model has no place in a language model")
        }
        self.init(decoder, adding: adapter, on: device)
    }
}
