/// Where a completion states its final answer.
package enum AnswerPlace: String, CaseIterable, Sendable {
    /// In the first of the places below that the completion has.
    case anywhere = "any"
    /// In the last `\boxed{…}`.
    case boxed
    /// In the last `<answer>…</answer>`.
    case tag
    /// Behind the last `####`, to the end of the line.
    case hash
    /// Anywhere: whatever is said last.
    case last

    /// What stands there; nil if the completion has no such place.
    ///
    /// Whole bytes of UTF-8, so no Unicode is normalised. An opening without its end is no place.
    func content(of text: String) -> Content? {
        let bytes = Array(text.utf8)
        switch self {
        case .boxed: return Self.boxed(bytes).map { .stated($0) }
        case .tag: return Self.tagged(bytes).map { .stated($0) }
        case .hash: return Self.hashed(bytes).map { .stated($0) }
        case .last: return .free(bytes[...])
        case .anywhere:
            let stated = Self.boxed(bytes) ?? Self.tagged(bytes) ?? Self.hashed(bytes)
            return stated.map { .stated($0) } ?? .free(bytes[...])
        }
    }

    /// A part of a completion.
    enum Content {
        /// Marked as the answer, so it should be nothing else.
        case stated(ArraySlice<UInt8>)
        /// The whole text.
        case free(ArraySlice<UInt8>)
    }

    private static func boxed(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        let opening = Array("\\boxed{".utf8)
        guard let start = lastRange(of: opening, in: bytes[...])?.upperBound else { return nil }
        var depth = 1
        for index in start..<bytes.count {
            if bytes[index] == UInt8(ascii: "{") { depth += 1 }
            if bytes[index] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0 { return bytes[start..<index] }
            }
        }
        return nil
    }

    private static func tagged(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        guard let end = lastRange(of: Array("</answer>".utf8), in: bytes[...]),
            let start = lastRange(of: Array("<answer>".utf8), in: bytes[..<end.lowerBound])
        else { return nil }
        return bytes[start.upperBound..<end.lowerBound]
    }

    private static func hashed(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        guard let start = lastRange(of: Array("####".utf8), in: bytes[...])?.upperBound else {
            return nil
        }
        return bytes[start...].prefix { $0 != 0x0A }
    }

    /// The last place of a short text, in one pass from the end.
    private static func lastRange(of text: [UInt8], in bytes: ArraySlice<UInt8>) -> Range<Int>? {
        guard let first = text.first, bytes.count >= text.count else { return nil }
        var index = bytes.endIndex - text.count
        while index >= bytes.startIndex {
            if bytes[index] == first, bytes[index..<index + text.count].elementsEqual(text) {
                return index..<index + text.count
            }
            index -= 1
        }
        return nil
    }
}

extension AnswerPlace: RecipeChoice {}
