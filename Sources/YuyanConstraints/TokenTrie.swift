/// The bytes of many tokens as a tree, stored in depth-first order.
///
/// Node `i` is followed by its subtree, which ends before `ends[i]`: a walk that meets a byte that
/// cannot follow jumps there. Node 0 is the root.
struct TokenTrie: Sendable {
    private(set) var bytes: [UInt8] = [0]
    private(set) var depths: [Int32] = [0]
    private(set) var ends: [Int32] = []
    /// Tokens of node `i` are `tokens[tokenStarts[i]..<tokenStarts[i + 1]]`.
    private(set) var tokenStarts: [Int32] = [0]
    private(set) var tokens: [Int32] = []
    /// The length of the longest token in bytes.
    private(set) var depth = 0
    /// The root's child for each byte, or -1.
    private var first = [Int32](repeating: -1, count: 256)

    /// - Parameters:
    ///   - texts: The bytes of all tokens.
    ///   - chosen: The tokens to put in; none of them is empty.
    init(texts: [[UInt8]?], chosen: [Int32]) {
        var order: [(prefix: UInt64, token: Int32)] = chosen.map { token in
            var prefix: UInt64 = 0
            let text = texts[Int(token)] ?? []
            for index in 0..<8 {
                prefix = prefix << 8 | (index < text.count ? UInt64(text[index]) : 0)
            }
            return (prefix, token)
        }
        order.sort { left, right in
            if left.prefix != right.prefix { return left.prefix < right.prefix }
            let a = texts[Int(left.token)] ?? []
            let b = texts[Int(right.token)] ?? []
            if a == b { return left.token < right.token }
            return a.lexicographicallyPrecedes(b)
        }
        var path: [Int] = [0]
        var previous: [UInt8] = []
        var nodeTokens: [(node: Int, token: Int32)] = []
        ends = [0]
        for (_, token) in order {
            let text = texts[Int(token)] ?? []
            var common = 0
            while common < text.count, common < previous.count, text[common] == previous[common] {
                common += 1
            }
            while path.count > common + 1 { ends[path.removeLast()] = Int32(bytes.count) }
            for byte in text[common...] {
                if path.count == 1 { first[Int(byte)] = Int32(bytes.count) }
                path.append(bytes.count)
                depths.append(Int32(path.count - 1))
                bytes.append(byte)
                ends.append(0)
            }
            depth = max(depth, text.count)
            nodeTokens.append((path[path.count - 1], token))
            previous = text
        }
        for node in path { ends[node] = Int32(bytes.count) }
        // Nodes got their numbers in the same order as their tokens.
        tokenStarts = [Int32](repeating: 0, count: bytes.count + 1)
        for (node, _) in nodeTokens { tokenStarts[node + 1] += 1 }
        for node in 0..<bytes.count { tokenStarts[node + 1] += tokenStarts[node] }
        tokens = nodeTokens.map(\.token)
    }

    /// The child of a node for a byte, or `nil`.
    func child(of node: Int, _ byte: UInt8) -> Int? {
        if node == 0 { return first[Int(byte)] < 0 ? nil : Int(first[Int(byte)]) }
        var next = node + 1
        let end = Int(ends[node])
        while next < end {
            if bytes[next] == byte { return next }
            next = Int(ends[next])
        }
        return nil
    }

    /// Whether some token ends at a node.
    func hasToken(_ node: Int) -> Bool { tokenStarts[node] < tokenStarts[node + 1] }
}
