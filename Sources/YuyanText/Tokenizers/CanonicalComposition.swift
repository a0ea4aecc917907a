/// Unicode normalisation form C, over UTF-8.
///
/// Unicode Standard Annex 15. Only the scalars that HF `tokenizers` normalises are in the tables
/// (Tools/goldens/tokenizers_unicode.py). Text without any `unstable` scalar is its own normal form and
/// costs one pass; otherwise only the clusters around such scalars are rebuilt.
struct CanonicalComposition: Sendable {
    static let shared = CanonicalComposition()

    private let classes = UnicodeClasses.shared
    private let compositions: [UInt64: UInt32]

    private init() {
        var compositions: [UInt64: UInt32] = [:]
        for row in Self.decompositions where row >> 63 == 1 {
            let pair = (row >> 21 & 0x1F_FFFF) << 32 | row & 0x1F_FFFF
            compositions[pair] = UInt32(row >> 42 & 0x1F_FFFF)
        }
        self.compositions = compositions
    }

    /// Writes the normal form into `output`, or returns false if the text already is one.
    func normalize(_ text: Span<UInt8>, into output: inout [UInt8]) -> Bool {
        guard let first = unstable(in: text, from: 0) else { return false }
        output.removeAll(keepingCapacity: true)
        output.reserveCapacity(text.count + 16)
        var copied = 0
        var next: Int? = first
        while let position = next {
            let start = position > copied ? scalarStart(in: text, before: position) : position
            for index in copied..<start { output.append(text[index]) }
            var scalars: [UInt32] = []
            var end = start
            while end < text.count {
                let (value, width) = scalar(in: text, at: end)
                if end >= position, classes[value] & UnicodeClasses.unstable == 0 { break }
                decompose(value, into: &scalars)
                end += width
            }
            order(&scalars)
            compose(&scalars)
            for value in scalars { append(value, to: &output) }
            copied = end
            next = unstable(in: text, from: end)
        }
        for index in copied..<text.count { output.append(text[index]) }
        return true
    }

    private func unstable(in text: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < text.count {
            // Nothing below U+0300 is unstable, and those scalars start with bytes below 0xCC.
            if text[index] < 0xCC {
                index &+= 1
                continue
            }
            let (value, width) = scalar(in: text, at: index)
            if classes[value] & UnicodeClasses.unstable != 0 { return index }
            index &+= width
        }
        return nil
    }

    private func decompose(_ value: UInt32, into output: inout [UInt32]) {
        if value >= 0xAC00, value < 0xAC00 + 11172 {
            let syllable = value - 0xAC00
            output.append(0x1100 + syllable / 588)
            output.append(0x1161 + syllable % 588 / 28)
            if syllable % 28 != 0 { output.append(0x11A7 + syllable % 28) }
            return
        }
        let table = Self.decompositions
        let found = table.partitioningIndex { UInt32($0 >> 42 & 0x1F_FFFF) >= value }
        guard found < table.count, UInt32(table[found] >> 42 & 0x1F_FFFF) == value else {
            output.append(value)
            return
        }
        decompose(UInt32(table[found] >> 21 & 0x1F_FFFF), into: &output)
        let second = UInt32(table[found] & 0x1F_FFFF)
        if second != 0 { decompose(second, into: &output) }
    }

    private func combiningClass(_ value: UInt32) -> UInt8 {
        if value < 0x300 { return 0 }
        let runs = Self.markRuns
        let after = runs.partitioningIndex { UInt32($0 >> 32) > value }
        guard after > 0 else { return 0 }
        let run = runs[after - 1]
        let length = UInt32(truncatingIfNeeded: run) >> 8
        return value - UInt32(run >> 32) < length ? UInt8(truncatingIfNeeded: run) : 0
    }

    /// Sorts each run of marks by combining class, keeping the order of equals.
    private func order(_ scalars: inout [UInt32]) {
        var index = 0
        while index < scalars.count {
            if combiningClass(scalars[index]) == 0 {
                index += 1
                continue
            }
            var keyed: [UInt64] = []
            var end = index
            while end < scalars.count {
                let mark = combiningClass(scalars[end])
                if mark == 0 { break }
                keyed.append(UInt64(mark) << 56 | UInt64(end))
                end += 1
            }
            keyed.sort()
            let sorted = keyed.map { scalars[Int($0 & (1 << 56 - 1))] }
            scalars.replaceSubrange(index..<end, with: sorted)
            index = end
        }
    }

    private func compose(_ scalars: inout [UInt32]) {
        var starter: Int?
        var previous: UInt8 = 0
        var count = 0
        for index in scalars.indices {
            let value = scalars[index]
            let mark = combiningClass(value)
            if let starter, previous < mark || (previous == 0 && starter == count - 1),
                let joined = pair(scalars[starter], value)
            {
                scalars[starter] = joined
                continue
            }
            if mark == 0 { starter = count }
            previous = mark
            scalars[count] = value
            count += 1
        }
        scalars.removeLast(scalars.count - count)
    }

    private func pair(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first >= 0x1100, first < 0x1113, second >= 0x1161, second < 0x1176 {
            return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
        }
        if first >= 0xAC00, first < 0xAC00 + 11172, (first - 0xAC00).isMultiple(of: 28),
            second > 0x11A7, second < 0x11C3
        {
            return first + second - 0x11A7
        }
        return compositions[UInt64(first) << 32 | UInt64(second)]
    }

    private func append(_ value: UInt32, to output: inout [UInt8]) {
        guard let scalar = Unicode.Scalar(value) else { return }
        output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
}

extension [UInt64] {
    /// First index whose element satisfies a predicate that is false, then true, along the array.
    fileprivate func partitioningIndex(_ isAfter: (UInt64) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
