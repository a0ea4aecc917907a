/// The texts of a tokenizer's special tokens, so that a client's text never becomes one.
///
/// A user who writes `<|im_end|>` must not end the turn. What clients wrote gets a mark before
/// every special text in it; the rendered conversation is then cut at the special texts that have
/// none, which the template wrote, and what lies between is encoded as plain text.
package struct SpecialTexts: Sendable {
    private struct Entry {
        var bytes: [UInt8]
        var id: Int32
    }

    /// By first byte, the longest first.
    private let entries: [[Entry]]
    private let ids: Set<Int32>

    package init(_ tokenizer: Tokenizer) {
        var entries = [[Entry]](repeating: [], count: 256)
        var ids: Set<Int32> = []
        for id in 0..<Int32(tokenizer.vocabularySize) where tokenizer.isSpecial(id) {
            let bytes = tokenizer.bytes(of: id)
            guard let first = bytes.first else { continue }
            entries[Int(first)].append(Entry(bytes: bytes, id: id))
            ids.insert(id)
        }
        for index in entries.indices { entries[index].sort { $0.bytes.count > $1.bytes.count } }
        self.entries = entries
        self.ids = ids
    }

    /// Whether a special token's text occurs in a text.
    package func occur(in text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            bytes.indices.contains { longest(at: $0, bytes) != nil }
        }
    }

    /// The text with a mark before every special text in it, overlapping ones too.
    package func marked(_ text: String, by mark: Unicode.Scalar) -> String {
        var text = text
        let result = text.withUTF8 { bytes in
            var result: [UInt8] = []
            for (index, byte) in bytes.enumerated() {
                if longest(at: index, bytes) != nil { result += Array(String(mark).utf8) }
                result.append(byte)
            }
            return result
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The ids of a rendered conversation in which what clients wrote is marked.
    ///
    /// - Parameter mark: The mark, which occurs nowhere else; nil if nothing had to be marked.
    package func encode(
        _ rendered: String, mark: Unicode.Scalar?, with tokenizer: Tokenizer
    ) -> [Int32] {
        guard let mark else {
            let ids = tokenizer.encode(rendered, parseSpecial: true, addSpecial: false)
            // A normal form may hold a special text that the text as given does not.
            if ids.count(where: { self.ids.contains($0) }) == count(in: rendered) { return ids }
            return encode(rendered, markBytes: [], with: tokenizer)
        }
        return encode(rendered, markBytes: Array(String(mark).utf8), with: tokenizer)
    }

    private func encode(
        _ rendered: String, markBytes: [UInt8], with tokenizer: Tokenizer
    ) -> [Int32] {
        var rendered = rendered
        var ids: [Int32] = []
        var plain: [UInt8] = []
        func flush() {
            guard !plain.isEmpty else { return }
            let text = String(decoding: plain, as: UTF8.self)
            tokenizer.encode(text, parseSpecial: false, addSpecial: false, into: &ids)
            plain.removeAll(keepingCapacity: true)
        }
        rendered.withUTF8 { bytes in
            var index = 0
            while index < bytes.count {
                if !markBytes.isEmpty, starts(bytes, at: index, with: markBytes) {
                    index += markBytes.count
                    if index < bytes.count { plain.append(bytes[index]) }
                    index += 1
                } else if let found = longest(at: index, bytes) {
                    flush()
                    ids.append(found.id)
                    index += found.bytes.count
                } else {
                    plain.append(bytes[index])
                    index += 1
                }
            }
        }
        flush()
        return ids
    }

    private func count(in text: String) -> Int {
        var text = text
        return text.withUTF8 { bytes in
            var count = 0
            var index = 0
            while index < bytes.count {
                let found = longest(at: index, bytes)
                if found != nil { count += 1 }
                index += found?.bytes.count ?? 1
            }
            return count
        }
    }

    /// A special text that no client wrote, and where it is.
    struct Occurrence {
        var id: Int32
        /// Offsets in the rendering without marks.
        var bytes: Range<Int>
    }

    /// The bytes of a rendering without marks, the special texts of the template in it, and the
    /// offsets of the marks in the rendering with marks.
    func parts(
        of text: MarkedText
    ) -> (bytes: [UInt8], special: [Occurrence], marks: [Int]) {
        let markBytes = text.mark.map { Array(String($0).utf8) } ?? []
        var marked = text.marked
        var (plain, found, marks): ([UInt8], [Occurrence], [Int]) = ([], [], [])
        marked.withUTF8 { bytes in
            plain.reserveCapacity(bytes.count)
            var index = 0
            while index < bytes.count {
                if !markBytes.isEmpty, starts(bytes, at: index, with: markBytes) {
                    marks.append(index)
                    index += markBytes.count
                    if index < bytes.count { plain.append(bytes[index]) }
                    index += 1
                } else if let entry = longest(at: index, bytes) {
                    let start = plain.count
                    plain += entry.bytes
                    found.append(Occurrence(id: entry.id, bytes: start..<plain.count))
                    index += entry.bytes.count
                } else {
                    plain.append(bytes[index])
                    index += 1
                }
            }
        }
        return (plain, found, marks)
    }

    /// Whether an id is that of a special token.
    func contains(_ id: Int32) -> Bool { ids.contains(id) }

    private func longest(at index: Int, _ bytes: UnsafeBufferPointer<UInt8>) -> Entry? {
        let candidates = entries[Int(bytes[index])]
        if candidates.isEmpty { return nil }
        return candidates.first { starts(bytes, at: index, with: $0.bytes) }
    }

    private func starts(
        _ bytes: UnsafeBufferPointer<UInt8>, at index: Int, with text: [UInt8]
    ) -> Bool {
        guard index + text.count <= bytes.count else { return false }
        for offset in text.indices where bytes[index + offset] != text[offset] { return false }
        return true
    }
}
