/// A set of characters as ranges of code points, ascending and apart.
struct CodePointSet: Hashable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>]

    static let last: UInt32 = 0x10FFFF
    static let all = CodePointSet([0...last])

    init(_ ranges: [ClosedRange<UInt32>]) {
        var merged: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let previous = merged.last, range.lowerBound <= previous.upperBound + 1 {
                merged[merged.count - 1] =
                    previous.lowerBound...max(previous.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    init(_ character: UInt32) { ranges = [character...character] }

    /// The characters of a text.
    init(of text: String) { self.init(text.unicodeScalars.map { $0.value...$0.value }) }

    var isEmpty: Bool { ranges.isEmpty }

    var inverted: CodePointSet {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= Self.last { result.append(next...Self.last) }
        return CodePointSet(result)
    }

    func union(_ other: CodePointSet) -> CodePointSet { CodePointSet(ranges + other.ranges) }

    func intersection(_ other: CodePointSet) -> CodePointSet {
        inverted.union(other.inverted).inverted
    }

    func contains(_ character: UInt32) -> Bool { ranges.contains { $0.contains(character) } }

    /// With each letter of ASCII its other case.
    var ignoringCase: CodePointSet {
        let upper = intersection(CodePointSet([0x41...0x5A]))
        let lower = intersection(CodePointSet([0x61...0x7A]))
        return CodePointSet(
            ranges + upper.ranges.map { $0.lowerBound + 32...$0.upperBound + 32 }
                + lower.ranges.map { $0.lowerBound - 32...$0.upperBound - 32 })
    }

    /// The UTF-8 forms of all members, each a sequence of byte ranges; surrogates have none.
    var byteSequences: [[ClosedRange<UInt8>]] {
        var result: [[ClosedRange<UInt8>]] = []
        var work = Array(
            intersection(CodePointSet([0...0xD7FF, 0xE000...Self.last])).ranges.reversed())
        while let range = work.popLast() {
            if let cut = Self.cut(range) {
                work.append(cut + 1...range.upperBound)
                work.append(range.lowerBound...cut)
            } else {
                let low = Self.encoded(range.lowerBound)
                let high = Self.encoded(range.upperBound)
                result.append(zip(low, high).map { $0...$1 })
            }
        }
        return result
    }

    /// Where a range must be cut so that its ends differ byte by byte in full ranges.
    private static func cut(_ range: ClosedRange<UInt32>) -> UInt32? {
        let (low, high) = (range.lowerBound, range.upperBound)
        for edge: UInt32 in [0x7F, 0x7FF, 0xFFFF] where low <= edge && edge < high { return edge }
        guard high > 0x7F else { return nil }
        for shift: UInt32 in [6, 12, 18] {
            let mask: UInt32 = (1 << shift) - 1
            guard low & ~mask != high & ~mask else { continue }
            if low & mask != 0 { return low | mask }
            if high & mask != mask { return (high & ~mask) - 1 }
        }
        return nil
    }

    private static func encoded(_ value: UInt32) -> [UInt8] {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | (value >> shift) & 0x3F) }
        switch value {
        case ..<0x80: return [UInt8(value)]
        case ..<0x800: return [UInt8(0xC0 | value >> 6), tail(0)]
        case ..<0x10000: return [UInt8(0xE0 | value >> 12), tail(6), tail(0)]
        default: return [UInt8(0xF0 | value >> 18), tail(12), tail(6), tail(0)]
        }
    }
}
