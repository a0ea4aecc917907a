/// A tensor's description and where its bytes are; nothing is read until asked for.
public struct TensorEntry: Sendable {
    /// The name in the file.
    public let name: String
    /// How the numbers are stored.
    public let elementType: ElementType
    /// The sizes, outermost first: a weight is `[out, in]`. GGUF stores them the other way round.
    public let shape: [Int]
    /// The file that holds the numbers.
    public let file: MappedFile
    /// Where the numbers are in `file`; checked to be inside and of the right size.
    public let byteRange: Range<Int>

    /// The product of `shape`, checked against overflow when the file was opened.
    public var elementCount: Int { shape.reduce(1, *) }

    /// Lends the address of the stored bytes for the duration of `body`.
    public func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try file.withUnsafeBytes(in: byteRange, body)
    }
}

/// The product of `shape`, or `nil` on overflow even if another size is zero.
func checkedProduct(_ shape: [Int]) -> Int? {
    var product = 1
    for size in shape where size > 0 {
        let (next, overflow) = product.multipliedReportingOverflow(by: size)
        if overflow { return nil }
        product = next
    }
    return shape.contains(0) ? 0 : product
}

extension [TensorEntry] {
    /// Throws `.overlappingTensors` if two of these share a byte of their common file.
    func checkDisjoint() throws(FormatError) {
        let sorted = self.filter { !$0.byteRange.isEmpty }
            .sorted { $0.byteRange.lowerBound < $1.byteRange.lowerBound }
        for (first, second) in zip(sorted, sorted.dropFirst())
        where first.byteRange.upperBound > second.byteRange.lowerBound {
            throw .overlappingTensors(
                file: first.file.path, first: first.name, second: second.name)
        }
    }
}
