import YuyanFormats

/// Builds the bytes of a GGUF file piece by piece, so that tests can also build wrong ones.
package struct GGUFImage: Sendable {
    package var magic: [UInt8] = Array("GGUF".utf8)
    package var version: UInt32 = 3
    /// Replaces the number of tensors in the header.
    package var claimedTensorCount: UInt64?
    /// Replaces the number of keys in the header.
    package var claimedKeyCount: UInt64?
    package var alignment = 32
    /// Bytes after the padding.
    package var data: [UInt8] = []

    private var keyBytes: [UInt8] = []
    private var keyCount: UInt64 = 0
    private var tensorBytes: [UInt8] = []
    private var tensorCount: UInt64 = 0

    package init() {}

    /// Appends a key whose value has any type code and any bytes.
    package mutating func key(_ name: [UInt8], type: UInt32, value: [UInt8]) {
        keyBytes += Self.string(name) + little(type) + value
        keyCount += 1
    }

    package mutating func key(_ name: String, _ type: GGUFValueType, _ value: [UInt8]) {
        key(Array(name.utf8), type: type.rawValue, value: value)
    }

    package mutating func key(_ name: String, _ text: String) {
        key(name, .string, Self.string(Array(text.utf8)))
    }

    package mutating func key(_ name: String, _ number: UInt32) {
        key(name, .uint32, little(number))
    }

    /// Appends a tensor info; `sizes` are innermost first, as in the file.
    package mutating func tensor(
        _ name: [UInt8], _ sizes: [UInt64], type: UInt32, offset: UInt64, rank: UInt32? = nil
    ) {
        tensorBytes += Self.string(name) + little(rank ?? UInt32(sizes.count))
        tensorBytes += sizes.flatMap { little($0) } + little(type) + little(offset)
        tensorCount += 1
    }

    package mutating func tensor(
        _ name: String, _ sizes: [UInt64], type: UInt32 = 0, offset: UInt64
    ) {
        tensor(Array(name.utf8), sizes, type: type, offset: offset)
    }

    package var bytes: [UInt8] {
        var image = magic + little(version) + little(claimedTensorCount ?? tensorCount)
        image += little(claimedKeyCount ?? keyCount) + keyBytes + tensorBytes
        image += [UInt8](repeating: 0, count: (alignment - image.count % alignment) % alignment)
        return image + data
    }

    /// A length of 64 bits and the bytes.
    package static func string(_ text: [UInt8]) -> [UInt8] { little(UInt64(text.count)) + text }

    /// The value of an array: element type, count and elements.
    package static func array(
        _ type: GGUFValueType, count: UInt64, _ elements: [UInt8]
    ) -> [UInt8] {
        little(type.rawValue) + little(count) + elements
    }

    /// A small valid file with every type of value and a few types of tensor.
    package static func sample(version: UInt32 = 3) -> GGUFImage {
        var image = GGUFImage()
        image.version = version
        image.key("general.architecture", "llama")
        image.key("general.alignment", 32)
        image.key("k.uint8", .uint8, [200])
        image.key("k.int8", .int8, [0xFE])
        image.key("k.uint16", .uint16, little(UInt16(60000)))
        image.key("k.int16", .int16, little(Int16(-2)))
        image.key("k.int32", .int32, little(Int32(-3)))
        image.key("k.float32", .float32, little(Float(1.5).bitPattern))
        image.key("k.bool", .bool, [1])
        image.key("k.uint64", .uint64, little(UInt64.max))
        image.key("k.int64", .int64, little(Int64.min))
        image.key("k.float64", .float64, little(0.1.bitPattern))
        let pieces: [[UInt8]] = [Array("a".utf8), [], [0xFF, 0xC4], Array("Ġthe".utf8)]
        image.key("k.strings", .array, array(.string, count: 4, pieces.flatMap { string($0) }))
        image.key("k.int32s", .array, array(.int32, count: 2, little(Int32(7)) + little(Int32(-7))))
        image.key("k.floats", .array, array(.float32, count: 1, little(Float(0.25).bitPattern)))
        image.key("k.bools", .array, array(.bool, count: 3, [1, 0, 1]))
        let inner = array(.uint8, count: 2, [5, 6]) + array(.string, count: 1, string([0x78]))
        image.key("k.arrays", .array, array(.array, count: 2, inner))
        image.tensor("token_embd.weight", [4, 3], offset: 0)
        image.tensor("blk.0.ffn.weight", [32, 2], type: 8, offset: 64)
        image.tensor("output_norm.weight", [4], offset: 160)
        image.data = (0..<176).map { UInt8($0) }
        return image
    }
}

/// The bytes of an integer, least significant first.
package func little(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
