/// Walks the metadata and tensor infos of a GGUF file, checking everything before using it.
struct GGUFScanner {
    /// The spec allows keys of 65535 bytes.
    static let maximumKeyBytes = 65535
    /// The spec allows 64; some converters write more, for which there is no reason to refuse.
    static let maximumNameBytes = 1024
    /// The spec names no limit for arrays in arrays; no known file has even two levels.
    static let maximumDepth = 8
    static let maximumAlignment: UInt64 = 1 << 20

    let file: MappedFile
    var reader: ByteReader

    init(file: MappedFile, offset: Int = 0) {
        self.file = file
        reader = ByteReader(file: file.path, offset: offset)
    }

    /// Reads magic, version and the two counts, which are checked against the bytes that follow.
    mutating func header(
        in bytes: borrowing RawSpan
    ) throws(FormatError) -> (version: UInt32, tensorCount: Int, keyCount: Int) {
        let magic = try reader.integer(UInt32.self, "the magic", in: bytes)
        guard magic == 0x4655_4747 else {
            throw .badMagic(
                file: file.path, found: "0x" + String(magic, radix: 16), expected: "'GGUF'")
        }
        let version = try reader.integer(UInt32.self, "the version", in: bytes)
        guard version == 2 || version == 3 else {
            let isSwapped = (1...3).contains(version.byteSwapped)
            throw .unsupportedVersion(
                file: file.path,
                found: isSwapped
                    ? "big-endian version \(version.byteSwapped)" : "version \(version)",
                supported: "little-endian versions 2 and 3")
        }
        let tensorCount = try reader.integer(UInt64.self, "the tensor count", in: bytes)
        let keyCount = try reader.integer(UInt64.self, "the metadata count", in: bytes)
        // Least sizes: a key of one byte, its type and a byte; a name of one byte, one dimension.
        return (
            version,
            try reader.checkedCount(tensorCount, of: 33, "the tensor infos", in: bytes),
            try reader.checkedCount(keyCount, of: 14, "the metadata", in: bytes)
        )
    }

    /// Reads one key and its value.
    mutating func keyAndValue(
        in bytes: borrowing RawSpan
    ) throws(FormatError) -> (key: String, value: GGUFValue, stored: GGUFStoredValue) {
        let key = try text("a metadata key", limit: Self.maximumKeyBytes, in: bytes)
        let type = try valueType(key: key, in: bytes)
        let start = reader.offset
        let value = try value(type, key: key, in: bytes)
        return (key, value, GGUFStoredValue(type: type, byteRange: start..<reader.offset))
    }

    private mutating func value(
        _ type: GGUFValueType, key: String, in bytes: borrowing RawSpan
    ) throws(FormatError) -> GGUFValue {
        switch type {
        case .uint8:
            .unsigned(UInt64(try reader.integer(UInt8.self, "a value", in: bytes)))
        case .uint16:
            .unsigned(UInt64(try reader.integer(UInt16.self, "a value", in: bytes)))
        case .uint32:
            .unsigned(UInt64(try reader.integer(UInt32.self, "a value", in: bytes)))
        case .uint64:
            .unsigned(try reader.integer(UInt64.self, "a value", in: bytes))
        case .int8:
            .signed(Int64(try reader.integer(Int8.self, "a value", in: bytes)))
        case .int16:
            .signed(Int64(try reader.integer(Int16.self, "a value", in: bytes)))
        case .int32:
            .signed(Int64(try reader.integer(Int32.self, "a value", in: bytes)))
        case .int64:
            .signed(try reader.integer(Int64.self, "a value", in: bytes))
        case .float32:
            .float(
                Double(Float(bitPattern: try reader.integer(UInt32.self, "a value", in: bytes))))
        case .float64:
            .float(Double(bitPattern: try reader.integer(UInt64.self, "a value", in: bytes)))
        case .bool:
            .bool(try bool(key: key, in: bytes))
        case .string:
            .string(try string(key: key, in: bytes))
        case .array:
            .array(try array(key: key, depth: 0, in: bytes))
        }
    }

    private mutating func bool(
        key: String, in bytes: borrowing RawSpan
    ) throws(FormatError) -> Bool {
        let byte = try reader.integer(UInt8.self, "a bool", in: bytes)
        guard byte <= 1 else {
            throw .badValue(
                file: file.path, key: key, found: "a bool of \(byte)", expected: "0 or 1")
        }
        return byte == 1
    }

    private mutating func string(
        key: String, in bytes: borrowing RawSpan
    ) throws(FormatError) -> String {
        let range = try reader.string("a string", in: bytes)
        guard let text = bytes.text(in: range) else {
            throw .badValue(
                file: file.path, key: key, found: "not UTF-8", expected: "text in UTF-8")
        }
        return text
    }

    /// Reads the head of an array and steps over its elements.
    mutating func array(
        key: String, depth: Int, in bytes: borrowing RawSpan
    ) throws(FormatError) -> GGUFArray {
        guard depth < Self.maximumDepth else {
            throw .badValue(
                file: file.path, key: key, found: "arrays in arrays deeper than \(depth)",
                expected: "at most \(Self.maximumDepth) levels")
        }
        let type = try valueType(key: key, in: bytes)
        let claimed = try reader.integer(UInt64.self, "an array's count", in: bytes)
        let count = try reader.checkedCount(
            claimed, of: type.minimumSize, "an array", in: bytes)
        let start = reader.offset
        switch type {
        case .string:
            for _ in 0..<count { _ = try reader.string("a string in an array", in: bytes) }
        case .array:
            for _ in 0..<count { _ = try array(key: key, depth: depth + 1, in: bytes) }
        case .bool:
            for _ in 0..<count { _ = try bool(key: key, in: bytes) }
        default:
            reader.offset += count * type.minimumSize
        }
        return GGUFArray(
            elementType: type, count: count, byteRange: start..<reader.offset, file: file,
            key: key)
    }

    private mutating func valueType(
        key: String, in bytes: borrowing RawSpan
    ) throws(FormatError) -> GGUFValueType {
        let code = try reader.integer(UInt32.self, "a value's type", in: bytes)
        guard let type = GGUFValueType(rawValue: code) else {
            throw .badValue(
                file: file.path, key: key, found: "a value of type \(code)",
                expected: "a type from 0 to 12")
        }
        return type
    }

    private mutating func text(
        _ what: StaticString, limit: Int, in bytes: borrowing RawSpan
    ) throws(FormatError) -> String {
        let start = reader.offset
        let range = try reader.string(what, in: bytes)
        guard (1...limit).contains(range.count) else {
            throw .badValue(
                file: file.path, key: "\(what) at byte \(start)", found: "\(range.count) bytes",
                expected: "1 to \(limit)")
        }
        guard let text = bytes.text(in: range) else {
            throw .badValue(
                file: file.path, key: "\(what) at byte \(start)", found: "not UTF-8",
                expected: "text in UTF-8")
        }
        return text
    }

    /// Reads one tensor info; its place is relative to the data, which is not known yet.
    mutating func tensorInfo(
        in bytes: borrowing RawSpan
    ) throws(FormatError) -> GGUFTensorInfo {
        let name = try text("a tensor name", limit: Self.maximumNameBytes, in: bytes)
        func bad(_ found: String, _ expected: String) -> FormatError {
            .badValue(file: file.path, key: name, found: found, expected: expected)
        }
        let rank = try reader.integer(UInt32.self, "a tensor's number of dimensions", in: bytes)
        guard (1...4).contains(rank) else { throw bad("of \(rank) dimensions", "1 to 4") }
        var shape: [Int] = []
        for _ in 0..<rank {
            let size = try reader.integer(UInt64.self, "a tensor's dimension", in: bytes)
            guard let size = Int(exactly: size) else {
                throw .overflow(file: file.path, what: "a dimension of '\(name)', \(size),")
            }
            shape.append(size)
        }
        let rowLength = shape[0]
        shape.reverse()
        guard let count = checkedProduct(shape) else {
            throw .overflow(file: file.path, what: "the shape of '\(name)', \(shape),")
        }
        let code = try reader.integer(UInt32.self, "a tensor's type", in: bytes)
        guard let type = ElementType(ggufCode: code) else {
            throw bad("of type \(code)", "a known tensor type; convert the file to another type")
        }
        guard rowLength.isMultiple(of: type.elementsPerBlock) else {
            throw bad(
                "\(type.name) with rows of \(rowLength)",
                "rows of a multiple of \(type.elementsPerBlock)")
        }
        guard let byteCount = type.byteCount(elements: count) else {
            throw .overflow(file: file.path, what: "the size of '\(name)', \(shape),")
        }
        let offset = try reader.integer(UInt64.self, "a tensor's offset", in: bytes)
        return GGUFTensorInfo(
            name: name, type: type, shape: shape, byteCount: byteCount, offset: offset)
    }
}

/// How a GGUF file stores one metadata value.
struct GGUFStoredValue {
    let type: GGUFValueType
    let byteRange: Range<Int>
}

/// What a GGUF file says about one tensor.
struct GGUFTensorInfo {
    let name: String
    let type: ElementType
    /// Outermost first.
    let shape: [Int]
    let byteCount: Int
    /// From the start of the data.
    let offset: UInt64
}
