import YuyanFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Scalars for TensorBoard: an `events.out.tfevents.…` file.
///
/// A file is a sequence of records: length (u64), masked CRC32C of the length, a protocol buffer
/// `Event`, masked CRC32C of it, all little-endian. The messages that scalars need are small enough to
/// be spelled out here: tensorflow/core/util/event.proto and framework/summary.proto.
package final class EventFile {
    private let path: String
    private let descriptor: Int32

    /// Begins a file in a folder, which must exist.
    ///
    /// - Parameters:
    ///   - step: Where a run goes on; readers then drop what older files say of later steps. 0 for a
    ///     new run.
    ///   - time: Seconds since 1970.
    /// - Throws: `FormatError.cannotWrite`.
    package init(folder: String, host: String, process: Int, after step: Int, time: Double) throws {
        var number = 0
        var found: Int32 = -1
        var name = ""
        repeat {
            name = "events.out.tfevents.\(Int(time)).\(host).\(process).\(number)"
            found = open(
                folder + "/" + name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o666)
            number += 1
        } while found < 0 && errno == EEXIST && number < 1000
        path = folder + "/" + name
        guard found >= 0 else { throw Self.error(path) }
        descriptor = found
        try write(Self.version(time: time))
        if step > 0 { try write(Self.restart(step: step + 1, time: time)) }
    }

    deinit { close(descriptor) }

    /// Appends values of one step.
    package func append(_ scalars: [(tag: String, value: Float)], step: Int, time: Double) throws {
        guard !scalars.isEmpty else { return }
        try write(Self.event(scalars, step: step, time: time))
    }

    private func write(_ event: [UInt8]) throws {
        var rest = Self.record(event)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes {
                #if canImport(Glibc)
                    Glibc.write(descriptor, $0.baseAddress, $0.count)
                #elseif canImport(Musl)
                    Musl.write(descriptor, $0.baseAddress, $0.count)
                #else
                    Darwin.write(descriptor, $0.baseAddress, $0.count)
                #endif
            }
            if written < 0, errno == EINTR { continue }
            guard written >= 0 else { throw Self.error(path) }
            rest = rest.dropFirst(written)
        }
    }

    private static func error(_ path: String) -> FormatError {
        .cannotWrite(file: path, reason: String(cString: strerror(errno)))
    }
}

// MARK: - Bytes

extension EventFile {
    /// A message with its length and checksums.
    static func record(_ message: [UInt8]) -> [UInt8] {
        let length = littleEndian(UInt64(message.count))
        return length + littleEndian(masked(crc32c(length))) + message
            + littleEndian(masked(crc32c(message)))
    }

    /// The first message of every file.
    static func version(time: Double) -> [UInt8] {
        field(1, time) + field(3, Array("brain.Event:2".utf8))
    }

    /// Tells readers that a run begins again at a step: `session_log { status: START }`.
    static func restart(step: Int, time: Double) -> [UInt8] {
        field(1, time) + field(2, step) + field(7, field(1, 1))
    }

    /// `summary { value { tag simple_value } … }`.
    static func event(
        _ scalars: [(tag: String, value: Float)], step: Int, time: Double
    ) -> [UInt8] {
        let values = scalars.flatMap { scalar in
            field(1, field(1, Array(scalar.tag.utf8)) + field(2, scalar.value))
        }
        return field(1, time) + field(2, step) + field(5, values)
    }

    private static func field(_ number: UInt8, _ value: Double) -> [UInt8] {
        [number << 3 | 1] + littleEndian(value.bitPattern)
    }

    private static func field(_ number: UInt8, _ value: Float) -> [UInt8] {
        [number << 3 | 5] + littleEndian(value.bitPattern)
    }

    private static func field(_ number: UInt8, _ value: Int) -> [UInt8] {
        [number << 3] + variable(UInt64(bitPattern: Int64(value)))
    }

    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2] + variable(UInt64(bytes.count)) + bytes
    }

    /// Seven bits a byte, least significant first.
    private static func variable(_ value: UInt64) -> [UInt8] {
        var rest = value
        var bytes: [UInt8] = []
        repeat {
            let low = UInt8(truncatingIfNeeded: rest & 0x7F)
            rest >>= 7
            bytes.append(rest == 0 ? low : low | 0x80)
        } while rest != 0
        return bytes
    }

    private static func littleEndian<Bits: FixedWidthInteger>(_ value: Bits) -> [UInt8] {
        (0..<MemoryLayout<Bits>.size).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private static func masked(_ crc: UInt32) -> UInt32 {
        (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }

    /// Castagnoli's checksum, reflected polynomial 0x82F63B78.
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = .max
        for byte in bytes {
            crc = crc >> 8 ^ table[Int(truncatingIfNeeded: (crc ^ UInt32(byte)) & 0xFF)]
        }
        return ~crc
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in
            value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1
        }
    }
}
