import CYuyanKernels
import YuyanFormats

extension Tensor {
    /// Widens a checkpoint's float tensor to float32, keeping its shape.
    ///
    /// - Throws: `WeightError.unsupportedType` unless it is stored as f32, f16 or bf16.
    public init(_ entry: TensorEntry) throws(WeightError) {
        guard [.f32, .f16, .bf16].contains(entry.elementType) else {
            throw .unsupportedType(
                name: entry.name, file: entry.file.path, found: entry.elementType.name,
                supported: ["f32", "f16", "bf16"])
        }
        self.init(uninitialized: entry.shape)
        let (count, destination) = (entry.elementCount, pointer)
        entry.withUnsafeBytes { bytes in
            for index in 0..<count {
                switch entry.elementType {
                case .f16:
                    destination[index] = yk_half_to_float(
                        bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
                case .bf16:
                    destination[index] = yk_bfloat_to_float(
                        bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
                default:
                    destination[index] = bytes.loadUnaligned(
                        fromByteOffset: 4 * index, as: Float.self)
                }
            }
        }
    }
}
