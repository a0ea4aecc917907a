import YuyanTensor

/// Tokens of one or several sequences, laid end to end, for one forward pass.
///
/// A one-dimensional description: who may see whom follows from segments and positions, never from
/// a mask.
public struct TokenBatch: Sendable {
    /// Consecutive tokens of one sequence.
    public struct Segment: Sendable {
        /// Where these tokens are in the batch, in their sequence and in the cache.
        public let attention: SequenceSegment
        /// Tokens of the sequence known when this pass began; only dynamic NTK reads it.
        public let contextLength: Int
        /// Low-rank update of the weights for these tokens; nil for the model as it is.
        public let adapter: LowRankAdapter?

        /// - Parameters:
        ///   - contextLength: At least what the segment reaches; by default just that. Give the
        ///     whole prompt's length while its chunks are prefilled.
        ///   - adapter: Loaded for the model that runs the batch.
        public init(
            _ attention: SequenceSegment, contextLength: Int? = nil,
            adapter: LowRankAdapter? = nil
        ) {
            self.attention = attention
            self.adapter = adapter
            let reached = attention.firstPosition + attention.rows.count
            self.contextLength = max(contextLength ?? reached, reached)
        }
    }

    /// Ids `[T]` of all segments, end to end.
    public let tokens: [Int32]
    /// The sequences that take part, in the order of their rows.
    public let segments: [Segment]

    /// The segments' rows must cover the tokens, in order.
    public init(tokens: [Int32], segments: [Segment]) {
        var row = 0
        for segment in segments {
            precondition(segment.attention.rows.lowerBound == row, "segments leave a gap at \(row)")
            row = segment.attention.rows.upperBound
        }
        precondition(row == tokens.count, "segments cover \(row) of \(tokens.count) tokens")
        self.tokens = tokens
        self.segments = segments
    }

    /// One sequence's tokens from `firstPosition` on.
    public init(
        tokens: [Int32], firstPosition: Int, blocks: [Int32], contextLength: Int? = nil,
        adapter: LowRankAdapter? = nil
    ) {
        let segment = SequenceSegment(
            rows: 0..<tokens.count, firstPosition: firstPosition, blocks: blocks)
        self.init(
            tokens: tokens,
            segments: [Segment(segment, contextLength: contextLength, adapter: adapter)])
    }

    var attentionSegments: [SequenceSegment] { segments.map(\.attention) }
}
