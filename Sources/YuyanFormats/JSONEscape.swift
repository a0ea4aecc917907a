/// Backslash sequences in JSON strings.
@usableFromInline
enum JSONEscape {
    /// Checks the escape whose backslash is at `start`; returns what follows it.
    static func check(_ bytes: borrowing RawSpan, at start: Int) throws(JSONFault) -> Int {
        guard start + 1 < bytes.byteCount else {
            throw JSONFault("the text ends inside a string", at: bytes.byteCount)
        }
        let letter = bytes.byte(start + 1)
        guard letter == UInt8(ascii: "u") else {
            guard character(letter) != nil else {
                throw JSONFault("an unknown escape", at: start)
            }
            return start + 2
        }
        let unit = try checkedUnit(bytes, at: start)
        switch unit {
        case 0xD800..<0xDC00:
            let next = start + 6
            guard next + 1 < bytes.byteCount, bytes.byte(next) == UInt8(ascii: "\\"),
                bytes.byte(next + 1) == UInt8(ascii: "u"),
                (0xDC00..<0xE000).contains(try checkedUnit(bytes, at: next))
            else { throw JSONFault("half of a surrogate pair", at: start) }
            return next + 6
        case 0xDC00..<0xE000:
            throw JSONFault("half of a surrogate pair", at: start)
        default:
            return start + 6
        }
    }

    /// Replaces `output` by the text in `range`, whose escapes were checked.
    @usableFromInline
    static func decode(_ bytes: borrowing RawSpan, _ range: Range<Int>, into output: inout [UInt8])
    {
        output.removeAll(keepingCapacity: true)
        var position = range.lowerBound
        while position < range.upperBound {
            let byte = bytes.byte(position)
            guard byte == UInt8(ascii: "\\") else {
                output.append(byte)
                position += 1
                continue
            }
            if let character = character(bytes.byte(position + 1)) {
                output.append(character)
                position += 2
                continue
            }
            var code = unit(bytes, at: position)
            position += 6
            if code & 0xFC00 == 0xD800 {
                code = 0x10000 + (code & 0x3FF) << 10 + unit(bytes, at: position) & 0x3FF
                position += 6
            }
            appendScalar(code, to: &output)
        }
    }

    private static func appendScalar(_ code: UInt32, to output: inout [UInt8]) {
        func tail(_ shift: UInt32) -> UInt8 {
            UInt8(truncatingIfNeeded: 0x80 | code >> shift & 0x3F)
        }
        switch code {
        case 0..<0x80:
            output.append(UInt8(truncatingIfNeeded: code))
        case 0x80..<0x800:
            output.append(UInt8(truncatingIfNeeded: 0xC0 | code >> 6))
            output.append(tail(0))
        case 0x800..<0x10000:
            output.append(UInt8(truncatingIfNeeded: 0xE0 | code >> 12))
            output.append(tail(6))
            output.append(tail(0))
        default:
            output.append(UInt8(truncatingIfNeeded: 0xF0 | code >> 18))
            output.append(tail(12))
            output.append(tail(6))
            output.append(tail(0))
        }
    }

    /// What a one-letter escape stands for; `nil` for `u` and for letters that mean nothing.
    private static func character(_ letter: UInt8) -> UInt8? {
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): letter
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: nil
        }
    }

    private static func checkedUnit(
        _ bytes: borrowing RawSpan, at start: Int
    ) throws(JSONFault) -> UInt32 {
        guard start + 6 <= bytes.byteCount else {
            throw JSONFault("expected four hexadecimal digits", at: start)
        }
        for offset in start + 2..<start + 6 where hexDigit(bytes.byte(offset)) == nil {
            throw JSONFault("expected four hexadecimal digits", at: start)
        }
        return unit(bytes, at: start)
    }

    private static func unit(_ bytes: borrowing RawSpan, at start: Int) -> UInt32 {
        var value: UInt32 = 0
        for offset in start + 2..<start + 6 {
            value = value << 4 | UInt32(hexDigit(bytes.byte(offset)) ?? 0)
        }
        return value
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
