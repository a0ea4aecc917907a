/// A position in a file's bytes that advances over checked little-endian reads.
struct ByteReader {
    /// For error messages.
    let file: String
    /// The next byte to be read.
    var offset: Int

    init(file: String, offset: Int = 0) {
        self.file = file
        self.offset = offset
    }

    /// Reads one integer or throws `.truncated`.
    @inline(__always)
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type, _ what: StaticString, in bytes: borrowing RawSpan
    ) throws(FormatError) -> T {
        let size = MemoryLayout<T>.size
        guard size <= bytes.byteCount - offset else {
            throw truncated("\(what)", UInt64(size), bytes.byteCount)
        }
        defer { offset += size }
        return bytes.littleEndian(type, at: offset)
    }

    /// Checks that `count` items of at least `size` bytes can follow, before any loop over them.
    @inline(__always)
    func checkedCount(
        _ count: UInt64, of size: Int, _ what: StaticString, in bytes: borrowing RawSpan
    ) throws(FormatError) -> Int {
        let have = bytes.byteCount - offset
        guard count <= UInt64(have / size) else {
            let (needed, overflow) = count.multipliedReportingOverflow(by: UInt64(size))
            throw truncated("\(what)", overflow ? .max : needed, bytes.byteCount)
        }
        return Int(count)
    }

    /// Reads a length of 64 bits and steps over as many bytes, returning where they are.
    @inline(__always)
    mutating func string(
        _ what: StaticString, in bytes: borrowing RawSpan
    ) throws(FormatError) -> Range<Int> {
        let length = try integer(UInt64.self, what, in: bytes)
        let count = try checkedCount(length, of: 1, what, in: bytes)
        let start = offset
        offset += count
        return start..<offset
    }

    private func truncated(_ what: String, _ needed: UInt64, _ count: Int) -> FormatError {
        .truncated(file: file, what: what, offset: offset, needed: needed, have: count - offset)
    }
}

extension RawSpan {
    /// The byte at `offset`, which must be inside.
    @inlinable @inline(__always)
    func byte(_ offset: Int) -> UInt8 {
        unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }

    /// The little-endian integer at `offset`, which must be inside; any alignment.
    @inlinable @inline(__always)
    func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
        T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: type))
    }

    /// The bytes in `range` as text, or `nil` if they are not valid UTF-8.
    func text(in range: Range<Int>) -> String? {
        extracting(range).withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    }
}
