/// Why compressed bytes cannot be unpacked, and where.
struct InflateFault: Error {
    let offset: Int
    /// What was found; nil if the bytes end too early.
    let found: String?
    let expected: String
}

/// Unpacks DEFLATE data in one pass with constant memory.
///
/// Deutsch, "DEFLATE Compressed Data Format Specification version 1.3", RFC 1951. Codes up to ten
/// bits are decoded by one look into a table, longer ones by the canonical order of their lengths.
struct Inflater {
    /// How far back a copy may reach.
    private static let windowSize = 1 << 15
    /// Bytes between two calls of `emit`.
    private static let blockSize = 1 << 17

    private var bits: UInt64 = 0
    private var bitCount = 0
    private var position: Int
    private var output = [UInt8](repeating: 0, count: windowSize + blockSize + 258)
    /// Bytes in `output`, and how many of them were emitted.
    private var filled = 0
    private var emitted = 0

    private init(at offset: Int) { position = offset }

    /// Unpacks the stream that starts at an offset; returns where it ends.
    ///
    /// - Parameter emit: Receives the unpacked bytes piece by piece, in order.
    /// - Throws: `InflateFault`, or what `emit` throws.
    static func inflate(
        _ input: borrowing RawSpan, from offset: Int,
        emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Int {
        var inflater = Inflater(at: offset)
        var isLast = false
        while !isLast {
            isLast = try inflater.take(1, input) == 1
            switch try inflater.take(2, input) {
            case 0: try inflater.copyStored(input, emit)
            case 1: try inflater.decode(.fixedLiterals, .fixedDistances, input, emit)
            case 2:
                let (literals, distances) = try inflater.readCodes(input)
                try inflater.decode(literals, distances, input, emit)
            default: throw inflater.fault("block type 3", "0, 1 or 2")
            }
        }
        try inflater.flush(emit)
        // Whole bytes that were read ahead belong to what follows.
        return inflater.position - inflater.bitCount / 8
    }

    private func fault(_ found: String, _ expected: String) -> InflateFault {
        InflateFault(offset: position - bitCount / 8, found: found, expected: expected)
    }

    // MARK: - Bits

    @inline(__always)
    private mutating func refill(_ input: borrowing RawSpan) {
        while bitCount <= 56, position < input.byteCount {
            bits |= UInt64(input.byte(position)) << UInt64(bitCount)
            position += 1
            bitCount += 8
        }
    }

    @inline(__always)
    private mutating func take(_ count: Int, _ input: borrowing RawSpan) throws -> Int {
        if bitCount < count { refill(input) }
        guard bitCount >= count else {
            throw InflateFault(offset: input.byteCount, found: nil, expected: "more data")
        }
        let value = Int(bits & (1 << UInt64(count) - 1))
        bits >>= UInt64(count)
        bitCount -= count
        return value
    }

    @inline(__always)
    private mutating func symbol(_ code: borrowing HuffmanCode, _ input: borrowing RawSpan) throws
        -> Int
    {
        if bitCount < 15 { refill(input) }
        let entry = code.table[Int(bits & HuffmanCode.tableMask)]
        var length = Int(entry & 15)
        var symbol = Int(entry >> 4)
        if length == 0 {
            guard let long = code.long(bits) else {
                if bitCount < 15, position == input.byteCount {
                    throw InflateFault(offset: position, found: nil, expected: "a code")
                }
                throw fault("a code that no symbol has", "a Huffman code of this block")
            }
            (symbol, length) = long
        }
        guard length <= bitCount else {
            throw InflateFault(offset: position, found: nil, expected: "a code")
        }
        bits >>= UInt64(length)
        bitCount -= length
        return symbol
    }

    // MARK: - Output

    private mutating func flush(_ emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        let range = emitted..<filled
        if !range.isEmpty {
            try output.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0[range])) }
        }
        emitted = filled
        guard filled > Self.windowSize else { return }
        let start = filled - Self.windowSize
        output.withUnsafeMutableBytes { bytes in
            for index in 0..<Self.windowSize { bytes[index] = bytes[start + index] }
        }
        filled = Self.windowSize
        emitted = filled
    }

    private mutating func copyStored(
        _ input: borrowing RawSpan, _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        _ = try take(bitCount & 7, input)
        let length = try take(16, input)
        let check = try take(16, input)
        guard length == ~check & 0xFFFF else {
            throw fault("a stored block whose lengths disagree", "one and its complement")
        }
        // What was read ahead is read again as plain bytes.
        position -= bitCount / 8
        (bits, bitCount) = (0, 0)
        guard length <= input.byteCount - position else {
            throw InflateFault(offset: input.byteCount, found: nil, expected: "a stored block")
        }
        if filled + length > output.count { try flush(emit) }
        for offset in 0..<length { output[filled + offset] = input.byte(position + offset) }
        filled += length
        position += length
    }

    private mutating func decode(
        _ literals: borrowing HuffmanCode, _ distances: borrowing HuffmanCode,
        _ input: borrowing RawSpan, _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        while true {
            if filled + 258 > output.count { try flush(emit) }
            let symbol = try symbol(literals, input)
            if symbol < 256 {
                output[filled] = UInt8(truncatingIfNeeded: symbol)
                filled += 1
                continue
            }
            if symbol == 256 { return }
            guard symbol < 286 else { throw fault("length symbol \(symbol)", "257 to 285") }
            let length =
                Self.lengthBases[symbol - 257] + (try take(Self.lengthBits[symbol - 257], input))
            let place = try self.symbol(distances, input)
            guard place < 30 else { throw fault("distance symbol \(place)", "0 to 29") }
            let distance = Self.distanceBases[place] + (try take(Self.distanceBits[place], input))
            guard distance <= filled else {
                throw fault("a copy from \(distance) bytes back", "at most \(filled)")
            }
            let range = filled..<filled + length
            output.withUnsafeMutableBufferPointer { bytes in
                // One by one: a copy may read what it has just written.
                for index in range { bytes[index] = bytes[index - distance] }
            }
            filled += length
        }
    }

    // MARK: - Codes

    private mutating func readCodes(
        _ input: borrowing RawSpan
    ) throws -> (literals: HuffmanCode, distances: HuffmanCode) {
        let literalCount = try take(5, input) + 257
        let distanceCount = try take(5, input) + 1
        let lengthCount = try take(4, input) + 4
        guard literalCount <= 286, distanceCount <= 30 else {
            throw fault(
                "\(literalCount) literals, \(distanceCount) distances", "286 and 30 at most")
        }
        var codeLengths = [UInt8](repeating: 0, count: 19)
        for index in 0..<lengthCount {
            codeLengths[Self.codeOrder[index]] = UInt8(truncatingIfNeeded: try take(3, input))
        }
        guard let code = HuffmanCode(codeLengths[...], allowsIncomplete: false) else {
            throw fault("lengths of lengths that make no code", "a complete prefix code")
        }
        var lengths: [UInt8] = []
        while lengths.count < literalCount + distanceCount {
            let symbol = try symbol(code, input)
            let (value, count): (UInt8, Int)
            switch symbol {
            case 16:
                guard let last = lengths.last else {
                    throw fault("a repetition at the start", "a length")
                }
                (value, count) = (last, 3 + (try take(2, input)))
            case 17: (value, count) = (0, 3 + (try take(3, input)))
            case 18: (value, count) = (0, 11 + (try take(7, input)))
            default: (value, count) = (UInt8(truncatingIfNeeded: symbol), 1)
            }
            lengths.append(contentsOf: repeatElement(value, count: count))
        }
        guard lengths.count == literalCount + distanceCount, lengths[256] > 0,
            let literals = HuffmanCode(lengths[..<literalCount], allowsIncomplete: true),
            let distances = HuffmanCode(lengths[literalCount...], allowsIncomplete: true)
        else { throw fault("code lengths that make no code", "two prefix codes with an end") }
        return (literals, distances)
    }

    private static let codeOrder = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ]
    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
        131, 163, 195, 227, 258,
    ]
    private static let lengthBits = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
        2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
    ]
    private static let distanceBits = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12,
        13, 13,
    ]
}

/// A canonical prefix code with lengths up to 15.
struct HuffmanCode {
    static let tableBits = 10
    static let tableMask: UInt64 = 1 << UInt64(tableBits) - 1

    /// By the next ten bits: `symbol << 4 | length`, or 0 for longer codes.
    let table: [UInt16]
    /// Symbols by length, and how many have each length.
    private let symbols: [UInt16]
    private let counts: [Int]

    /// Nil if more codes are asked for than there are, or, unless it is allowed, fewer.
    ///
    /// A code of one symbol or none is incomplete and yet legal where it is not needed.
    init?(_ lengths: ArraySlice<UInt8>, allowsIncomplete: Bool) {
        var counts = [Int](repeating: 0, count: 16)
        for length in lengths { counts[Int(length)] += 1 }
        let used = lengths.count - counts[0]
        counts[0] = 0
        var left = 1
        for length in 1...15 {
            left = left * 2 - counts[length]
            if left < 0 { return nil }
        }
        if left > 0, !(allowsIncomplete && used <= 1) { return nil }
        var places = [Int](repeating: 0, count: 17)
        var firstCodes = [Int](repeating: 0, count: 17)
        for length in 1...15 {
            places[length + 1] = places[length] + counts[length]
            firstCodes[length + 1] = (firstCodes[length] + counts[length]) << 1
        }
        var symbols = [UInt16](repeating: 0, count: used)
        var table = [UInt16](repeating: 0, count: 1 << Self.tableBits)
        var (nextPlaces, nextCodes) = (places, firstCodes)
        for (symbol, length) in lengths.enumerated() where length > 0 {
            let length = Int(length)
            symbols[nextPlaces[length]] = UInt16(symbol)
            nextPlaces[length] += 1
            let code = nextCodes[length]
            nextCodes[length] += 1
            guard length <= Self.tableBits else { continue }
            // Codes are packed from their highest bit, all else from the lowest.
            var reversed = 0
            for bit in 0..<length where code >> bit & 1 == 1 { reversed |= 1 << (length - 1 - bit) }
            for entry in stride(from: reversed, to: table.count, by: 1 << length) {
                table[entry] = UInt16(symbol << 4 | length)
            }
        }
        self.table = table
        self.symbols = symbols
        self.counts = counts
    }

    /// The symbol of a code that is longer than the table's.
    func long(_ bits: UInt64) -> (symbol: Int, length: Int)? {
        var (code, first, index) = (0, 0, 0)
        for length in 1...15 {
            code |= Int(bits >> UInt64(length - 1) & 1)
            let count = counts[length]
            if code - first < count { return (Int(symbols[index + code - first]), length) }
            index += count
            first = (first + count) << 1
            code <<= 1
        }
        return nil
    }

    static let fixedLiterals = fixed(
        [UInt8](repeating: 8, count: 144) + [UInt8](repeating: 9, count: 112)
            + [UInt8](repeating: 7, count: 24) + [UInt8](repeating: 8, count: 8))
    static let fixedDistances = fixed([UInt8](repeating: 5, count: 32))

    private static func fixed(_ lengths: [UInt8]) -> HuffmanCode {
        guard let code = HuffmanCode(lengths[...], allowsIncomplete: false) else {
            preconditionFailure("the fixed codes of RFC 1951 are complete")
        }
        return code
    }
}
