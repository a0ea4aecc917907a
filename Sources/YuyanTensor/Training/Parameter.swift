/// Numbers that training changes: a weight matrix, a bias, the weight of a norm.
///
/// The values are those that the forward pass reads, in its own layout: a matrix lies in panels
/// of 16 interleaved rows (`[panel][in][16]`, the last panel padded with zero rows), a vector as it
/// is. The gradient has the same layout. Optimisers work element by element over `values` and
/// `gradient` and need not know it: padding is zero in both, and every update rule keeps it so.
/// Files see row-major order, through `rowMajor` and `load(rowMajor:)`.
///
/// Unchecked: one thread at a time trains. It alone writes values, between passes, and gradients,
/// which the workers of a pass fill in disjoint ranges.
package final class Parameter: @unchecked Sendable {
    /// As in checkpoints: `model.layers.0.self_attn.q_proj.weight`.
    package let name: String
    /// `[out, in]` or `[C]`.
    package let shape: [Int]
    /// Whether gradients are computed; may change between passes.
    package var isTrainable = true
    /// Floats of the values, and of the gradient, padding included.
    package let storageCount: Int

    private let start: UnsafeMutablePointer<Float>
    /// Keeps the values alive.
    private let owner: AnyObject
    private var gradientStorage: Storage?
    /// Whether the gradient's contents count: something was added since `zeroGradient`.
    private var isReached = false
    private var pendingRows = GradientRows()

    init(
        name: String, shape: [Int], start: UnsafeMutablePointer<Float>, storageCount: Int,
        owner: AnyObject
    ) {
        self.name = name
        self.shape = shape
        self.start = start
        self.storageCount = storageCount
        self.owner = owner
    }

    /// Number of elements, without padding.
    package var count: Int { shape.reduce(1, *) }

    /// The values in the layout that the type describes, to be changed between passes.
    package var values: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: start, count: storageCount)
    }

    /// The sum of the gradients since `zeroGradient`; nil if no pass has reached this parameter.
    ///
    /// Ask when a step's passes are over: asking closes the sums over rows of an embedding, and a
    /// later pass would be added in another order.
    package var gradient: UnsafeMutableBufferPointer<Float>? {
        mergePendingRows()
        guard isReached, let gradientStorage else { return nil }
        return UnsafeMutableBufferPointer(
            start: gradientStorage.start.assumingMemoryBound(to: Float.self), count: storageCount)
    }

    /// Whether a pass has reached this parameter since `zeroGradient`.
    package var hasGradient: Bool { isReached || !pendingRows.isEmpty }

    /// Forgets the gradient, at no cost; its memory is kept for the next.
    package func zeroGradient() {
        isReached = false
        pendingRows.removeAll()
    }

    /// Memory of the gradient, 0 before any pass.
    package var gradientBytes: Int { gradientStorage?.byteCount ?? 0 }
}

// MARK: - For the backward pass

extension Parameter {
    /// Where a gradient is accumulated, and whether a sum is there to be resumed.
    ///
    /// Without a sum the contents are undefined but for the padding: write all elements. From now
    /// on the gradient counts.
    func accumulator() -> (start: UnsafeMutablePointer<Float>, resume: Bool) {
        let storage = gradientStorage ?? zeroedStorage()
        gradientStorage = storage
        let resume = isReached
        isReached = true
        return (storage.start.assumingMemoryBound(to: Float.self), resume)
    }

    /// Where a gradient is accumulated: a sum, or zeros to begin one.
    func zeroedAccumulator() -> UnsafeMutablePointer<Float> {
        let (start, resume) = accumulator()
        if !resume { start.update(repeating: 0, count: storageCount) }
        return start
    }

    /// Adds rows `[T, C]` of an embedding's gradient, row `t` to that of `ids[t]`.
    ///
    /// They are summed apart, row by row in the order of calls, and meet the matrix's own gradient
    /// when that is asked for: a tied head's sums then do not depend on how a step was cut into
    /// passes.
    func addRows(_ rows: Tensor, ids: [Int32]) {
        precondition(rows.rowCount == ids.count && rows.width == shape[1], "\(rows.shape)")
        for (index, id) in ids.enumerated() {
            let source = rows.pointer + index * rows.width
            pendingRows.add(UnsafeBufferPointer(start: source, count: rows.width), to: id)
        }
    }

    private func mergePendingRows() {
        guard !pendingRows.isEmpty else { return }
        let target = zeroedAccumulator()
        let columns = shape[1]
        for (place, id) in pendingRows.ids.enumerated() {
            for column in 0..<columns {
                target[panelIndex(row: Int(id), column: column, columns: columns)] +=
                    pendingRows.values[place * columns + column]
            }
        }
        pendingRows.removeAll()
    }

    private func zeroedStorage() -> Storage {
        let storage = Storage(byteCount: storageCount * MemoryLayout<Float>.stride)
        storage.start.assumingMemoryBound(to: Float.self)
            .initialize(repeating: 0, count: storageCount)
        return storage
    }
}

/// Sums of gradient rows, for the ids that occurred.
private struct GradientRows {
    private var places: [Int32: Int] = [:]
    /// In the order of their first occurrence.
    private(set) var ids: [Int32] = []
    /// `[ids.count, C]`.
    private(set) var values: [Float] = []

    var isEmpty: Bool { ids.isEmpty }

    mutating func add(_ row: UnsafeBufferPointer<Float>, to id: Int32) {
        guard let place = places[id] else {
            places[id] = ids.count
            ids.append(id)
            values.append(contentsOf: row)
            return
        }
        for (column, value) in row.enumerated() { values[place * row.count + column] += value }
    }

    mutating func removeAll() {
        places.removeAll(keepingCapacity: true)
        ids.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }
}

// MARK: - Row-major order, for files

extension Parameter {
    /// The values as checkpoints hold them.
    package func rowMajor() -> [Float] { rowMajor(UnsafePointer(start)) }

    /// The gradient in the order of checkpoints; nil if there is none.
    package func rowMajorGradient() -> [Float]? {
        gradient?.baseAddress.map { rowMajor(UnsafePointer($0)) }
    }

    /// Replaces the values by a checkpoint's.
    package func load(rowMajor source: [Float]) {
        precondition(source.count == count, "\(source.count) values for '\(name)' \(shape)")
        guard shape.count == 2 else {
            for (index, value) in source.enumerated() { start[index] = value }
            return
        }
        let (rows, columns) = (shape[0], shape[1])
        for row in 0..<rows {
            for column in 0..<columns {
                start[panelIndex(row: row, column: column, columns: columns)] =
                    source[row * columns + column]
            }
        }
    }

    private func rowMajor(_ source: UnsafePointer<Float>) -> [Float] {
        guard shape.count == 2 else {
            return Array(UnsafeBufferPointer(start: source, count: count))
        }
        let (rows, columns) = (shape[0], shape[1])
        return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            for row in 0..<rows {
                for column in 0..<columns {
                    buffer[row * columns + column] =
                        source[panelIndex(row: row, column: column, columns: columns)]
                }
            }
            initialized = count
        }
    }
}

/// Place of an element in panels of 16 interleaved float rows.
private func panelIndex(row: Int, column: Int, columns: Int) -> Int {
    (row / 16 * columns + column) * 16 + row % 16
}
