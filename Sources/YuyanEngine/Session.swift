import YuyanNN
import YuyanTensor

/// One sequence and its cache: feeds prompts in chunks and yields logits to sample from.
///
/// A prompt that begins like what is already cached is only computed from where they part, which
/// changes no bit of the result (docs/numerics.md, "Attention").
public final class Session {
    /// Most tokens that the sequence may have.
    public let contextLimit: Int
    /// Tokens to a prefill pass.
    public let chunkSize: Int
    /// Keys and values of the cached tokens; the session owns its blocks and their numbers.
    public let cache: KeyValueBlocks
    /// Tokens whose keys and values are cached.
    public private(set) var cachedTokens: [Int32] = []
    private let model: Decoder
    private let device: Device
    private let adapter: LowRankAdapter?
    private var allocator: BlockAllocator
    private var blocks: [Int32] = []
    /// Longest sequence length that a cached key was rotated for.
    private var longestContext = 0

    /// - Parameters:
    ///   - chunkSize: Tokens to a prefill pass; memory for activations grows with it.
    ///   - contextLimit: At most the model's own maximum, which is the default.
    ///   - adapter: Low-rank update of the weights, loaded for `model`; nil for the model as it is.
    public init(
        model: Decoder, device: Device, keyValueType: KeyValueType = .f16, chunkSize: Int = 512,
        contextLimit: Int? = nil, adapter: LowRankAdapter? = nil
    ) {
        precondition(chunkSize > 0, "chunks of \(chunkSize) tokens")
        self.model = model
        self.device = device
        self.adapter = adapter
        self.chunkSize = chunkSize
        self.contextLimit = min(contextLimit ?? .max, model.shape.contextLength)
        cache = KeyValueBlocks(layout: model.cacheLayout(type: keyValueType))
        let blockTokens = KeyValueLayout.blockTokens
        allocator = BlockAllocator(
            capacity: (self.contextLimit + blockTokens - 1) / blockTokens)
    }

    /// Computes the part of a prompt that is not cached and returns its last token's logits `[1, V]`.
    ///
    /// - Parameter onRow: If given, called with every prompt position and its logits, in order, and
    ///   nothing is taken from the cache.
    /// - Throws: `GenerationError`; whatever `onRow` throws.
    public func prefill(
        _ prompt: [Int32], onRow: ((Int, UnsafeBufferPointer<Float>) throws -> Void)? = nil
    ) throws -> Tensor {
        try check(prompt)
        truncate(to: onRow == nil ? reusableTokens(of: prompt) : 0)
        var logits: Tensor?
        while cachedTokens.count < prompt.count {
            let start = cachedTokens.count
            let end = start + min(chunkSize, prompt.count - start)
            let (batch, hidden) = try forward(
                Array(prompt[start..<end]), contextLength: prompt.count)
            if let onRow {
                try visit(hidden, of: batch, firstPosition: start, onRow)
            }
            if end == prompt.count {
                logits = model.logits(
                    hidden: hidden, rows: [end - start - 1], of: batch, on: device)
            }
        }
        guard let logits else { throw GenerationError.emptyPrompt }
        return logits
    }

    /// Appends one token and returns its logits `[1, V]`.
    ///
    /// - Throws: `GenerationError.contextExceeded` if the context is full, `.unknownToken`.
    public func decode(_ token: Int32) throws -> Tensor {
        try check(known: token)
        let (batch, hidden) = try forward([token], contextLength: nil)
        return model.logits(hidden: hidden, rows: [0], of: batch, on: device)
    }

    /// How many tokens of a prompt `prefill` takes from the cache; the last is always computed.
    func reusableTokens(of prompt: [Int32]) -> Int {
        // Dynamic NTK rotates by the length so far: keys of another length are not a prefix's keys.
        if case .dynamicNTK(_, let trainedLength) = model.shape.rotaryScaling,
            max(longestContext, prompt.count) > trainedLength
        {
            return 0
        }
        let shared = zip(prompt, cachedTokens).prefix { $0 == $1 }.count
        return max(0, min(shared, prompt.count - 1))
    }

    /// Forgets the tokens from `count` on.
    public func truncate(to count: Int) {
        precondition(count >= 0, "a sequence of \(count) tokens")
        guard count < cachedTokens.count else { return }
        if count == 0 { longestContext = 0 }
        cachedTokens.removeLast(cachedTokens.count - count)
        let blockTokens = KeyValueLayout.blockTokens
        let kept = (count + blockTokens - 1) / blockTokens
        for block in blocks.dropFirst(kept) { allocator.release(block) }
        blocks.removeLast(max(0, blocks.count - kept))
    }

    /// Entries in a row of logits.
    public var vocabularySize: Int { model.shape.vocabularySize }

    /// Whether the context is full.
    public var isFull: Bool { cachedTokens.count >= contextLimit }

    private func forward(
        _ tokens: [Int32], contextLength: Int?
    ) throws -> (TokenBatch, hidden: Tensor) {
        let start = cachedTokens.count
        let needed =
            (start + tokens.count + KeyValueLayout.blockTokens - 1)
            / KeyValueLayout.blockTokens
        guard start + tokens.count <= contextLimit,
            let more = allocator.allocate(max(0, needed - blocks.count))
        else {
            throw GenerationError.contextExceeded(
                promptTokens: start + tokens.count, limit: contextLimit)
        }
        blocks += more
        let batch = TokenBatch(
            tokens: tokens, firstPosition: start, blocks: blocks, contextLength: contextLength,
            adapter: adapter)
        let hidden = model.hiddenStates(batch, cache: cache, on: device)
        cachedTokens += tokens
        longestContext = max(longestContext, contextLength ?? 0, cachedTokens.count)
        return (batch, hidden)
    }

    private func visit(
        _ hidden: Tensor, of batch: TokenBatch, firstPosition: Int,
        _ onRow: (Int, UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        // A few rows at a time: logits of a whole chunk would take more memory than the model.
        let rowsEach = 48
        for start in stride(from: 0, to: hidden.rowCount, by: rowsEach) {
            let end = min(start + rowsEach, hidden.rowCount)
            let logits = model.logits(
                hidden: hidden, rows: Array(start..<end), of: batch, on: device)
            for row in start..<end {
                try logits.withRow(row - start) { try onRow(firstPosition + row, $0) }
            }
        }
    }

    func check(_ prompt: [Int32]) throws(GenerationError) {
        guard !prompt.isEmpty else { throw .emptyPrompt }
        guard prompt.count <= contextLimit else {
            throw .contextExceeded(promptTokens: prompt.count, limit: contextLimit)
        }
        for token in prompt { try check(known: token) }
    }

    private func check(known token: Int32) throws(GenerationError) {
        guard token >= 0, Int(token) < vocabularySize else {
            throw .unknownToken(token, vocabularySize: vocabularySize)
        }
    }
}
