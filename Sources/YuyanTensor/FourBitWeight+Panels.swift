import CYuyanKernels
import YuyanFormats

extension FourBitWeight {
    /// The kernel format of its panels.
    var panelFormat: yk_format {
        switch scales {
        case .plain: elementType == .nf4 ? YK_NF4 : YK_FP4
        case .nested: elementType == .nf4 ? YK_NF4_NESTED : YK_FP4_NESTED
        }
    }

    /// Writes up to 16 rows into one panel; `room` holds 16 rows as the kernels take them.
    func pack(
        rows: Range<Int>, room: UnsafeMutableRawPointer, into panel: UnsafeMutablePointer<UInt8>
    ) {
        let format = panelFormat
        let rowBytes = yk_code4_row_bytes(format, columns)
        let starts = rows.indices.map { index -> UnsafePointer<UInt8>? in
            let start = room + (index - rows.lowerBound) * rowBytes
            write(row: index, to: start)
            return UnsafePointer(start.assumingMemoryBound(to: UInt8.self))
        }
        yk_pack_panel(format, starts, starts.count, columns, panel)
    }

    private func write(row: Int, to start: UnsafeMutableRawPointer) {
        let blocks = columns / Self.block
        let first = row * blocks
        var place = start
        func put<Value: BitwiseCopyable>(_ value: Value) {
            place.storeBytes(of: value, as: Value.self)
            place += MemoryLayout<Value>.size
        }
        if case .nested(_, let groups, let offset) = scales {
            put(Int32(first % DynamicMap.block))
            put(offset)
            let group = first / DynamicMap.block
            for index in group..<group + yk_nested_rows(columns) {
                put(index < groups.count ? groups[index] : 0)
            }
        }
        codes.withUnsafeBytes { codes in
            for block in first..<first + blocks {
                switch scales {
                case .plain(let values): put(values[block])
                case .nested(let indices, _, _): put(indices[block])
                }
                guard let base = codes.baseAddress else { return }
                let bytes = Self.block / 2
                place.copyMemory(from: base + block * bytes, byteCount: bytes)
                place += bytes
            }
        }
    }
}

extension PackedMatrix {
    /// Packs a 4-bit weight; products run straight from its codes.
    package convenience init(_ weight: FourBitWeight, on device: Device) {
        let format = weight.panelFormat
        let (rows, columns) = (weight.rows, weight.columns)
        let panelBytes = yk_panel_layout_of(format, columns).bytes
        let panelRows = Int(YK_PANEL)
        let panelCount = (rows + panelRows - 1) / panelRows
        let place = device.weights.allocate(panelCount * panelBytes)
        let room = yk_code4_row_bytes(format, columns) * panelRows
        let (scratch, destination) = (device.scratch, Unchecked(place.start))
        device.pool.parallel(panelCount) { index, worker in
            weight.pack(
                rows: index * panelRows..<min((index + 1) * panelRows, rows),
                room: scratch.bytes(room, worker: worker),
                into: (destination.value + index * panelBytes)
                    .assumingMemoryBound(to: UInt8.self))
        }
        self.init(
            rows: rows, columns: columns, elementType: weight.elementType, format: format,
            storage: place)
    }

    /// Rounds a checkpoint's matrix to 4 bits and packs it: see `FourBitWeight`.
    ///
    /// - Throws: `WeightError` on another type or shape, or a weight that is not a number.
    package convenience init(
        quantizing entry: TensorEntry, as elementType: ElementType, doubleQuantized: Bool,
        rowOrder: [Int]? = nil, on device: Device
    ) throws(WeightError) {
        self.init(
            try FourBitWeight(
                quantizing: entry, as: elementType, doubleQuantized: doubleQuantized,
                rowOrder: rowOrder, on: device), on: device)
    }

    /// Whether its scales are 8-bit numbers themselves.
    package var isDoubleQuantized: Bool { format == YK_NF4_NESTED || format == YK_FP4_NESTED }

    /// The codes and scales that it was packed from; nil unless it is NF4 or FP4.
    package var fourBitWeight: FourBitWeight? {
        guard elementType == .nf4 || elementType == .fp4 else { return nil }
        let layout = yk_panel_layout_of(format, columns)
        let rowBlocks = columns / FourBitWeight.block
        var codes: [UInt8] = []
        codes.reserveCapacity(rows * columns / 2)
        for row in 0..<rows {
            let (panel, lane) = place(of: row)
            for word in 0..<columns / 8 {
                for byte in 0..<4 {
                    let pair = panel[64 * word + 4 * lane + byte]
                    codes.append(pair << 4 | pair >> 4)
                }
            }
        }
        func float(_ offset: Int, _ row: Int) -> Float {
            let (panel, lane) = place(of: row)
            return UnsafeRawPointer(panel + offset + 4 * lane).load(as: Float.self)
        }
        let blocks = 0..<rows * rowBlocks
        let scales: FourBitWeight.Scales
        if isDoubleQuantized {
            let groups = stride(from: 0, to: blocks.count, by: DynamicMap.block).map { block in
                let row = block / rowBlocks
                let phase = row * rowBlocks % DynamicMap.block
                let group = (phase + block % rowBlocks) / DynamicMap.block
                return float(layout.scale + 64 * group, row)
            }
            scales = .nested(
                indices: blocks.map { block in
                    let (panel, lane) = place(of: block / rowBlocks)
                    return panel[layout.sub_scale + block % rowBlocks * Int(YK_PANEL) + lane]
                }, groups: groups, offset: float(layout.minimum, 0))
        } else {
            scales = .plain(
                blocks.map { float(layout.scale + 64 * ($0 % rowBlocks), $0 / rowBlocks) })
        }
        return FourBitWeight(
            elementType: elementType, rows: rows, columns: columns, codes: codes, scales: scales)
    }

    private func place(of row: Int) -> (panel: UnsafePointer<UInt8>, lane: Int) {
        (panels + row / Int(YK_PANEL) * panelBytes, row % Int(YK_PANEL))
    }
}
