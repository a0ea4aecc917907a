import YuyanFormats

/// Reference arrays that `Tools/goldens` computed, from one small safetensors file.
package struct GoldenFile: Sendable {
    private let file: SafetensorsFile

    /// Opens `Tests/Goldens/<name>`.
    package init(_ name: String) throws(FormatError) {
        file = try SafetensorsFile(path: Goldens.path(name))
    }

    /// The names of all arrays.
    package var names: [String] { file.tensors.map(\.name) }

    /// Free text that the generator stored with the arrays.
    package var metadata: [String: String] { file.metadata }

    /// The sizes of an array, outermost first.
    package func shape(_ name: String) throws(FormatError) -> [Int] {
        try file.tensor(name).shape
    }

    /// The numbers of a floating-point array, widened or rounded to float32.
    package func floats(_ name: String) throws(FormatError) -> [Float] {
        let entry = try file.tensor(name)
        return switch entry.elementType {
        case .f32: decoded(entry, UInt32.self) { Float(bitPattern: $0) }
        case .f16: decoded(entry, UInt16.self) { Float(Float16(bitPattern: $0)) }
        case .bf16: decoded(entry, UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .f64: decoded(entry, UInt64.self) { Float(Double(bitPattern: $0)) }
        default: throw wrongType(entry, "floats")
        }
    }

    /// The numbers of a float64 array.
    package func doubles(_ name: String) throws(FormatError) -> [Double] {
        let entry = try file.tensor(name)
        guard entry.elementType == .f64 else { throw wrongType(entry, "F64") }
        return decoded(entry, UInt64.self) { Double(bitPattern: $0) }
    }

    /// The numbers of an integer or bool array.
    package func ints(_ name: String) throws(FormatError) -> [Int] {
        let entry = try file.tensor(name)
        return switch entry.elementType {
        case .i8: decoded(entry, Int8.self) { Int($0) }
        case .i16: decoded(entry, Int16.self) { Int($0) }
        case .i32: decoded(entry, Int32.self) { Int($0) }
        case .i64: decoded(entry, Int64.self) { Int($0) }
        case .u8, .bool: decoded(entry, UInt8.self) { Int($0) }
        case .u16: decoded(entry, UInt16.self) { Int($0) }
        case .u32: decoded(entry, UInt32.self) { Int($0) }
        default: throw wrongType(entry, "integers")
        }
    }

    /// The stored bytes of any array.
    package func bytes(_ name: String) throws(FormatError) -> [UInt8] {
        decoded(try file.tensor(name), UInt8.self) { $0 }
    }

    private func wrongType(_ entry: TensorEntry, _ expected: String) -> FormatError {
        .wrongType(
            file: file.file.path, key: entry.name, found: entry.elementType.name,
            expected: expected)
    }

    private func decoded<T: FixedWidthInteger & BitwiseCopyable, Value>(
        _ entry: TensorEntry, _ type: T.Type, _ transform: (T) -> Value
    ) -> [Value] {
        let size = MemoryLayout<T>.size
        return entry.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: size).map {
                transform(T(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: type)))
            }
        }
    }
}
