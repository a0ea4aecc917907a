import YuyanFormats

/// One array of an optimiser's state, as `optimizer.safetensors` holds it: flat, in storage order.
package struct OptimizerArray: Sendable, Hashable {
    /// The parameter's name, a dot, and the array's: `exp_avg`, `exp_avg_sq`, `momentum_buffer`,
    /// `master`, `step`; behind an 8-bit array's name `.absmax` for its scales.
    package let name: String
    package let elementType: ElementType
    package let count: Int
    let offset: Int

    /// Bytes that it takes.
    package var byteCount: Int { count * elementType.bytesPerBlock }
}

extension Optimizer {
    /// Everything that a later run needs to go on with the same bits.
    package var arrays: [OptimizerArray] { members.flatMap(\.arrays) }

    /// Lends the bytes of an array of this optimiser; nothing may step meanwhile.
    package func withBytes<R, E: Error>(
        of array: OptimizerArray, _ body: (RawSpan) throws(E) -> R
    ) throws(E) -> R {
        let range = array.offset..<array.offset + array.byteCount
        precondition(range.upperBound <= memory.byteCount, "an array of another optimiser")
        defer { memory.release(range) }
        let buffer = UnsafeRawBufferPointer(
            start: memory.start + range.lowerBound, count: range.count)
        return try body(buffer.bytes)
    }

    /// Takes up every array from a file that was saved from an optimiser like this one.
    ///
    /// Nothing is changed unless everything fits.
    ///
    /// - Throws: `OptimizerError` that names the first array which is missing, of another type or
    ///   length, or which nothing asked for.
    package func restore(from file: SafetensorsFile) throws(OptimizerError) {
        let path = file.file.path
        let saved = Dictionary(
            file.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let wanted = arrays
        for array in wanted {
            guard let entry = saved[array.name] else {
                throw .missingState(
                    file: path, name: array.name,
                    nearest: nearestNames(to: array.name, in: saved.keys.sorted()))
            }
            guard entry.elementType == array.elementType, entry.elementCount == array.count else {
                throw .stateShape(
                    file: path, name: array.name,
                    found: "\(entry.elementCount) numbers of \(entry.elementType.name)",
                    expected: "\(array.count) of \(array.elementType.name)")
            }
        }
        let names = Set(wanted.map(\.name))
        let rest = file.tensors.map(\.name).filter { !names.contains($0) }
        guard rest.isEmpty else { throw .unexpectedState(file: path, names: rest) }
        for array in wanted {
            saved[array.name]?.withUnsafeBytes { bytes in
                (memory.start + array.offset).copyMemory(from: bytes)
            }
            memory.release(array.offset..<array.offset + array.byteCount)
        }
    }
}

extension UnsafeMutableRawPointer {
    fileprivate func copyMemory(from bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        copyMemory(from: start, byteCount: bytes.count)
    }
}
