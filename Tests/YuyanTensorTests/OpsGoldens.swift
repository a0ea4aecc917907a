import TestSupport
import YuyanFormats

@testable import YuyanTensor

/// The absent inputs of `Tests/Goldens/ops`: see the recipe in `Tools/goldens/ops.py`.
func noise(_ seed: UInt32, _ count: Int) -> [Float] {
    (0..<UInt32(count)).map { index in
        var h = index &* 0x9E37_79B9 &+ seed &* 0x85EB_CA6B
        h ^= h >> 16
        h = h &* 0x85EB_CA6B
        h ^= h >> 13
        h = h &* 0xC2B2_AE35
        h ^= h >> 16
        return Float(h >> 8) * 0x1p-23 - 1
    }
}

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
        ElementType.allCases.first { $0.panelFormat == format } ?? .f32
    }

    /// A random weight of this format.
    func matrix(rows: Int, columns: Int, seed: UInt64, on device: Device) throws -> PackedMatrix {
        var random = SeededGenerator(seed: seed)
        return try packed(
            self.rows(rows, columns: columns, .ordinary, &random), rows: rows, columns: columns,
            elementType, on: device)
    }
}
