// Walks over hundreds of thousands of strings, for vocabularies. They hand out places in one span
// instead of spans, cursors or text, so that the reader's loop is free of calls and of reference
// counting, and may read whole words that reach past a string's end.

extension JSONCursor {
    /// Calls `body` with the place of each key and its value, in the order of the text.
    ///
    /// - Parameter body: Receives bytes that are valid until it returns, and where in them the key
    ///   is; escapes are decoded.
    /// - Precondition: This is an object.
    @inlinable
    package func forEachEntryPlace<E: Error>(
        _ body: (_ bytes: RawSpan, _ key: Range<Int>, _ value: JSONCursor) throws(E) -> Void
    ) throws(E) {
        precondition(kind == .object, "\(tape.file.path): \(kind) has no entries")
        try tape.withText { (text: RawSpan) throws(E) in
            let nodes = tape.nodes
            var scratch: [UInt8] = []
            var position = index + 1
            for _ in 0..<node.count {
                let key = nodes[position]
                let value = JSONCursor(tape: tape, index: position + 1)
                if key.tag == .escapedString {
                    JSONEscape.decode(text, key.textRange, into: &scratch)
                    try body(scratch.span.bytes, 0..<scratch.count, value)
                } else {
                    try body(text, key.textRange, value)
                }
                position = nodes[position + 1].next(after: position + 1)
            }
        }
    }

    /// Calls `body` with the places of each element's text: a string, or an array of two.
    ///
    /// - Parameter body: Receives bytes that are valid until it returns, and where in them the
    ///   strings are; escapes are decoded. `second` is nil for a single string.
    /// - Returns: The number of elements visited; the next, if there is one, is something else.
    /// - Precondition: This is an array.
    @inlinable
    package func forEachStringOrPairPlace<E: Error>(
        _ body: (_ bytes: RawSpan, _ first: Range<Int>, _ second: Range<Int>?) throws(E) -> Void
    ) throws(E) -> Int {
        precondition(kind == .array, "\(tape.file.path): \(kind) has no elements")
        return try tape.withText { (text: RawSpan) throws(E) in
            let nodes = tape.nodes
            var (scratch, other): ([UInt8], [UInt8]) = ([], [])
            var position = index + 1
            for visited in 0..<node.count {
                let element = nodes[position]
                if element.kind == .string {
                    position += 1
                    if element.tag == .escapedString {
                        JSONEscape.decode(text, element.textRange, into: &scratch)
                        try body(scratch.span.bytes, 0..<scratch.count, nil)
                    } else {
                        try body(text, element.textRange, nil)
                    }
                    continue
                }
                guard element.tag == .array, element.count == 2,
                    nodes[position + 1].kind == .string, nodes[position + 2].kind == .string
                else { return visited }
                let (first, second) = (nodes[position + 1], nodes[position + 2])
                position += 3
                if first.tag == .escapedString || second.tag == .escapedString {
                    JSONEscape.decode(text, first.textRange, into: &scratch)
                    JSONEscape.decode(text, second.textRange, into: &other)
                    let middle = scratch.count
                    scratch += other
                    try body(scratch.span.bytes, 0..<middle, middle..<scratch.count)
                } else {
                    try body(text, first.textRange, second.textRange)
                }
            }
            return node.count
        }
    }
}

extension GGUFArray {
    /// Calls `body` with the place of every string in order; the bytes need not be UTF-8.
    ///
    /// - Parameter body: Receives the whole file, and where in it the string is.
    /// - Precondition: The elements are strings; `GGUFFile.array(_:of:)` checks that.
    @inlinable
    package func forEachStringPlace<E: Error>(
        _ body: (_ bytes: RawSpan, _ place: Range<Int>) throws(E) -> Void
    ) throws(E) {
        precondition(elementType == .string, "'\(key)' is an array of \(elementType)")
        try file.withBytes { (bytes: RawSpan) throws(E) in
            var offset = byteRange.lowerBound
            for _ in 0..<count {
                let length = Int(bytes.littleEndian(UInt64.self, at: offset))
                let start = offset + 8
                offset = start + length
                try body(bytes, start..<offset)
            }
        }
    }
}
