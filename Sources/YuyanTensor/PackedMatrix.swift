import CYuyanKernels
import YuyanFormats

/// A weight that cannot be used as a matrix.
public enum WeightError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The element type exists but has no product kernel.
    case unsupportedType(name: String, file: String, found: String, supported: [String])
    /// The tensor does not have the two axes, or the column multiple, that it needs.
    case shape(name: String, file: String, expected: String, found: [Int])
    /// A row to be quantised holds an infinity or NaN.
    case notFinite(name: String, file: String, row: Int)

    /// The tensor and its file, what it is stored as and what would do.
    public var description: String {
        switch self {
        case .unsupportedType(let name, let file, let found, let supported):
            "\(file): '\(name)' is stored as \(found); supported: "
                + supported.joined(separator: ", ")
        case .shape(let name, let file, let expected, let found):
            "\(file): '\(name)' is \(found), expected \(expected); is the configuration of this "
                + "checkpoint?"
        case .notFinite(let name, let file, let row):
            "\(file): row \(row) of '\(name)' holds an infinity or NaN, expected numbers; was the "
                + "checkpoint damaged, or its training diverged?"
        }
    }
}

extension WeightError {
    /// The error about an element type without kernels.
    static func unsupportedType(_ entry: TensorEntry) -> WeightError {
        .unsupportedType(
            name: entry.name, file: entry.file.path, found: entry.elementType.name,
            supported: ElementType.allCases.filter {
                $0.panelFormat != nil && ($0.ggufCode != nil || $0.safetensorsName != nil)
            }.map(\.name))
    }
}

extension ElementType {
    /// The kernel format of a weight of this type, if there is one.
    var panelFormat: yk_format? {
        switch self {
        case .f32: YK_F32
        case .f16: YK_F16
        case .bf16: YK_BF16
        case .q4_0: YK_Q4_0
        case .q4_1: YK_Q4_1
        case .q5_0: YK_Q5_0
        case .q5_1: YK_Q5_1
        case .q8_0: YK_Q8_0
        case .q4_K: YK_Q4_K
        case .q5_K: YK_Q5_K
        case .q6_K: YK_Q6_K
        case .nf4: YK_NF4
        case .fp4: YK_FP4
        default: nil
        }
    }
}

/// A weight `[out, in]` in its stored format, re-laid in panels of 16 interleaved rows.
///
/// Holds every bit of the checkpoint's values; only their order in memory differs, so that one
/// vector load meets 16 outputs and a product streams the panel from end to end.
///
/// Unchecked: the panels are written during initialisation, and those of a trained `Parameter` also
/// between passes.
public final class PackedMatrix: @unchecked Sendable {
    /// Output features.
    public let rows: Int
    /// Input features.
    public let columns: Int
    /// As stored in the checkpoint.
    public let elementType: ElementType
    let format: yk_format
    let panelBytes: Int
    private let storage: WeightArena.Place
    /// The same numbers as an optimiser sees them; nil if they are frozen.
    package let parameter: Parameter?

    /// Number of panels of 16 rows; the last may be padded with zero rows.
    var panelCount: Int { (rows + Int(YK_PANEL) - 1) / Int(YK_PANEL) }
    var panels: UnsafePointer<UInt8> {
        UnsafePointer(storage.start.assumingMemoryBound(to: UInt8.self))
    }
    /// Memory that the panels take.
    public var byteCount: Int { panelCount * panelBytes }
    /// Whether products round activations to 16 bits in `Precision.int16`: those of formats whose
    /// codes are integers. NF4 and FP4 are looked up, and multiplied widened.
    var isBlockQuantised: Bool {
        elementType.isBlockQuantised && elementType != .nf4 && elementType != .fp4
    }

    /// Packs a checkpoint's tensor and lets go of its mapped pages.
    ///
    /// - Parameters:
    ///   - entry: A tensor `[out, in]`.
    ///   - rowOrder: For each output row, the row of `entry` that it is; nil keeps the order.
    /// - Throws: `WeightError` on an element type without kernels or a tensor that is no matrix.
    public init(
        _ entry: TensorEntry, rowOrder: [Int]? = nil, on device: Device
    ) throws(WeightError) {
        guard let format = entry.elementType.panelFormat else {
            throw .unsupportedType(entry)
        }
        guard entry.shape.count == 2, entry.shape[0] > 0, entry.shape[1] > 0 else {
            throw .shape(
                name: entry.name, file: entry.file.path, expected: "[out, in]", found: entry.shape)
        }
        precondition(
            rowOrder.map { $0.count == entry.shape[0] } ?? true, "row order of another size")
        rows = entry.shape[0]
        columns = entry.shape[1]
        elementType = entry.elementType
        self.format = format
        let panelBytes = yk_panel_layout_of(format, entry.shape[1]).bytes
        self.panelBytes = panelBytes
        let panelRows = Int(YK_PANEL)
        let panelCount = (entry.shape[0] + panelRows - 1) / panelRows
        storage = device.weights.allocate(panelCount * panelBytes)
        parameter = nil
        let (rows, columns) = (rows, columns)
        let rowBytes =
            columns / entry.elementType.elementsPerBlock * entry.elementType.bytesPerBlock
        let destination = storage.start
        // Groups of panels, so that a worker reads and releases a stretch of the file at a time.
        let group = max(1, (1 << 18) / max(panelBytes, 1))
        entry.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
                return
            }
            device.pool.parallel((panelCount + group - 1) / group) { chunk, _ in
                for panel in chunk * group..<min((chunk + 1) * group, panelCount) {
                    let first = panel * panelRows
                    let count = min(panelRows, rows - first)
                    withUnsafeTemporaryAllocation(
                        of: UnsafePointer<UInt8>?.self, capacity: panelRows
                    ) { pointers in
                        for lane in 0..<count {
                            let row = rowOrder.map { $0[first + lane] } ?? first + lane
                            pointers[lane] = source + row * rowBytes
                        }
                        yk_pack_panel(
                            format, pointers.baseAddress, count, columns,
                            (destination + panel * panelBytes).assumingMemoryBound(to: UInt8.self))
                    }
                }
            }
        }
        entry.file.release(entry.byteRange)
    }

    /// Takes panels that were written already.
    init(
        rows: Int, columns: Int, elementType: ElementType, format: yk_format,
        storage: WeightArena.Place
    ) {
        self.rows = rows
        self.columns = columns
        self.elementType = elementType
        self.format = format
        self.storage = storage
        panelBytes = yk_panel_layout_of(format, columns).bytes
        parameter = nil
    }

    /// A float32 matrix `[out, in]` with the values that `fill` writes, row by row.
    ///
    /// - Parameters:
    ///   - parameter: Its name in checkpoints if it is to be trained; nil if it is frozen.
    ///   - fill: Gets a row's index and room for its `columns` values; called from the pool's
    ///     threads, for each row once.
    package init(
        rows: Int, columns: Int, parameter name: String?, on device: Device,
        fill: @Sendable (_ row: Int, _ values: inout MutableSpan<Float>) -> Void
    ) {
        precondition(rows > 0 && columns > 0, "a matrix [\(rows), \(columns)]")
        let panelRows = Int(YK_PANEL)
        self.rows = rows
        self.columns = columns
        elementType = .f32
        format = YK_F32
        panelBytes = yk_panel_layout_of(YK_F32, columns).bytes
        let panelCount = (rows + panelRows - 1) / panelRows
        // Memory of its own: optimisers walk over it as over one array.
        let place = WeightArena.Place(
            piece: Storage(byteCount: panelCount * panelBytes), offset: 0)
        storage = place
        let start = place.start.assumingMemoryBound(to: Float.self)
        let panelFloats = columns * panelRows
        precondition(
            panelBytes == panelFloats * MemoryLayout<Float>.stride, "panels with gaps")
        parameter = name.map {
            Parameter(
                name: $0, shape: [rows, columns], start: start,
                storageCount: panelCount * panelFloats, owner: place.piece)
        }
        let target = Unchecked(start)
        device.pool.parallel(panelCount) { panel, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { row in
                for lane in 0..<panelRows {
                    let index = panel * panelRows + lane
                    if index < rows {
                        var span = MutableSpan(_unsafeElements: row)
                        fill(index, &span)
                    } else {
                        row.update(repeating: 0)
                    }
                    let to = target.value + panel * panelFloats + lane
                    for column in 0..<columns { to[column * panelRows] = row[column] }
                }
            }
        }
    }

    /// The same matrix in float32, widened exactly as the format's reference dequantiser does.
    package convenience init(
        widening other: PackedMatrix, parameter name: String?, on device: Device
    ) {
        self.init(
            rows: other.rows, columns: other.columns, parameter: name, on: device
        ) { row, values in
            values.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                other.unpack(row: row, into: start)
            }
        }
    }

    /// Widens one output row to float32 into `destination` (room for `columns` values).
    func unpack(row: Int, into destination: UnsafeMutablePointer<Float>) {
        precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
        let lane = row % Int(YK_PANEL)
        yk_unpack_row(
            format, panels + row / Int(YK_PANEL) * panelBytes, lane, columns, destination)
    }

    /// One output row, widened to float32 exactly as the format's reference dequantiser does.
    public func row(_ index: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: columns) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            unpack(row: index, into: start)
            count = columns
        }
    }
}

/// Gathers rows of an embedding table: `[T]` ids to `[T, C]`.
public func embedding(_ ids: [Int32], table: PackedMatrix, on device: Device) -> Tensor {
    var out = Tensor(uninitialized: [ids.count, table.columns])
    let start = Unchecked(out.pointer)
    device.pool.parallel(ids.count) { index, _ in
        table.unpack(row: Int(ids[index]), into: start.value + index * table.columns)
    }
    device.record("embedding", &out, from: [table.parameter.map { .parameter($0) }]) {
        { dy, _ in table.trainedParameter?.addRows(dy, ids: ids) }
    }
    return out
}
