import CYuyanKernels
import TestSupport
import YuyanFormats

@testable import YuyanTensor

/// A weight of any stored type from its bytes.
func packed(
    _ bytes: [UInt8], rows: Int, columns: Int, _ type: ElementType, rowOrder: [Int]? = nil,
    on device: Device
) throws -> PackedMatrix {
    var image = GGUFImage()
    image.key("general.architecture", "test")
    image.tensor(
        "weight", [UInt64(columns), UInt64(rows)], type: type.ggufCode ?? .max, offset: 0)
    image.data = bytes
    let file = try GGUFFile(file: MappedFile(bytes: image.bytes, name: "image"))
    return try PackedMatrix(file.tensor("weight"), rowOrder: rowOrder, on: device)
}

/// A float32 weight.
func packed(_ values: [Float], rows: Int, columns: Int, on device: Device) throws -> PackedMatrix {
    try packed(
        values.flatMap { little($0.bitPattern) }, rows: rows, columns: columns, .f32, on: device)
}

extension WeightFormat {
    var elementType: ElementType {
        switch format {
        case YK_NF4_NESTED: .nf4
        case YK_FP4_NESTED: .fp4
        default: ElementType.allCases.first { $0.panelFormat == format } ?? .f32
        }
    }

    /// A random weight of this format.
    func matrix(rows: Int, columns: Int, seed: UInt64, on device: Device) throws -> PackedMatrix {
        var random = SeededGenerator(seed: seed)
        if isLookedUp {
            let source = self.rows(rows, columns: columns, .ordinary, &random)
            let panels = PackedRows(self, source, rows: rows, columns: columns)
            let place = device.weights.allocate(panels.panels * panels.panelBytes)
            place.start.copyMemory(
                from: panels.memory.pointer, byteCount: panels.panels * panels.panelBytes)
            return PackedMatrix(
                rows: rows, columns: columns, elementType: elementType, format: format,
                storage: place)
        }
        return try packed(
            self.rows(rows, columns: columns, .ordinary, &random), rows: rows, columns: columns,
            elementType, on: device)
    }
}
