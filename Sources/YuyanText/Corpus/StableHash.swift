/// A hash that is the same in every run and on every machine.
///
/// FNV-1a of 64 bits (Fowler, Noll and Vo; IETF draft-eastlake-fnv): for telling changed data apart,
/// not for telling off attackers.
package struct StableHash: Sendable, Hashable {
    package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    package mutating func add(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
    }

    /// Adds the eight bytes of a number, lowest first.
    package mutating func add(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            add(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
