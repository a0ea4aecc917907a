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

    /// Adds many bytes, eight at a time: another hash than that of the bytes one by one.
    package mutating func add(block bytes: UnsafeRawBufferPointer) {
        let whole = bytes.count / 8 * 8
        for offset in stride(from: 0, to: whole, by: 8) {
            let word = UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            // High bits must reach the low ones, which a product alone does not give them.
            let product = (value ^ word) &* 0x100_0000_01B3
            value = product ^ (product >> 32)
        }
        for byte in bytes[whole...] { add(byte) }
    }
}
