/// A GGUF model file: metadata and tensors, versions 2 and 3, little endian.
///
/// Follows `docs/gguf.md` of ggml. Opening checks everything that the file says about itself, so
/// that later reads stay inside it; weights are not read.
public struct GGUFFile: Sendable {
    /// The mapped bytes.
    public let file: MappedFile
    /// The version of the format, 2 or 3.
    public let version: UInt32
    /// What tensor offsets are multiples of, in bytes.
    public let alignment: Int
    /// The metadata keys in the order of the file.
    public let keys: [String]
    /// The tensors in the order of the file.
    public let tensors: [TensorEntry]

    let values: [String: GGUFValue]
    private let stored: [String: GGUFStoredValue]
    private let tensorIndices: [String: Int]

    /// Opens and checks a file.
    ///
    /// - Throws: `.cannotOpen`, or whatever is wrong with the contents.
    public init(path: String) throws(FormatError) {
        try self.init(file: MappedFile(path: path))
    }

    /// Checks a file that is mapped already.
    ///
    /// - Throws: Whatever is wrong with the contents.
    public init(file: MappedFile) throws(FormatError) {
        let contents = try file.withBytes { (bytes: RawSpan) throws(FormatError) in
            try Self.contents(of: file, bytes)
        }
        self.file = file
        version = contents.version
        alignment = contents.alignment
        keys = contents.keys
        values = contents.values
        stored = contents.stored
        tensors = contents.tensors
        tensorIndices = contents.tensorIndices
    }

    /// The metadata value of a key, or `nil` if the file has no such key.
    public subscript(key: String) -> GGUFValue? { values[key] }

    /// The metadata value of a key as the file stores it, for another file; `nil` if it has none.
    public func output(of key: String) -> GGUFOutput? {
        stored[key].map { value in
            GGUFOutput(value.type, file.withUnsafeBytes(in: value.byteRange) { Array($0) })
        }
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

    private struct Contents {
        var version: UInt32
        var alignment = 32
        var keys: [String] = []
        var values: [String: GGUFValue] = [:]
        var stored: [String: GGUFStoredValue] = [:]
        var tensors: [TensorEntry] = []
        var tensorIndices: [String: Int] = [:]
    }

    private static func contents(
        of file: MappedFile, _ bytes: borrowing RawSpan
    ) throws(FormatError) -> Contents {
        var scanner = GGUFScanner(file: file)
        let (version, tensorCount, keyCount) = try scanner.header(in: bytes)
        var contents = Contents(version: version)
        for _ in 0..<keyCount {
            let (key, value, stored) = try scanner.keyAndValue(in: bytes)
            guard contents.values.updateValue(value, forKey: key) == nil else {
                throw .duplicate(file: file.path, name: key)
            }
            contents.keys.append(key)
            contents.stored[key] = stored
            if key == "general.alignment" {
                contents.alignment = try alignment(stored.type, value, file: file.path)
            }
        }
        var infos: [GGUFTensorInfo] = []
        for index in 0..<tensorCount {
            let info = try scanner.tensorInfo(in: bytes)
            guard contents.tensorIndices.updateValue(index, forKey: info.name) == nil else {
                throw .duplicate(file: file.path, name: info.name)
            }
            infos.append(info)
        }
        // The end is inside the file and the alignment at most 2^20, so this cannot overflow.
        let dataStart =
            (scanner.reader.offset + contents.alignment - 1) & ~(contents.alignment - 1)
        for info in infos {
            contents.tensors.append(
                try entry(
                    info, dataStart: dataStart, alignment: contents.alignment, file: file))
        }
        try contents.tensors.checkDisjoint()
        return contents
    }

    private static func alignment(
        _ type: GGUFValueType, _ value: GGUFValue, file: String
    ) throws(FormatError) -> Int {
        guard type == .uint32, case .unsigned(let number) = value else {
            throw .wrongType(
                file: file, key: "general.alignment", found: value.kind, expected: "a uint32")
        }
        guard number.nonzeroBitCount == 1, number <= GGUFScanner.maximumAlignment else {
            throw .badValue(
                file: file, key: "general.alignment", found: "\(number)",
                expected: "a power of two up to \(GGUFScanner.maximumAlignment)")
        }
        return Int(number)
    }

    private static func entry(
        _ info: GGUFTensorInfo, dataStart: Int, alignment: Int, file: MappedFile
    ) throws(FormatError) -> TensorEntry {
        guard info.offset.isMultiple(of: UInt64(alignment)) else {
            throw .badValue(
                file: file.path, key: info.name, found: "at offset \(info.offset)",
                expected: "a multiple of the alignment, \(alignment)")
        }
        // An empty tensor needs no bytes, wherever it claims to be.
        guard info.byteCount > 0 else {
            let place = min(dataStart, file.count)
            return TensorEntry(
                name: info.name, elementType: info.type, shape: info.shape, file: file,
                byteRange: place..<place)
        }
        let have = max(0, file.count - dataStart)
        guard info.byteCount <= have, info.offset <= UInt64(have - info.byteCount) else {
            let start = info.offset.addingReportingOverflow(UInt64(dataStart))
            throw .truncated(
                file: file.path, what: "tensor '\(info.name)'",
                offset: start.overflow ? .max : Int(clamping: start.partialValue),
                needed: UInt64(info.byteCount),
                have: max(0, have - Int(clamping: info.offset)))
        }
        let start = dataStart + Int(info.offset)
        return TensorEntry(
            name: info.name, elementType: info.type, shape: info.shape, file: file,
            byteRange: start..<start + info.byteCount)
    }
}
