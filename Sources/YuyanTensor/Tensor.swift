/// Float32 numbers in row-major order.
///
/// A value: operations return new tensors. The last axis is contiguous; there are no strided views.
///
/// Unchecked: the elements are written only by the operation that makes the tensor, and those of a
/// trained `Parameter` also between passes.
public struct Tensor: @unchecked Sendable {
    /// Sizes of the axes, outermost first; empty for a scalar.
    public let shape: [Int]
    private(set) var storage: Storage
    /// Who wants the gradient of these numbers; nil if nobody does.
    package var source: GradientSource?
    /// How to compute them again, while they are recorded; see `SavedTensor`.
    var recipe: Recipe?

    /// Undefined contents, for an operation to fill.
    init(uninitialized shape: [Int]) {
        self.shape = shape
        storage = Storage(byteCount: shape.reduce(1, *) * MemoryLayout<Float>.stride)
    }

    /// Zeros.
    package init(zeros shape: [Int]) {
        self.init(uninitialized: shape)
        pointer.initialize(repeating: 0, count: count)
    }

    /// Copies `values` in row-major order.
    public init(_ values: [Float], shape: [Int]) {
        precondition(
            values.count == shape.reduce(1, *), "\(values.count) values cannot fill \(shape)")
        self.init(uninitialized: shape)
        values.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            pointer.update(from: start, count: source.count)
        }
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }

    /// Size of the last axis; 1 for a scalar.
    public var width: Int { shape.last ?? 1 }

    /// Product of all axes but the last.
    public var rowCount: Int { shape.dropLast().reduce(1, *) }

    /// The elements in row-major order, copied.
    public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

    /// One row along the last axis, copied.
    public func row(_ index: Int) -> [Float] {
        precondition(index >= 0 && index < rowCount, "row \(index) of \(shape)")
        return Array(UnsafeBufferPointer(start: pointer + index * width, count: width))
    }

    /// Lends the elements of one row, unless the closure keeps them.
    package func withRow<R, E: Error>(
        _ index: Int, _ body: (UnsafeBufferPointer<Float>) throws(E) -> R
    ) throws(E) -> R {
        precondition(index >= 0 && index < rowCount, "row \(index) of \(shape)")
        return try body(UnsafeBufferPointer(start: pointer + index * width, count: width))
    }

    /// Lends the elements of one row for changing; of the caller's rows, no two may be one.
    package func withMutableRow<R, E: Error>(
        _ index: Int, _ body: (inout MutableSpan<Float>) throws(E) -> R
    ) throws(E) -> R {
        precondition(index >= 0 && index < rowCount, "row \(index) of \(shape)")
        let row = UnsafeMutableBufferPointer(start: pointer + index * width, count: width)
        var span = MutableSpan(_unsafeElements: row)
        return try body(&span)
    }

    /// The same elements under another shape.
    public func reshaped(to shape: [Int]) -> Tensor {
        precondition(shape.reduce(1, *) == count, "\(self.shape) cannot become \(shape)")
        return Tensor(shape: shape, storage: storage, source: source)
    }

    private init(shape: [Int], storage: Storage, source: GradientSource?) {
        self.shape = shape
        self.storage = storage
        self.source = source
    }

    /// Numbers that are trained, under their name in checkpoints: a bias or the weight of a norm.
    package init(parameter name: String, _ values: [Float]) {
        self.init(values, shape: [values.count])
        source = .parameter(
            Parameter(
                name: name, shape: shape, start: pointer, storageCount: values.count,
                owner: storage))
    }

    /// The parameter that these numbers are, if they are trained.
    package var parameter: Parameter? {
        if case .parameter(let parameter) = source { parameter } else { nil }
    }

    /// The same elements in memory that no other tensor shares, so that they may be written.
    mutating func makeUnique() {
        guard !hasUniqueMemory() else { return }
        let copy = Storage(byteCount: storage.byteCount)
        copy.start.copyMemory(from: storage.start, byteCount: storage.byteCount)
        storage = copy
    }

    /// Whether no other tensor shares the elements.
    mutating func hasUniqueMemory() -> Bool { isKnownUniquelyReferenced(&storage) }

    var pointer: UnsafeMutablePointer<Float> {
        storage.start.assumingMemoryBound(to: Float.self)
    }
}
