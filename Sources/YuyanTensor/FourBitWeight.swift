import CYuyanKernels
import Synchronization
import YuyanFormats

/// A weight `[out, in]` in blocks of 64 codes of 4 bits, laid out as bitsandbytes stores it.
///
/// A code stands for one of 16 numbers of `[-1, 1]`: those of NF4, at the quantiles of a normal
/// distribution, or of FP4. A weight is its number times the block's scale, the largest magnitude
/// in it. Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv:2305.14314.
package struct FourBitWeight: Sendable, Hashable {
    /// `.nf4` or `.fp4`.
    package let elementType: ElementType
    /// Output features.
    package let rows: Int
    /// Input features, a multiple of 64, so that no block crosses a row.
    package let columns: Int
    /// Two weights a byte in row-major order, the first in the upper half.
    package let codes: [UInt8]
    package let scales: Scales

    /// The scales of all blocks in row-major order.
    package enum Scales: Sendable, Hashable {
        /// Float32 for each block.
        case plain([Float])
        /// Double quantisation: for each block an index into `DynamicMap.signed`; its number times
        /// one of `groups`, each for 256 blocks, plus `offset` is the scale.
        case nested(indices: [UInt8], groups: [Float], offset: Float)
    }

    /// Weights that share a scale.
    package static let block = Int(YK_CODE4_BLOCK)

    /// Takes parts that were stored.
    package init(
        elementType: ElementType, rows: Int, columns: Int, codes: [UInt8], scales: Scales
    ) {
        let blocks = rows * columns / Self.block
        precondition(elementType == .nf4 || elementType == .fp4, "\(elementType) codes")
        precondition(
            columns.isMultiple(of: Self.block) && codes.count == rows * columns / 2,
            "\(codes.count) bytes of codes for [\(rows), \(columns)]")
        switch scales {
        case .plain(let values):
            precondition(values.count == blocks, "\(values.count) scales for \(blocks) blocks")
        case .nested(let indices, let groups, _):
            precondition(
                indices.count == blocks && groups.count == (blocks + 255) / 256,
                "\(indices.count) scales in \(groups.count) groups for \(blocks) blocks")
        }
        self.elementType = elementType
        self.rows = rows
        self.columns = columns
        self.codes = codes
        self.scales = scales
    }

    /// Rounds every weight of a checkpoint's matrix to its nearest code, a panel at a time.
    ///
    /// Codes and scales are those of bitsandbytes, bit for bit; with double quantisation the offset is
    /// the mean of the scales in float64, rounded once.
    ///
    /// - Parameters:
    ///   - entry: A matrix `[out, in]` of any type that `PackedMatrix` takes.
    ///   - rowOrder: For each output row, the row of `entry` that it is; nil keeps the order.
    /// - Throws: `WeightError` on another type or shape, or a weight that is not a number.
    package init(
        quantizing entry: TensorEntry, as elementType: ElementType, doubleQuantized: Bool,
        rowOrder: [Int]? = nil, on device: Device
    ) throws(WeightError) {
        guard let format = entry.elementType.panelFormat else {
            throw .unsupportedType(entry)
        }
        guard entry.shape.count == 2, entry.shape[0] > 0, entry.shape[1] > 0,
            entry.shape[1].isMultiple(of: Self.block)
        else {
            throw .shape(
                name: entry.name, file: entry.file.path,
                expected: "[out, in] with a multiple of \(Self.block) columns", found: entry.shape)
        }
        let (rows, columns) = (entry.shape[0], entry.shape[1])
        let rowBytes =
            columns / entry.elementType.elementsPerBlock * entry.elementType.bytesPerBlock
        let panelBytes = yk_panel_layout_of(format, columns).bytes
        let quantizer = FourBitQuantizer(elementType, rows: rows, columns: columns)
        let scratch = device.scratch
        entry.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
                return
            }
            quantizer.run(on: device) { rows, worker, write in
                let panel = scratch.bytes(panelBytes + columns * 4, worker: worker)
                let wide = (panel + panelBytes).assumingMemoryBound(to: Float.self)
                let packed = panel.assumingMemoryBound(to: UInt8.self)
                let pointers = rows.map { row -> UnsafePointer<UInt8>? in
                    source + (rowOrder.map { $0[row] } ?? row) * rowBytes
                }
                yk_pack_panel(format, pointers, pointers.count, columns, packed)
                for (lane, row) in rows.enumerated() {
                    yk_unpack_row(format, packed, lane, columns, wide)
                    write(row, wide)
                }
            }
        }
        entry.file.release(entry.byteRange)
        if let row = quantizer.firstNotFinite {
            throw .notFinite(name: entry.name, file: entry.file.path, row: row)
        }
        self = quantizer.weight(doubleQuantized: doubleQuantized)
    }

    /// Rounds every weight of a matrix in memory, such as a merged one.
    ///
    /// - Parameter name: What errors call it.
    /// - Throws: `WeightError.shape` or `.notFinite`.
    package init(
        quantizing matrix: PackedMatrix, name: String, as elementType: ElementType,
        doubleQuantized: Bool, on device: Device
    ) throws(WeightError) {
        let (rows, columns) = (matrix.rows, matrix.columns)
        guard columns.isMultiple(of: Self.block) else {
            throw .shape(
                name: name, file: "memory",
                expected: "[out, in] with a multiple of \(Self.block) columns",
                found: [rows, columns])
        }
        let quantizer = FourBitQuantizer(elementType, rows: rows, columns: columns)
        let scratch = device.scratch
        quantizer.run(on: device) { rows, worker, write in
            let wide = scratch.bytes(columns * 4, worker: worker)
                .assumingMemoryBound(to: Float.self)
            for row in rows {
                matrix.unpack(row: row, into: wide)
                write(row, wide)
            }
        }
        if let row = quantizer.firstNotFinite {
            throw .notFinite(name: name, file: "memory", row: row)
        }
        self = quantizer.weight(doubleQuantized: doubleQuantized)
    }
}

/// Codes and scales of a weight while workers write them.
///
/// Unchecked: each row is written by one worker, in a range of its own.
private final class FourBitQuantizer: @unchecked Sendable {
    private let elementType: ElementType
    private let rows: Int
    private let columns: Int
    private let codes: Storage
    private let scales: Storage
    private let bad = Mutex<Int?>(nil)

    init(_ elementType: ElementType, rows: Int, columns: Int) {
        precondition(elementType == .nf4 || elementType == .fp4, "\(elementType) codes")
        self.elementType = elementType
        self.rows = rows
        self.columns = columns
        codes = Storage(byteCount: rows * columns / 2)
        scales = Storage(byteCount: rows * columns / FourBitWeight.block * 4)
    }

    private var rowBlocks: Int { columns / FourBitWeight.block }
    private var scaleStart: UnsafeMutablePointer<Float> {
        scales.start.assumingMemoryBound(to: Float.self)
    }

    var firstNotFinite: Int? { bad.withLock { $0 } }

    /// Calls `body` for 16 rows at a time; it widens each and hands it to `write`.
    func run(
        on device: Device,
        _ body: (
            _ rows: Range<Int>, _ worker: Int, _ write: (Int, UnsafePointer<Float>) -> Void
        ) -> Void
    ) {
        let panel = Int(YK_PANEL)
        device.pool.parallel((rows + panel - 1) / panel) { index, worker in
            body(index * panel..<min((index + 1) * panel, rows), worker, write)
        }
    }

    private func write(_ row: Int, _ values: UnsafePointer<Float>) {
        let done = yk_quantize_code4(
            elementType == .nf4 ? YK_NF4 : YK_FP4, values, rowBlocks,
            (codes.start + row * columns / 2).assumingMemoryBound(to: UInt8.self),
            scaleStart + row * rowBlocks)
        if done < rowBlocks { bad.withLock { $0 = min($0 ?? row, row) } }
    }

    func weight(doubleQuantized: Bool) -> FourBitWeight {
        let blocks = rows * rowBlocks
        let plain = Array(UnsafeBufferPointer(start: scaleStart, count: blocks))
        return FourBitWeight(
            elementType: elementType, rows: rows, columns: columns,
            codes: Array(
                UnsafeRawBufferPointer(start: codes.start, count: rows * columns / 2)),
            scales: doubleQuantized ? nestedScales(plain) : .plain(plain))
    }
}

/// Rounds scales to 8 bits, less their mean, with a scale of their own for each 256.
func nestedScales(_ plain: [Float]) -> FourBitWeight.Scales {
    let offset = Float(plain.reduce(0.0) { $0 + Double($1) } / Double(plain.count))
    let centred = plain.map { $0 - offset }
    var indices = [UInt8](repeating: 0, count: plain.count)
    var groups: [Float] = []
    let block = DynamicMap.block
    for first in stride(from: 0, to: plain.count, by: block) {
        let count = min(block, plain.count - first)
        centred.withUnsafeBufferPointer { x in
            indices.withUnsafeMutableBufferPointer { codes in
                guard let x = x.baseAddress, let codes = codes.baseAddress else { return }
                groups.append(
                    DynamicMap.signed.quantize(x + first, count: count, into: codes + first))
            }
        }
    }
    return .nested(indices: indices, groups: groups, offset: offset)
}
