import CYuyanKernels
import YuyanFormats

extension FourBitWeight {
    /// One tensor of a checkpoint, to be written.
    package struct StoredTensor: Sendable {
        package let name: String
        package let elementType: ElementType
        package let shape: [Int]
        package let bytes: [UInt8]
    }

    /// The tensors under which bitsandbytes stores a weight, named after `name`, its own.
    ///
    /// Codes, scales (`.absmax`), the 16 numbers (`.quant_map`), with double quantisation also
    /// `.nested_absmax` and `.nested_quant_map`; and a JSON text with the rest.
    package func tensors(_ name: String) -> [StoredTensor] {
        let type = elementType == .nf4 ? "nf4" : "fp4"
        var state =
            #"{"quant_type": "\#(type)", "blocksize": \#(Self.block), "dtype": "float32", "#
            + #""shape": [\#(rows), \#(columns)]"#
        var tensors = [
            StoredTensor(
                name: name, elementType: .u8, shape: [codes.count, 1], bytes: codes),
            float(name + ".quant_map", elementType.codeNumbers),
        ]
        switch scales {
        case .plain(let values): tensors.append(float(name + ".absmax", values))
        case .nested(let indices, let groups, let offset):
            tensors += [
                StoredTensor(
                    name: name + ".absmax", elementType: .u8, shape: [indices.count],
                    bytes: indices),
                float(name + ".nested_absmax", groups),
                float(name + ".nested_quant_map", DynamicMap.signed.values),
            ]
            state +=
                #", "nested_blocksize": \#(DynamicMap.block), "nested_dtype": "float32", "#
                + #""nested_offset": \#(Double(offset))"#
        }
        let text = Array((state + "}").utf8)
        tensors.append(
            StoredTensor(
                name: name + ".quant_state.bitsandbytes__" + type, elementType: .u8,
                shape: [text.count], bytes: text))
        return tensors
    }

    private func float(_ name: String, _ values: [Float]) -> StoredTensor {
        StoredTensor(
            name: name, elementType: .f32, shape: [values.count],
            bytes: values.flatMap { value in
                (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(8 * $0)) }
            })
    }

    /// The endings that tensors of a 4-bit weight have behind the weight's own name.
    package static let endings = [
        ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map",
        ".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4",
    ]

    /// Reads a weight that bitsandbytes stored, every number as it is.
    ///
    /// - Parameters:
    ///   - entry: The codes, under the weight's own name.
    ///   - find: The tensor of a full name, or nil.
    /// - Returns: Nil if no tensor says that `entry` holds 4-bit codes.
    /// - Throws: `FormatError` on parts that are missing, of another size, or of a kind that no
    ///   kernel reads: other block sizes, other numbers.
    package init?(
        _ entry: TensorEntry, find: @escaping (String) -> TensorEntry?
    ) throws(FormatError) {
        let reader = FourBitReader(entry: entry, find: find)
        guard let found = reader.stateEntry else { return nil }
        let state = try JSONDocument(bytes: reader.bytes(of: found.entry), name: entry.file.path)
            .root
        let (rows, columns) = try reader.shape(state)
        let type = found.type
        try reader.expect(
            "quant_type", try state.string("quant_type"), type == .nf4 ? "nf4" : "fp4")
        try reader.expect("blocksize", "\(try state.int("blocksize"))", "\(Self.block)")
        let map = try reader.floats(".quant_map", count: 16)
        guard map == type.codeNumbers else {
            throw reader.bad(
                ".quant_map", found: "other numbers", expected: "those of \(type.name)")
        }
        let blocks = rows * columns / Self.block
        let scales: Scales
        if reader.has(".nested_absmax") {
            try reader.expect(
                "nested_blocksize", "\(try state.int("nested_blocksize"))", "\(DynamicMap.block)")
            let numbers = try reader.floats(".nested_quant_map", count: 256)
            guard numbers == DynamicMap.signed.values else {
                throw reader.bad(
                    ".nested_quant_map", found: "other numbers",
                    expected: "those of the signed dynamic map")
            }
            scales = .nested(
                indices: try reader.bytes(".absmax", count: blocks),
                groups: try reader.floats(
                    ".nested_absmax", count: (blocks + DynamicMap.block - 1) / DynamicMap.block),
                offset: Float(try state.double("nested_offset")))
        } else {
            scales = .plain(try reader.floats(".absmax", count: blocks))
        }
        let codes = reader.bytes(of: entry)
        guard codes.count == rows * columns / 2 else {
            throw reader.bad(
                "", found: "\(codes.count) bytes", expected: "\(rows * columns / 2) bytes")
        }
        self.init(
            elementType: type, rows: rows, columns: columns, codes: codes, scales: scales)
    }
}

extension ElementType {
    /// The 16 numbers that codes stand for, in the order of the codes.
    var codeNumbers: [Float] {
        precondition(self == .nf4 || self == .fp4, "\(self) codes")
        return Array(
            UnsafeBufferPointer(start: yk_code4_table(self == .nf4 ? YK_NF4 : YK_FP4), count: 16))
    }
}

/// The parts of one stored weight.
private struct FourBitReader {
    let entry: TensorEntry
    let find: (String) -> TensorEntry?

    var stateEntry: (type: ElementType, entry: TensorEntry)? {
        for (type, name) in [(ElementType.nf4, "nf4"), (.fp4, "fp4")] {
            if let state = find(entry.name + ".quant_state.bitsandbytes__" + name) {
                return (type, state)
            }
        }
        return nil
    }

    func has(_ ending: String) -> Bool { find(entry.name + ending) != nil }

    func shape(_ state: JSONCursor) throws(FormatError) -> (rows: Int, columns: Int) {
        let shape = try state.array("shape").map { $0.int ?? -1 }
        guard shape.count == 2, shape.allSatisfy({ $0 > 0 && $0 < 1 << 31 }),
            shape[1].isMultiple(of: FourBitWeight.block)
        else {
            throw bad(
                ".quant_state", found: "the shape \(shape)",
                expected: "[out, in] with a multiple of \(FourBitWeight.block) columns")
        }
        return (shape[0], shape[1])
    }

    func expect(_ key: String, _ found: String, _ expected: String) throws(FormatError) {
        guard found == expected else {
            throw bad(".quant_state", found: "\(key) \(found)", expected: "\(key) \(expected)")
        }
    }

    func bytes(of entry: TensorEntry) -> [UInt8] { entry.withUnsafeBytes { Array($0) } }

    func bytes(_ ending: String, count: Int) throws(FormatError) -> [UInt8] {
        bytes(of: try part(ending, .u8, count: count))
    }

    func floats(_ ending: String, count: Int) throws(FormatError) -> [Float] {
        try part(ending, .f32, count: count).withUnsafeBytes { bytes in
            (0..<count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    private func part(
        _ ending: String, _ type: ElementType, count: Int
    ) throws(FormatError) -> TensorEntry {
        let name = entry.name + ending
        guard let part = find(name) else {
            throw .missingTensor(name: name, file: entry.file.path, nearest: [entry.name])
        }
        guard part.elementType == type, part.elementCount == count else {
            throw bad(
                ending, found: "\(part.elementCount) numbers of \(part.elementType.name)",
                expected: "\(count) of \(type.name)")
        }
        return part
    }

    func bad(_ ending: String, found: String, expected: String) -> FormatError {
        .badValue(
            file: entry.file.path, key: entry.name + ending, found: found, expected: expected)
    }
}
