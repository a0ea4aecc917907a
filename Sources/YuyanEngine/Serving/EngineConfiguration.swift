import YuyanTensor

/// How much the engine may hold and how it shares a step out.
public struct EngineConfiguration: Sendable {
    /// Bytes of keys and values; the pool has as many blocks as fit.
    public var keyValueBytes = 1 << 30
    /// How keys and values are stored.
    public var keyValueType = KeyValueType.f16
    /// Most tokens of prompt and answer; the model's own maximum, and what the pool holds, limit it.
    public var contextLimit: Int?
    /// Most sequences that run at once.
    public var maxSequences = 64
    /// Most requests that wait; one more is refused.
    public var maxQueue = 256
    /// Most tokens of one step when nobody is waiting for a next token.
    public var batchTokens = 512
    /// Most prompt tokens beside running answers, so that a long prompt does not stall them.
    public var prefillBesideDecode = 128
    /// Whether prefixes are shared; they never change a bit of any answer.
    public var sharesPrefixes = true

    /// 1 GiB of f16 keys and values.
    public init() {}
}
