#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension MappedFile {
    /// Whether the file starts as gzip files do.
    public var isGzip: Bool {
        count >= 2 && withBytes { $0.byte(0) == 0x1F && $0.byte(1) == 0x8B }
    }

    /// Unpacks a gzip file into a nameless file on disk, which lives as long as the result.
    ///
    /// Deutsch, "GZIP file format specification version 4.3", RFC 1952; several members in a row
    /// are one text. Memory stays constant: the bytes go through a window of 160 KiB.
    ///
    /// - Parameter limit: Unpacked bytes at which a file is refused; gzip can pack a thousandfold.
    /// - Throws: `.badMagic`, `.truncated`, `.badValue` for damaged data, a wrong check sum or too
    ///   much of it, `.cannotWrite` if there is no room.
    public func unpackedGzip(limit: Int = 64 << 30) throws -> MappedFile {
        let descriptor = try openNameless(for: path)
        defer { close(descriptor) }
        var total = 0
        try withBytes { bytes in
            var offset = 0
            repeat {
                let start = try gzipHeader(bytes, offset)
                var (crc, size) = (CRC32(), 0)
                let end: Int
                do {
                    end = try Inflater.inflate(bytes, from: start) { piece in
                        crc.update(piece)
                        size += piece.count
                        total += piece.count
                        guard total <= limit else {
                            throw FormatError.badValue(
                                file: path, key: "unpacked size", found: "more than \(limit) bytes",
                                expected: "fewer; unpack it by hand if it is meant to be so large")
                        }
                        try put(piece, descriptor, path)
                    }
                } catch let fault as InflateFault {
                    throw formatError(fault)
                }
                offset = try checkTrailer(bytes, end, crc: crc.value, size: size)
                // Tape drives fill up with zeros.
                while offset < count, bytes.byte(offset) == 0 { offset += 1 }
            } while offset < count
        }
        return try MappedFile(descriptor: descriptor, path: path)
    }

    private func formatError(_ fault: InflateFault) -> FormatError {
        guard let found = fault.found else {
            return .truncated(
                file: path, what: "compressed data", offset: fault.offset, needed: 1, have: 0)
        }
        return .badValue(
            file: path, key: "compressed data at byte \(fault.offset)", found: found,
            expected: fault.expected + "; is the file damaged?")
    }

    /// Checks a member's header; returns where its data starts.
    private func gzipHeader(_ bytes: RawSpan, _ start: Int) throws(FormatError) -> Int {
        var reader = ByteReader(file: path, offset: start)
        let magic = try reader.integer(UInt16.self, "a gzip header", in: bytes)
        let method = try reader.integer(UInt8.self, "a gzip header", in: bytes)
        guard magic == 0x8B1F, method == 8 else {
            throw .badMagic(
                file: path,
                found:
                    "0x\(String(magic.byteSwapped, radix: 16)) at byte \(start), method \(method)",
                expected: "gzip data, 0x1f8b with method 8")
        }
        let flags = try reader.integer(UInt8.self, "a gzip header", in: bytes)
        guard flags & 0xE0 == 0 else {
            throw .badValue(
                file: path, key: "gzip flags", found: "\(flags)", expected: "known ones, up to 31")
        }
        // Time, compression level and system do not matter.
        _ = try reader.integer(UInt32.self, "a gzip header", in: bytes)
        _ = try reader.integer(UInt16.self, "a gzip header", in: bytes)
        if flags & 4 != 0 {
            let length = try reader.integer(UInt16.self, "a gzip extra field", in: bytes)
            let count = try reader.checkedCount(
                UInt64(length), of: 1, "a gzip extra field", in: bytes)
            reader.offset += count
        }
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            while try reader.integer(UInt8.self, "a name in a gzip header", in: bytes) != 0 {}
        }
        if flags & 2 != 0 { _ = try reader.integer(UInt16.self, "a gzip header", in: bytes) }
        return reader.offset
    }

    private func checkTrailer(
        _ bytes: RawSpan, _ end: Int, crc: UInt32, size: Int
    ) throws(FormatError) -> Int {
        var reader = ByteReader(file: path, offset: end)
        let wantedCRC = try reader.integer(UInt32.self, "a gzip check sum", in: bytes)
        let wantedSize = try reader.integer(UInt32.self, "a gzip size", in: bytes)
        guard crc == wantedCRC else {
            throw .badValue(
                file: path, key: "gzip check sum", found: String(crc, radix: 16),
                expected: String(wantedCRC, radix: 16) + "; is the file damaged?")
        }
        guard UInt32(truncatingIfNeeded: size) == wantedSize else {
            throw .badValue(
                file: path, key: "gzip size", found: "\(size) bytes", expected: "\(wantedSize)")
        }
        return reader.offset
    }
}

/// The check sum of RFC 1952, eight bytes at a time.
///
/// Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based CRC
/// Generators", ISCC 2005.
struct CRC32 {
    private var state: UInt32 = .max

    var value: UInt32 { ~state }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var crc = state
        var index = 0
        Self.tables.withUnsafeBufferPointer { tables in
            while index + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                let mixed = UInt64(littleEndian: word) ^ UInt64(crc)
                crc = 0
                for byte in 0..<8 {
                    crc ^= tables[(7 - byte) << 8 | Int(mixed >> UInt64(8 * byte) & 0xFF)]
                }
                index += 8
            }
            while index < bytes.count {
                crc = tables[Int((crc ^ UInt32(bytes[index])) & 0xFF)] ^ crc >> 8
                index += 1
            }
        }
        state = crc
    }

    /// Row `n` advances a byte over `n` further zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
            tables[byte] = crc
        }
        for index in 256..<tables.count {
            let previous = tables[index - 256]
            tables[index] = tables[Int(previous & 0xFF)] ^ previous >> 8
        }
        return tables
    }()
}

/// A new file without a name, in `TMPDIR` or on the disk that outlives a restart.
private func openNameless(for path: String) throws(FormatError) -> Int32 {
    let given = getenv("TMPDIR").map { String(cString: $0) }
    var reason = ""
    // /tmp is often memory; unpacked data should not be.
    for folder in [given, "/var/tmp", "/tmp"].compactMap({ $0 }) where !folder.isEmpty {
        var template = Array((folder + "/yuyan-unpacked-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        if descriptor >= 0 {
            unlink(&template)
            return descriptor
        }
        reason = "\(folder): \(systemMessage(errno))"
    }
    throw .cannotWrite(file: path, reason: "no room to unpack it: \(reason); set TMPDIR")
}

private func put(
    _ bytes: UnsafeRawBufferPointer, _ descriptor: Int32, _ path: String
) throws(FormatError) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let part = UnsafeRawBufferPointer(rebasing: rest)
        let written = write(descriptor, part.baseAddress, part.count)
        if written < 0 {
            if errno == EINTR { continue }
            throw .cannotWrite(
                file: path, reason: "unpacking it into TMPDIR: \(systemMessage(errno))")
        }
        rest = rest.dropFirst(written)
    }
}
