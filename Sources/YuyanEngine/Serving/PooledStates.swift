import YuyanTensor

/// Sums hidden states of a text whose rows arrive in pieces.
///
/// Each column is one chain of float64 additions in row order, so that pieces change no bit.
struct PooledStates {
    private let pooling: EmbeddingRequest.Pooling
    private var sums: [Double]
    private var count = 0

    init(_ pooling: EmbeddingRequest.Pooling, width: Int) {
        self.pooling = pooling
        sums = Array(repeating: 0, count: width)
    }

    /// Takes the next rows of the text.
    mutating func add(_ rows: Range<Int>, of states: Tensor) {
        let wanted = pooling == .last ? rows.suffix(1) : rows
        if pooling == .last { sums = Array(repeating: 0, count: sums.count) }
        for row in wanted {
            states.withRow(row) { row in
                for column in sums.indices { sums[column] += Double(row[column]) }
            }
        }
        count = pooling == .last ? 1 : count + rows.count
    }

    /// The pooled vector `[C]`; of length 1 if wanted, unless it is zero.
    func vector(normalizes: Bool) -> [Float] {
        let mean = sums.map { $0 / Double(max(count, 1)) }
        let length = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return mean.map { Float(normalizes && length > 0 ? $0 / length : $0) }
    }
}
