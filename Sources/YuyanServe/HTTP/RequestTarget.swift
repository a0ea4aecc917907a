/// The target of a request line: its path, decoded, and its query, as it is.
struct RequestTarget: Hashable {
    let path: String
    let query: String

    /// Reads `/path?query`, `http://host/path?query` or `*`; nil if it is none of them or not UTF-8.
    init?(_ uri: String) {
        var rest = uri[...]
        if rest == "*" {
            path = "*"
            query = ""
            return
        }
        if let scheme = rest.firstRange(of: "://"), !rest.hasPrefix("/") {
            let afterHost = rest[scheme.upperBound...]
            rest = afterHost.firstIndex(of: "/").map { afterHost[$0...] } ?? "/"
        }
        guard rest.hasPrefix("/") else { return nil }
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let decoded = Self.decoded(parts[0]) else { return nil }
        path = decoded
        query = parts.count > 1 ? String(parts[1]) : ""
    }

    /// Replaces `%41` by the byte it names; nil for half an escape, NUL or what is not UTF-8.
    private static func decoded(_ text: Substring) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(hexDigit), let low = rest.next().flatMap(hexDigit),
                high << 4 | low != 0
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// The id that names a request in logs and answers.
enum RequestID {
    /// The client's own id if it is harmless, otherwise a new one.
    static func make(from header: String?) -> String {
        if let header, (1...128).contains(header.utf8.count),
            header.utf8.allSatisfy(isHarmless)
        {
            return header
        }
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return "req-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func isHarmless(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "."), UInt8(ascii: ":"):
            true
        default: false
        }
    }
}
