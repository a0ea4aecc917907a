/// A metadata value to be written to a GGUF file: its type and its bytes.
public struct GGUFOutput: Sendable, Hashable {
    /// The type that the file states.
    public let type: GGUFValueType
    /// The value as the file stores it, little-endian.
    let bytes: [UInt8]

    /// An unsigned integer of 32 bits, what most sizes are.
    public static func uint32(_ value: UInt32) -> Self { Self(.uint32, little(value)) }
    /// A signed integer of 32 bits.
    public static func int32(_ value: Int32) -> Self { Self(.int32, little(value)) }
    /// An unsigned integer of 64 bits.
    public static func uint64(_ value: UInt64) -> Self { Self(.uint64, little(value)) }
    /// A float of 32 bits.
    public static func float32(_ value: Float) -> Self {
        Self(.float32, little(value.bitPattern))
    }
    /// A truth value.
    public static func bool(_ value: Bool) -> Self { Self(.bool, [value ? 1 : 0]) }
    /// Text.
    public static func string(_ value: String) -> Self { Self(.string, text(Array(value.utf8))) }

    /// An array of text.
    public static func strings(_ values: [String]) -> Self {
        strings(bytes: values.map { Array($0.utf8) })
    }
    /// An array of strings that need not be UTF-8, as vocabularies hold.
    public static func strings(bytes values: [[UInt8]]) -> Self {
        array(.string, count: values.count, values.flatMap(text))
    }
    /// An array of signed integers of 32 bits.
    public static func int32s(_ values: [Int32]) -> Self {
        array(.int32, count: values.count, values.flatMap(little))
    }
    /// An array of floats of 32 bits.
    public static func float32s(_ values: [Float]) -> Self {
        array(.float32, count: values.count, values.flatMap { little($0.bitPattern) })
    }

    /// A value as another file stores it.
    init(_ type: GGUFValueType, _ bytes: [UInt8]) {
        self.type = type
        self.bytes = bytes
    }

    private static func array(
        _ type: GGUFValueType, count: Int, _ elements: [UInt8]
    ) -> Self {
        Self(.array, little(type.rawValue) + little(UInt64(count)) + elements)
    }

    private static func text(_ bytes: [UInt8]) -> [UInt8] { little(UInt64(bytes.count)) + bytes }

    static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
