/// A safetensors file: named tensors after a JSON header.
///
/// Follows the format description of the safetensors project: a header length of 64 bits, a JSON
/// object that names type, shape and place of every tensor, then the tensors without gaps.
public struct SafetensorsFile: Sendable {
    /// The mapped bytes.
    public let file: MappedFile
    /// The tensors in the order of their bytes.
    public let tensors: [TensorEntry]
    /// The free text entries under `__metadata__`.
    public let metadata: [String: String]

    private let tensorIndices: [String: Int]

    /// The largest header that the reference implementation accepts.
    static let maximumHeaderBytes: UInt64 = 100_000_000
    /// No tensor library has more; a limit keeps products of sizes cheap to check.
    static let maximumRank = 64

    /// Opens and checks a file; tensors are not read.
    ///
    /// - Throws: `.cannotOpen`, or whatever is wrong with the contents.
    public init(path: String) throws(FormatError) {
        try self.init(file: MappedFile(path: path))
    }

    /// Checks a file that is mapped already.
    ///
    /// - Throws: Whatever is wrong with the contents.
    public init(file: MappedFile) throws(FormatError) {
        let header = try file.withBytes { (bytes: RawSpan) throws(FormatError) in
            try Self.headerRange(of: file, bytes)
        }
        let root = try JSONDocument(file: file, range: header).root
        guard let entries = root.entries else {
            throw .wrongType(
                file: file.path, key: "the header", found: "\(root.kind)", expected: "object")
        }
        var metadata: [String: String] = [:]
        var tensors: [TensorEntry] = []
        var names: Set<String> = []
        for (name, value) in entries {
            guard names.insert(name).inserted else {
                throw .duplicate(file: file.path, name: name)
            }
            if name == "__metadata__" {
                metadata = try Self.metadata(value, file: file.path)
            } else {
                let reader = SafetensorsEntryReader(
                    file: file, dataStart: header.upperBound, name: name)
                tensors.append(try reader.entry(value))
            }
        }
        tensors.sort { ($0.byteRange.lowerBound, $0.name) < ($1.byteRange.lowerBound, $1.name) }
        try Self.checkContiguous(tensors, from: header.upperBound, file: file)
        self.file = file
        self.metadata = metadata
        tensorIndices = Dictionary(
            uniqueKeysWithValues: tensors.enumerated().map { ($1.name, $0) })
        self.tensors = tensors
    }

    /// The tensor of a name.
    ///
    /// - Throws: `.missingTensor` with the nearest names.
    public func tensor(_ name: String) throws(FormatError) -> TensorEntry {
        guard let index = tensorIndices[name] else {
            throw .missingTensor(
                name: name, file: file.path,
                nearest: nearestNames(to: name, in: tensors.lazy.map(\.name)))
        }
        return tensors[index]
    }

    private static func headerRange(
        of file: MappedFile, _ bytes: borrowing RawSpan
    ) throws(FormatError) -> Range<Int> {
        var reader = ByteReader(file: file.path)
        let length = try reader.integer(UInt64.self, "the header length", in: bytes)
        guard length <= maximumHeaderBytes else {
            throw .badValue(
                file: file.path, key: "the header length", found: "\(length)",
                expected: "at most \(maximumHeaderBytes); is this a safetensors file?")
        }
        let count = try reader.checkedCount(length, of: 1, "the header", in: bytes)
        guard count > 0, bytes.byte(8) == UInt8(ascii: "{") else {
            throw .badMagic(
                file: file.path, found: count > 0 ? "byte \(bytes.byte(8))" : "an empty header",
                expected: "'{' at byte 8")
        }
        return 8..<8 + count
    }

    private static func metadata(
        _ value: JSONCursor, file: String
    ) throws(FormatError) -> [String: String] {
        guard let entries = value.entries else {
            throw .wrongType(
                file: file, key: "__metadata__", found: "\(value.kind)", expected: "object")
        }
        var result: [String: String] = [:]
        for (key, text) in entries {
            guard let string = text.string else {
                throw .wrongType(
                    file: file, key: "__metadata__.\(key)", found: "\(text.kind)",
                    expected: "string")
            }
            guard result.updateValue(string, forKey: key) == nil else {
                throw .duplicate(file: file, name: "__metadata__.\(key)")
            }
        }
        return result
    }

    /// Checks that sorted tensors follow each other without holes up to the end of the file.
    private static func checkContiguous(
        _ tensors: [TensorEntry], from start: Int, file: MappedFile
    ) throws(FormatError) {
        var end = start
        var previous = "the header"
        for tensor in tensors {
            guard tensor.byteRange.lowerBound >= end else {
                throw .overlappingTensors(file: file.path, first: previous, second: tensor.name)
            }
            guard tensor.byteRange.lowerBound == end else {
                throw .badValue(
                    file: file.path, key: tensor.name,
                    found: "at byte \(tensor.byteRange.lowerBound) after a hole",
                    expected: "byte \(end), right after \(previous)")
            }
            end = tensor.byteRange.upperBound
            previous = tensor.name
        }
        guard end == file.count else {
            throw .badValue(
                file: file.path, key: "the end of the tensors", found: "byte \(end)",
                expected: "byte \(file.count), the end of the file")
        }
    }
}

/// Reads what a header says about one tensor.
private struct SafetensorsEntryReader {
    let file: MappedFile
    let dataStart: Int
    let name: String

    func entry(_ value: JSONCursor) throws(FormatError) -> TensorEntry {
        guard value.kind == .object else {
            throw .wrongType(file: file.path, key: name, found: "\(value.kind)", expected: "object")
        }
        let type = try elementType(value)
        let shape = try numbers("shape", in: value)
        let offsets = try numbers("data_offsets", in: value)
        guard shape.count <= SafetensorsFile.maximumRank else {
            throw bad("shape", "of \(shape.count) sizes", "at most \(SafetensorsFile.maximumRank)")
        }
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw bad("data_offsets", "\(offsets)", "a start and an end")
        }
        guard let count = checkedProduct(shape), let size = type.byteCount(elements: count) else {
            throw .overflow(file: file.path, what: "the shape of '\(name)', \(shape),")
        }
        guard offsets[1] - offsets[0] == size else {
            throw bad(
                "data_offsets", "\(offsets), \(offsets[1] - offsets[0]) bytes",
                "\(size) bytes for \(type.name) \(shape)")
        }
        guard offsets[1] <= file.count - dataStart else {
            throw .truncated(
                file: file.path, what: "tensor '\(name)'",
                offset: dataStart + min(offsets[0], file.count - dataStart),
                needed: UInt64(size), have: max(0, file.count - dataStart - offsets[0]))
        }
        return TensorEntry(
            name: name, elementType: type, shape: shape, file: file,
            byteRange: dataStart + offsets[0]..<dataStart + offsets[1])
    }

    private func elementType(_ value: JSONCursor) throws(FormatError) -> ElementType {
        let text = try attributed { () throws(FormatError) in try value.string("dtype") }
        guard let type = ElementType(safetensorsName: text) else {
            let known = ElementType.allCases.compactMap(\.safetensorsName)
            throw bad("dtype", "'\(text)'", "one of \(known.joined(separator: ", "))")
        }
        return type
    }

    private func numbers(
        _ key: String, in value: JSONCursor
    ) throws(FormatError) -> [Int] {
        let elements = try attributed { () throws(FormatError) in try value.array(key) }
        var result: [Int] = []
        for element in elements {
            guard element.isInteger, let number = element.int, number >= 0 else {
                throw bad(key, "not only whole numbers from 0 to 2^63 - 1", "such numbers")
            }
            result.append(number)
        }
        return result
    }

    /// Adds the tensor's name to errors about a key of its description.
    private func attributed<Value>(
        _ body: () throws(FormatError) -> Value
    ) throws(FormatError) -> Value {
        do {
            return try body()
        } catch .missingKey(let key, let file, let nearest) {
            throw .missingKey(key: "\(name).\(key)", file: file, nearest: nearest)
        } catch .wrongType(let file, let key, let found, let expected) {
            throw .wrongType(file: file, key: "\(name).\(key)", found: found, expected: expected)
        }
    }

    private func bad(_ key: String, _ found: String, _ expected: String) -> FormatError {
        .badValue(file: file.path, key: "\(name).\(key)", found: found, expected: expected)
    }
}
