import YuyanTensor

/// A random order of `0..<count`, of which any element is known without the others.
///
/// A Feistel network of six rounds over the smallest even number of bits that holds `count`, with
/// Philox as its round function; values that fall outside are sent through again (cycle walking:
/// Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). Four steps at most are
/// needed on average, and no memory.
struct Permutation: Sendable, Hashable {
    let count: Int
    private let half: UInt64
    private let mask: UInt64
    private let random: CounterRandom
    private let stream: UInt64

    /// - Parameter stream: Tells orders of one seed apart.
    init(count: Int, seed: UInt64, stream: UInt64) {
        self.count = count
        random = CounterRandom(seed: seed)
        self.stream = stream
        let bits = max(2, Int.bitWidth - max(0, count - 1).leadingZeroBitCount)
        half = UInt64((bits + 1) / 2)
        mask = 1 << half - 1
    }

    /// The element at a place.
    ///
    /// - Precondition: `place` is in `0..<count`.
    subscript(place: Int) -> Int {
        precondition(place >= 0 && place < count, "place \(place) of \(count)")
        guard count > 1 else { return 0 }
        var value = UInt64(place)
        repeat { value = scrambled(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func scrambled(_ value: UInt64) -> UInt64 {
        var (left, right) = (value >> half, value & mask)
        for round: UInt64 in 0..<6 {
            let word = random.word64(stream: stream, position: round << 56 | right)
            (left, right) = (right, left ^ word & mask)
        }
        return left << half | right
    }
}

/// What the streams of random numbers that data draws from are for.
///
/// The highest bits tell uses apart, so that none repeats another's numbers.
enum DataStream {
    static func validation() -> UInt64 { 1 << 60 }
    static func epoch(_ epoch: Int) -> UInt64 { 2 << 60 | UInt64(epoch) }
    static func sampling(_ dataset: Int) -> UInt64 { 3 << 60 | UInt64(dataset) }
    static func mixture(_ block: Int) -> UInt64 { 4 << 60 | UInt64(block) }
    static func pass(_ dataset: Int, _ pass: Int) -> UInt64 {
        5 << 60 | UInt64(dataset) << 40 | UInt64(pass)
    }
    static func window(_ epoch: Int, _ index: Int) -> UInt64 {
        6 << 60 | UInt64(epoch) << 40 | UInt64(index)
    }
}
