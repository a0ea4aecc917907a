import CYuyanKernels
import TestSupport

@testable import YuyanTensor

/// Memory aligned as the kernels get it, with bytes behind the end that nobody may change.
final class Aligned<Element: BitwiseCopyable> {
    let pointer: UnsafeMutablePointer<Element>
    let count: Int
    private let bytes: UnsafeMutableRawPointer
    private static var guardBytes: Int { 64 }
    private static var guardByte: UInt8 { 0xA5 }

    init(_ count: Int, repeating value: Element) {
        let size = count * MemoryLayout<Element>.stride
        bytes = .allocate(byteCount: size + Self.guardBytes, alignment: 64)
        pointer = bytes.bindMemory(to: Element.self, capacity: count)
        pointer.update(repeating: value, count: count)
        (bytes + size).initializeMemory(
            as: UInt8.self, repeating: Self.guardByte, count: Self.guardBytes)
        self.count = count
    }

    convenience init(_ values: [Element], fill: Element) {
        self.init(values.count, repeating: fill)
        for (index, value) in values.enumerated() { pointer[index] = value }
    }

    deinit { bytes.deallocate() }

    var values: [Element] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

    /// Whether the bytes behind the end are as they were.
    var isIntact: Bool {
        let size = count * MemoryLayout<Element>.stride
        return UnsafeRawBufferPointer(start: bytes + size, count: Self.guardBytes)
            .allSatisfy { $0 == Self.guardByte }
    }
}

extension Aligned where Element == Float {
    var bits: FloatBits { FloatBits(values) }
}

extension [Float] {
    var bits: FloatBits { FloatBits(self) }
}

/// Keeps owners of memory alive up to here; kernels see addresses only.
func keepAlive<each Owner>(_ owners: repeat each Owner) {
    withExtendedLifetime((repeat each owners)) {}
}

/// What kind of numbers a kernel meets.
enum FloatKind: CaseIterable {
    /// Around one, as activations are.
    case ordinary
    /// Any exponent that leaves room for products and sums.
    case wide
    /// Zeros of both signs, denormals, the largest numbers.
    case extreme
    /// As `extreme`, and infinities.
    case infinite
}

extension SeededGenerator {
    mutating func float(_ kind: FloatKind) -> Float {
        let uniform = Float.random(in: -2..<2, using: &self)
        switch kind {
        case .ordinary:
            return uniform
        case .wide:
            return uniform
                * Float(sign: .plus, exponent: .random(in: -40...40, using: &self), significand: 1)
        case .extreme, .infinite:
            let special: [Float] = [
                0, -0.0, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 0x1p-130, -0x1p-127,
                .leastNormalMagnitude, 1e-30, -1e-31, .greatestFiniteMagnitude,
                -.greatestFiniteMagnitude, 1, -1, 88.8, -87.4, -104, 1e4,
                kind == .infinite ? .infinity : 2,
                kind == .infinite ? -.infinity : -2,
            ]
            let index = Int.random(in: 0..<special.count * 2, using: &self)
            return index < special.count ? special[index] : uniform
        }
    }

    mutating func floats(_ count: Int, _ kind: FloatKind = .ordinary) -> [Float] {
        (0..<count).map { _ in float(kind) }
    }
}

/// A weight format with what a checkpoint's row of it looks like.
struct WeightFormat: CustomStringConvertible, Sendable {
    let format: yk_format
    let description: String
    let elements: Int
    let bytes: Int
    /// Byte offsets of the float16 scales in a block.
    let halves: [Int]

    var isFloat: Bool { elements == 1 }
    /// Whether codes are looked up: no tensor of a file has such a type by itself.
    var isLookedUp: Bool { elements == 64 }
    private var isNested: Bool { bytes == 33 }

    static let all: [WeightFormat] = [
        WeightFormat(YK_F32, "F32", 1, 4), WeightFormat(YK_F16, "F16", 1, 2),
        WeightFormat(YK_BF16, "BF16", 1, 2), WeightFormat(YK_Q4_0, "Q4_0", 32, 18, [0]),
        WeightFormat(YK_Q4_1, "Q4_1", 32, 20, [0, 2]), WeightFormat(YK_Q5_0, "Q5_0", 32, 22, [0]),
        WeightFormat(YK_Q5_1, "Q5_1", 32, 24, [0, 2]), WeightFormat(YK_Q8_0, "Q8_0", 32, 34, [0]),
        WeightFormat(YK_Q4_K, "Q4_K", 256, 144, [0, 2]),
        WeightFormat(YK_Q5_K, "Q5_K", 256, 176, [0, 2]),
        WeightFormat(YK_Q6_K, "Q6_K", 256, 210, [208]), WeightFormat(YK_NF4, "NF4", 64, 36),
        WeightFormat(YK_FP4, "FP4", 64, 36),
        WeightFormat(YK_NF4_NESTED, "NF4, double", 64, 33),
        WeightFormat(YK_FP4_NESTED, "FP4, double", 64, 33),
    ]
    /// Those with integer codes.
    static var blocks: [WeightFormat] { all.filter { !$0.isFloat && !$0.isLookedUp } }
    /// Those that tensors of a file have.
    static var stored: [WeightFormat] { all.filter { !$0.isLookedUp } }

    private init(
        _ format: yk_format, _ name: String, _ elements: Int, _ bytes: Int, _ halves: [Int] = []
    ) {
        self.format = format
        description = name
        self.elements = elements
        self.bytes = bytes
        self.halves = halves
    }

    /// Bytes of a row as `yk_pack_panel` takes it.
    func rowBytes(_ columns: Int) -> Int {
        isLookedUp ? yk_code4_row_bytes(format, columns) : columns / elements * bytes
    }

    /// A row of NF4 or FP4: every code occurs, scales are as `kind` says.
    private func lookedUpRow(
        _ columns: Int, _ kind: FloatKind, _ random: inout SeededGenerator
    ) -> [UInt8] {
        var row: [UInt8] = []
        let size: Float = kind == .ordinary ? 0.05 : 1
        if isNested {
            row += little(UInt32.random(in: 0..<256, using: &random))
            for _ in 0...yk_nested_rows(columns) {
                row += little((random.float(kind) * size).bitPattern)
            }
        }
        for _ in 0..<columns / 64 {
            row +=
                isNested
                ? [UInt8.random(in: .min ... .max, using: &random)]
                : little((random.float(kind) * size).bitPattern)
            row += (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        }
        return row
    }

    /// Bytes of `rows` random rows: every code occurs; scales are as `kind` says.
    func rows(_ rows: Int, columns: Int, _ kind: FloatKind, _ random: inout SeededGenerator)
        -> [UInt8]
    {
        let count = rows * columns
        if isLookedUp {
            return (0..<rows).flatMap { _ in lookedUpRow(columns, kind, &random) }
        }
        switch format {
        case YK_F32:
            return random.floats(count, kind).flatMap { little($0.bitPattern) }
        case YK_F16:
            return random.floats(count, kind).flatMap { little(yk_float_to_half($0)) }
        case YK_BF16:
            return random.floats(count, kind).flatMap {
                little(UInt16($0.bitPattern >> 16))
            }
        default:
            var result = (0..<count / elements * bytes).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            for block in 0..<count / elements {
                for offset in halves {
                    let scale = yk_float_to_half(
                        random.float(kind) * (kind == .ordinary ? 0.05 : 1))
                    result.replaceSubrange(
                        block * bytes + offset..<block * bytes + offset + 2, with: little(scale))
                }
            }
            return result
        }
    }
}

/// Rows packed into panels, some perhaps padding.
final class PackedRows {
    let format: WeightFormat
    let columns: Int
    let panels: Int
    let panelBytes: Int
    let memory: Aligned<UInt8>

    init(_ format: WeightFormat, _ source: [UInt8], rows: Int, columns: Int) {
        self.format = format
        self.columns = columns
        panels = (rows + 15) / 16
        panelBytes = yk_panel_layout_of(format.format, columns).bytes
        memory = Aligned(panels * panelBytes, repeating: 0x5A)
        let rowBytes = format.rowBytes(columns)
        source.withUnsafeBufferPointer { bytes in
            for panel in 0..<panels {
                let pointers = (panel * 16..<min(panel * 16 + 16, rows)).map {
                    bytes.baseAddress?.advanced(by: $0 * rowBytes)
                }
                yk_pack_panel(
                    format.format, pointers, pointers.count, columns,
                    memory.pointer + panel * panelBytes)
            }
        }
    }

    convenience init(
        _ format: WeightFormat, rows: Int, columns: Int, _ kind: FloatKind,
        _ random: inout SeededGenerator
    ) {
        self.init(
            format, format.rows(rows, columns: columns, kind, &random), rows: rows,
            columns: columns)
    }

    func unpacked(_ row: Int) -> [Float] {
        let out = Aligned<Float>(columns, repeating: 0)
        yk_unpack_row(
            format.format, memory.pointer + row / 16 * panelBytes, row % 16, columns, out.pointer)
        precondition(out.isIntact && memory.isIntact)
        return out.values
    }
}

/// Activations of a tile, rounded to 16 bits.
final class RoundedTile {
    let codes: Aligned<Int32>
    let scale: Aligned<Float>
    let sum: Aligned<Float>
    let codeSum: Aligned<Int32>

    init(columns: Int, stride: Int) {
        codes = Aligned(columns / 2 * stride, repeating: 0)
        scale = Aligned(columns / 32 * stride, repeating: 0)
        sum = Aligned(columns / 32 * stride, repeating: 0)
        codeSum = Aligned(columns / 32 * stride, repeating: 0)
    }

    var tile: yk_tile16 { tile(from: 0, stride: 1) }

    /// The part from a column on, a multiple of 32.
    func tile(from column: Int, stride: Int) -> yk_tile16 {
        let block = column / 32 * stride
        return yk_tile16(
            codes: codes.pointer + column / 2 * stride, scale: scale.pointer + block,
            sum: sum.pointer + block, code_sum: codeSum.pointer + block)
    }
    var isIntact: Bool {
        codes.isIntact && scale.isIntact && sum.isIntact && codeSum.isIntact
    }
}

/// Panels widened to 16-bit codes; the parts of each lie as far apart as its codes are long.
final class ExpandedPanels {
    let codes: Aligned<Int16>
    let scale: Aligned<Float>
    let minimum: Aligned<Float>
    private let columns: Int

    init(columns: Int, panels: Int) {
        self.columns = columns
        codes = Aligned(panels * columns * 16, repeating: 0)
        scale = Aligned(panels * columns * 8, repeating: 0)
        minimum = Aligned(panels * columns * 8, repeating: 0)
    }

    /// A panel, or the part of it from a column on.
    func panel(_ index: Int, from column: Int = 0, scales: Int = 1) -> yk_expanded16 {
        yk_expanded16(
            codes: codes.pointer + index * columns * 16 + column * 16,
            scale: scale.pointer + index * columns * 8 + column / 32 * 16 * scales,
            minimum: minimum.pointer + index * columns * 8 + column / 32 * 16,
            panel_bytes: columns * 32)
    }
    var isIntact: Bool { codes.isIntact && scale.isIntact && minimum.isIntact }
}

/// The instruction sets of this processor that are to match the scalar kernels.
let vectorSets = InstructionSet.available.filter { $0 != .scalar }

/// The kernels of an instruction set that this processor has.
func kernels(_ set: InstructionSet) -> yk_kernels {
    guard let table = yk_kernels_for(set.code) else { preconditionFailure("no \(set)") }
    return table.pointee
}
