/// The types of metadata values in GGUF, by their code in the file.
public enum GGUFValueType: UInt32, Sendable, Hashable, CaseIterable {
    /// Integers of one and two bytes.
    case uint8 = 0, int8, uint16, int16
    /// Four bytes: integers and a float.
    case uint32, int32, float32
    /// One byte, 0 or 1.
    case bool
    /// A length of 64 bits and as many bytes.
    case string
    /// An element type, a count of 64 bits and the elements.
    case array
    /// Eight bytes: integers and a float.
    case uint64, int64, float64

    /// The bytes of one value, or `nil` if that varies.
    var fixedSize: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }

    /// The fewest bytes that one value can take.
    var minimumSize: Int { fixedSize ?? (self == .string ? 8 : 12) }
}

/// One metadata value of a GGUF file, widened to the largest type of its kind.
public enum GGUFValue: Sendable {
    /// An unsigned integer of 8 to 64 bits.
    case unsigned(UInt64)
    /// A signed integer of 8 to 64 bits.
    case signed(Int64)
    /// A float of 32 or 64 bits.
    case float(Double)
    /// A truth value.
    case bool(Bool)
    /// Text, checked to be UTF-8.
    case string(String)
    /// Many values of one type, decoded when asked for.
    case array(GGUFArray)

    /// What error messages call the type of this value.
    var kind: String {
        switch self {
        case .unsigned: "an unsigned integer"
        case .signed: "a signed integer"
        case .float: "a float"
        case .bool: "a bool"
        case .string: "a string"
        case .array(let array): "an array of \(array.elementType)"
        }
    }
}

/// Many metadata values of one type; structure checked at opening, decoded when asked for.
public struct GGUFArray: Sendable {
    /// The type of every element.
    public let elementType: GGUFValueType
    /// The number of elements.
    public let count: Int
    /// Where the elements are in `file`.
    public let byteRange: Range<Int>
    /// The file that holds them.
    public let file: MappedFile
    /// The key that this array is the value of, for error messages.
    public let key: String

    /// Calls `body` with the bytes of every string in order, without making a `String`.
    ///
    /// The bytes need not be UTF-8: vocabularies contain pieces of characters.
    ///
    /// - Precondition: The elements are strings; `GGUFFile.array(_:of:)` checks that.
    @inlinable
    public func forEachStringBytes<E: Error>(_ body: (RawSpan) throws(E) -> Void) throws(E) {
        precondition(elementType == .string, "'\(key)' is an array of \(elementType)")
        try file.withBytes { (bytes: RawSpan) throws(E) in
            var offset = byteRange.lowerBound
            for _ in 0..<count {
                let length = Int(bytes.littleEndian(UInt64.self, at: offset))
                offset += 8
                try body(bytes.extracting(offset..<offset + length))
                offset += length
            }
        }
    }

    /// All strings.
    ///
    /// - Throws: `.wrongType` if the elements are no strings; `.badValue` if one is not UTF-8.
    public func strings() throws(FormatError) -> [String] {
        guard elementType == .string else { throw wrongType("strings") }
        var result: [String] = []
        result.reserveCapacity(count)
        try forEachStringBytes { (bytes: RawSpan) throws(FormatError) in
            guard let text = bytes.text(in: 0..<bytes.byteCount) else {
                throw .badValue(
                    file: file.path, key: "\(key)[\(result.count)]", found: "not UTF-8",
                    expected: "text; read it with forEachStringBytes")
            }
            result.append(text)
        }
        return result
    }

    /// All integers, whatever their width.
    ///
    /// - Throws: `.wrongType` if the elements are no integers; `.badValue` if one needs 64
    ///   unsigned bits.
    public func integers() throws(FormatError) -> [Int64] {
        switch elementType {
        case .uint8: decoded(UInt8.self)
        case .int8: decoded(Int8.self)
        case .uint16: decoded(UInt16.self)
        case .int16: decoded(Int16.self)
        case .uint32: decoded(UInt32.self)
        case .int32: decoded(Int32.self)
        case .int64: decoded(Int64.self)
        case .uint64: try checkedUnsigned()
        case .float32, .float64, .bool, .string, .array: throw wrongType("integers")
        }
    }

    /// All floats, widened.
    ///
    /// - Throws: `.wrongType` if the elements are no floats.
    public func floats() throws(FormatError) -> [Double] {
        switch elementType {
        case .float32: mapped(UInt32.self) { Double(Float(bitPattern: $0)) }
        case .float64: mapped(UInt64.self) { Double(bitPattern: $0) }
        default: throw wrongType("floats")
        }
    }

    /// All truth values.
    ///
    /// - Throws: `.wrongType` if the elements are no truth values.
    public func bools() throws(FormatError) -> [Bool] {
        guard elementType == .bool else { throw wrongType("bools") }
        return mapped(UInt8.self) { $0 == 1 }
    }

    /// The arrays inside an array of arrays.
    ///
    /// - Throws: `.wrongType` if the elements are no arrays.
    public func arrays() throws(FormatError) -> [GGUFArray] {
        guard elementType == .array else { throw wrongType("arrays") }
        return try file.withBytes { (bytes: RawSpan) throws(FormatError) in
            var scanner = GGUFScanner(file: file, offset: byteRange.lowerBound)
            var result: [GGUFArray] = []
            for _ in 0..<count {
                result.append(try scanner.array(key: key, depth: 1, in: bytes))
            }
            return result
        }
    }

    private func wrongType(_ expected: String) -> FormatError {
        .wrongType(
            file: file.path, key: key, found: "an array of \(elementType)",
            expected: "an array of \(expected)")
    }

    private func decoded<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> [Int64] {
        mapped(type) { Int64($0) }
    }

    private func checkedUnsigned() throws(FormatError) -> [Int64] {
        let values = mapped(UInt64.self) { $0 }
        if let large = values.first(where: { $0 > UInt64(Int64.max) }) {
            throw .badValue(
                file: file.path, key: key, found: "\(large)", expected: "at most \(Int64.max)")
        }
        return values.map { Int64($0) }
    }

    private func mapped<T: FixedWidthInteger & BitwiseCopyable, Value>(
        _ type: T.Type, _ transform: (T) -> Value
    ) -> [Value] {
        file.withBytes { bytes in
            let size = MemoryLayout<T>.size
            return (0..<count).map {
                transform(bytes.littleEndian(type, at: byteRange.lowerBound + $0 * size))
            }
        }
    }
}
