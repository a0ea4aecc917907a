import YuyanNN
import YuyanText

/// The model that writes a run's answers, as reward models that are adapters over it see it.
package struct AdapterBase: Sendable {
    let decoder: Decoder
    let tokenizer: Tokenizer
    /// Whether the weights under all adapters stay what they were.
    let isFrozen: Bool
}
