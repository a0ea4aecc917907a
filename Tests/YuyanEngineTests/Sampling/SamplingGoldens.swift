import TestSupport
import Testing
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@testable import YuyanEngine

/// Lines of a file of `Tools/goldens/sampling.py`: settings before the bar, results after it.
struct SamplingGoldens {
    struct Case {
        var fields: [Substring]
        var results: [Substring]

        func float(_ index: Int) throws -> Float { try #require(Float(fields[index])) }
        func int(_ index: Int) throws -> Int { try #require(Int(fields[index])) }
        func ids(_ index: Int) -> [Int32] { fields[index].ids }
    }

    var rows: [String: [Float]] = [:]
    var cases: [Case] = []

    /// Reads the rows of logits and the cases of one kind.
    init(_ file: String, _ kind: String) throws {
        for line in try Self.lines(file) {
            let halves = line.split(separator: "|", omittingEmptySubsequences: false)
            let fields = halves[0].split(separator: " ")
            if fields[0] == "logits" {
                rows[String(fields[1])] = try fields.dropFirst(2).map { try $0.floatBits }
            } else if fields[0] == kind {
                cases.append(Case(fields: fields, results: halves[1].split(separator: " ")))
            }
        }
        #expect(!cases.isEmpty)
    }

    func row(_ golden: Case) throws -> [Float] { try #require(rows[String(golden.fields[1])]) }

    static func lines(_ file: String) throws -> [Substring] {
        let path = Goldens.path("sampling/" + file)
        let stream = try #require(fopen(path, "r"))
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var byte = getc(stream)
        while byte != EOF {
            bytes.append(UInt8(byte))
            byte = getc(stream)
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { $0 }
    }
}

extension Substring {
    var floatBits: Float {
        get throws { Float(bitPattern: try #require(UInt32(self, radix: 16))) }
    }

    /// Comma-separated token ids; a hyphen is none.
    var ids: [Int32] { self == "-" ? [] : split(separator: ",").compactMap { Int32($0) } }
}

/// Seeded numbers for tests, in call order.
struct SeededNumbers: RandomNumberGenerator {
    private let random: CounterRandom
    private var position: UInt64 = 0

    init(seed: UInt64) { random = CounterRandom(seed: seed) }

    mutating func next() -> UInt64 {
        position += 1
        return random.word64(position: position)
    }

    mutating func logits(_ count: Int, scale: Float) -> [Float] {
        (0..<count).map { _ in
            position += 1
            return random.normal(position: position) * scale
        }
    }
}
