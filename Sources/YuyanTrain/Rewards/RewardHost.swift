import YuyanModels
import YuyanNN
import YuyanTensor
import YuyanText

/// What a run lends to reward functions and tools: threads, models, and when to stop.
package struct RewardHost: Sendable {
    /// Whose threads compute; nil for threads of the function's own, one a processor.
    package var device: Device?
    /// The path that a model's name means; throws what is wrong with the name.
    package var modelPath: @Sendable (String) throws -> String
    /// Of every random number.
    package var seed: UInt64
    /// Ends what takes long.
    package var stop: StopRequest
    /// Whether programs and judges are only looked at, never started.
    package var isDry: Bool
    /// What `model: self` of a judge means.
    var own = OwnModel.changing

    /// The model of the run itself.
    enum OwnModel: Sendable {
        /// There is none that stays as it is.
        case changing
        /// There will be one, once it is loaded.
        case promised
        /// Its base, which never changes.
        case frozen(FrozenModel)
    }
    /// The model that writes the answers, for reward models that are adapters over it.
    package var base: AdapterBase?

    package init(
        device: Device? = nil, seed: UInt64 = 42,
        modelPath: @escaping @Sendable (String) throws -> String = { $0 },
        stop: StopRequest = StopRequest(), isDry: Bool = false
    ) {
        self.device = device
        self.seed = seed
        self.modelPath = modelPath
        self.stop = stop
        self.isDry = isDry
    }
}

/// A model that answers beside the one that is trained.
struct FrozenModel: Sendable {
    let decoder: Decoder
    let tokenizer: Tokenizer
    /// Of its chats; nil if it has none.
    let template: ChatTemplate?
    /// For messages.
    let name: String
}

extension Recipe {
    /// Whether the model's own weights stay as they are while it answers.
    var keepsBase: Bool {
        !method.stage.trains || (method.type == .lora && method.additionalTarget.isEmpty)
    }
}
