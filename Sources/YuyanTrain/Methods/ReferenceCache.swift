import YuyanFormats
import YuyanModels
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Log-probabilities of answers under one reference, kept in a file for other runs on the same data.
///
/// The file is named by a hash of what computes them, so no other model's are ever found in it. Answers
/// are known by a hash of their tokens and their prompt's. Of two runs that write the same file the last
/// one wins, and the other's are computed again.
final class ReferenceCache {
    /// A safetensors file: `answers` U64 `[n, 2]`, hash and number of tokens of each group of answers;
    /// `logps` F32, their log-probabilities end to end. Nil keeps them in memory only.
    private let path: String?
    private var known: [UInt64: [Float]] = [:]
    private var isChanged = false
    private let clock = ContinuousClock()
    private var saved: ContinuousClock.Instant

    /// - Parameters:
    ///   - folder: Where the file is or will be.
    ///   - reference: Hash of what computes the log-probabilities.
    /// - Throws: `FormatError` if the file is damaged.
    init(folder: String?, reference: @autoclosure () -> UInt64) throws {
        saved = clock.now
        path = folder.map { "\($0)/\(String(reference(), radix: 16)).safetensors" }
        guard let path, access(path, F_OK) == 0 else { return }
        try read(SafetensorsFile(path: path), path)
    }

    /// `[answer][token]`, or nil if nobody asked before.
    func scores(of group: AnswerGroup) -> [[Float]]? {
        guard let values = known[group.stableHash] else { return nil }
        var (found, start) = ([[Float]](), 0)
        for answer in group.answers {
            guard start + answer.count <= values.count else { return nil }
            found.append(Array(values[start..<start + answer.count]))
            start += answer.count
        }
        return start == values.count ? found : nil
    }

    func note(_ scores: [[Float]], of group: AnswerGroup) {
        known[group.stableHash] = Array(scores.joined())
        isChanged = true
    }

    /// Writes what is new, if it is time: what a kill loses is a minute's work.
    func saveSometimes() throws {
        if clock.now - saved > .seconds(60) { try save() }
    }

    /// Writes what is new.
    func save() throws {
        guard let path, isChanged else { return }
        if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
            try createFolder(String(path[..<slash]))
        }
        let groups = known.sorted { $0.key < $1.key }
        let words = groups.flatMap { [$0.key, UInt64($0.value.count)] }
        let values = groups.flatMap(\.value)
        try SafetensorsWriter(metadata: []).write(
            [
                TensorSource(
                    name: "answers", elementType: .u64, shape: [groups.count, 2],
                    bytes: words.flatMap { withUnsafeBytes(of: $0.littleEndian) { Array($0) } }),
                TensorSource(name: "logps", shape: [values.count], values: values),
            ], to: path)
        isChanged = false
        saved = clock.now
    }

    private func read(_ file: SafetensorsFile, _ path: String) throws {
        func entry(_ name: String, _ type: ElementType) throws -> TensorEntry {
            guard let entry = file.tensors.first(where: { $0.name == name }) else {
                throw FormatError.missingTensor(name: name, file: path, nearest: [])
            }
            guard entry.elementType == type else {
                throw FormatError.badValue(
                    file: path, key: name, found: entry.elementType.name, expected: type.name)
            }
            return entry
        }
        let answers = try entry("answers", .u64)
        let values = try entry("logps", .f32)
        let words = answers.withUnsafeBytes { bytes in
            (0..<bytes.count / 8).map {
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self))
            }
        }
        var start = 0
        for index in 0..<words.count / 2 {
            guard let count = Int(exactly: words[2 * index + 1]),
                count <= values.elementCount - start
            else { throw Self.wrongCount(path, values.elementCount) }
            known[words[2 * index]] = values.withUnsafeBytes { bytes in
                (start..<start + count).map {
                    Float(
                        bitPattern: UInt32(
                            littleEndian: bytes.loadUnaligned(
                                fromByteOffset: 4 * $0, as: UInt32.self)))
                }
            }
            start += count
        }
        guard start == values.elementCount else {
            throw Self.wrongCount(path, values.elementCount)
        }
    }

    private static func wrongCount(_ path: String, _ count: Int) -> FormatError {
        .badValue(
            file: path, key: "logps", found: "\(count) numbers",
            expected: "as many as 'answers' says; remove the file, and it is made again")
    }
}

extension AnswerGroup {
    /// The same in every run: of the tokens, and of which answer each is in.
    fileprivate var stableHash: UInt64 {
        var hash = StableHash()
        for part in [prompt] + answers {
            hash.add(UInt64(part.count))
            part.withUnsafeBytes { hash.add(block: $0) }
        }
        return hash.value
    }
}
