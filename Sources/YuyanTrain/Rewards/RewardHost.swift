import YuyanTensor

/// What a run lends to reward functions that compute with a model of their own.
package struct RewardHost: Sendable {
    /// Whose threads compute; nil for threads of the function's own, one a processor.
    package var device: Device?
    /// The path that a model's name means; throws what is wrong with the name.
    package var modelPath: @Sendable (String) throws -> String
    /// Of every random number.
    package var seed: UInt64
    /// The model that writes the answers, for reward models that are adapters over it.
    package var base: AdapterBase?

    package init(
        device: Device? = nil, seed: UInt64 = 42,
        modelPath: @escaping @Sendable (String) throws -> String = { $0 }
    ) {
        self.device = device
        self.seed = seed
        self.modelPath = modelPath
    }
}
