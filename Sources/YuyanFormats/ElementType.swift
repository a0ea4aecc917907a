/// How a tensor's numbers are stored.
///
/// Covers the types of GGUF (block-quantised ones store `elementsPerBlock` numbers in
/// `bytesPerBlock` bytes) and of safetensors.
public enum ElementType: Sendable, Hashable, CaseIterable {
    /// IEEE 754 floating point of 32, 16 and 64 bits, and the upper half of a float32.
    case f32, f16, bf16, f64
    /// Two's complement integers.
    case i8, i16, i32, i64
    /// Unsigned integers.
    case u8, u16, u32, u64
    /// One byte, 0 or 1.
    case bool
    /// Eight-bit floating point: 4 or 5 bits of exponent.
    case f8e4m3, f8e5m2
    /// Blocks of 32 with one or two float16 scales.
    case q4_0, q4_1, q5_0, q5_1, q8_0, q8_1
    /// Super-blocks of 256 with quantised scales.
    case q2_K, q3_K, q4_K, q5_K, q6_K, q8_K
    /// Codebook types: recognised and sized, not readable.
    case iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs
    /// Ternary types: recognised and sized, not readable.
    case tq1_0, tq2_0
    /// Floats of 4 bits and single bits with block scales: recognised and sized, not readable.
    case mxfp4, nvfp4, q1_0
    /// 4-bit codes in blocks of 64: of several tensors in a file, so no tensor has this type.
    case nf4, fp4

    /// The type with this code in a GGUF tensor info, or `nil` if there is none.
    public init?(ggufCode: UInt32) {
        guard let type = Self.allCases.first(where: { $0.layout.ggufCode == ggufCode }) else {
            return nil
        }
        self = type
    }

    /// The type with this name in a safetensors header, such as `BF16`, or `nil`.
    public init?(safetensorsName: some StringProtocol) {
        guard
            let type = Self.allCases.first(where: { type in
                type.layout.safetensorsName.map { $0 == safetensorsName } ?? false
            })
        else { return nil }
        self = type
    }

    /// How many consecutive numbers of a row are stored together.
    public var elementsPerBlock: Int { layout.elements }

    /// How many bytes `elementsPerBlock` numbers take.
    public var bytesPerBlock: Int { layout.bytes }

    /// The usual name: that of GGUF if it has one, else that of safetensors.
    public var name: String { layout.name }

    /// The code in a GGUF tensor info, or `nil` if GGUF has no such type.
    public var ggufCode: UInt32? { layout.ggufCode }

    /// The name in a safetensors header, or `nil` if safetensors has no such type.
    public var safetensorsName: String? { layout.safetensorsName }

    /// Whether one block holds several numbers.
    public var isBlockQuantised: Bool { elementsPerBlock > 1 }

    /// Whether the numbers can be decoded, rather than only recognised and measured.
    public var isReadable: Bool {
        switch self {
        case .iq1_s, .iq1_m, .iq2_xxs, .iq2_xs, .iq2_s, .iq3_xxs, .iq3_s, .iq4_nl, .iq4_xs,
            .tq1_0, .tq2_0, .mxfp4, .nvfp4, .q1_0:
            false
        default: true
        }
    }

    /// The bytes that `elements` numbers take, or `nil` on overflow or if no whole blocks result.
    public func byteCount(elements: Int) -> Int? {
        guard elements >= 0, elements.isMultiple(of: elementsPerBlock) else { return nil }
        let (bytes, overflow) = (elements / elementsPerBlock).multipliedReportingOverflow(
            by: bytesPerBlock)
        return overflow ? nil : bytes
    }

    private struct Layout {
        let name: String
        let elements: Int
        let bytes: Int
        let ggufCode: UInt32?
        let safetensorsName: String?

        init(_ name: String, _ elements: Int, _ bytes: Int, _ code: UInt32?, _ other: String?) {
            self.name = name
            self.elements = elements
            self.bytes = bytes
            ggufCode = code
            safetensorsName = other
        }
    }

    private var layout: Layout {
        switch self {
        case .f32: Layout("F32", 1, 4, 0, "F32")
        case .f16: Layout("F16", 1, 2, 1, "F16")
        case .bf16: Layout("BF16", 1, 2, 30, "BF16")
        case .f64: Layout("F64", 1, 8, 28, "F64")
        case .i8: Layout("I8", 1, 1, 24, "I8")
        case .i16: Layout("I16", 1, 2, 25, "I16")
        case .i32: Layout("I32", 1, 4, 26, "I32")
        case .i64: Layout("I64", 1, 8, 27, "I64")
        case .u8: Layout("U8", 1, 1, nil, "U8")
        case .u16: Layout("U16", 1, 2, nil, "U16")
        case .u32: Layout("U32", 1, 4, nil, "U32")
        case .u64: Layout("U64", 1, 8, nil, "U64")
        case .bool: Layout("BOOL", 1, 1, nil, "BOOL")
        case .f8e4m3: Layout("F8_E4M3", 1, 1, nil, "F8_E4M3")
        case .f8e5m2: Layout("F8_E5M2", 1, 1, nil, "F8_E5M2")
        case .q4_0: Layout("Q4_0", 32, 18, 2, nil)
        case .q4_1: Layout("Q4_1", 32, 20, 3, nil)
        case .q5_0: Layout("Q5_0", 32, 22, 6, nil)
        case .q5_1: Layout("Q5_1", 32, 24, 7, nil)
        case .q8_0: Layout("Q8_0", 32, 34, 8, nil)
        case .q8_1: Layout("Q8_1", 32, 36, 9, nil)
        case .q2_K: Layout("Q2_K", 256, 84, 10, nil)
        case .q3_K: Layout("Q3_K", 256, 110, 11, nil)
        case .q4_K: Layout("Q4_K", 256, 144, 12, nil)
        case .q5_K: Layout("Q5_K", 256, 176, 13, nil)
        case .q6_K: Layout("Q6_K", 256, 210, 14, nil)
        case .q8_K: Layout("Q8_K", 256, 292, 15, nil)
        case .iq1_s: Layout("IQ1_S", 256, 50, 19, nil)
        case .iq1_m: Layout("IQ1_M", 256, 56, 29, nil)
        case .iq2_xxs: Layout("IQ2_XXS", 256, 66, 16, nil)
        case .iq2_xs: Layout("IQ2_XS", 256, 74, 17, nil)
        case .iq2_s: Layout("IQ2_S", 256, 82, 22, nil)
        case .iq3_xxs: Layout("IQ3_XXS", 256, 98, 18, nil)
        case .iq3_s: Layout("IQ3_S", 256, 110, 21, nil)
        case .iq4_nl: Layout("IQ4_NL", 32, 18, 20, nil)
        case .iq4_xs: Layout("IQ4_XS", 256, 136, 23, nil)
        case .tq1_0: Layout("TQ1_0", 256, 54, 34, nil)
        case .tq2_0: Layout("TQ2_0", 256, 66, 35, nil)
        case .mxfp4: Layout("MXFP4", 32, 17, 39, nil)
        case .nvfp4: Layout("NVFP4", 64, 36, 40, nil)
        case .q1_0: Layout("Q1_0", 128, 18, 41, nil)
        case .nf4: Layout("NF4", 64, 36, nil, nil)
        case .fp4: Layout("FP4", 64, 36, nil, nil)
        }
    }
}
