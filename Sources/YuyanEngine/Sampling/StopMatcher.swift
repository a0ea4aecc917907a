/// Finds stop strings in text that arrives in pieces, and says what may be shown already.
///
/// Holds back the longest end of the text that could begin a stop string, and no more. The first
/// stop string to be complete wins; of several that end at the same place, the longest. The result
/// does not depend on how the text was cut into pieces. Comparison is of Unicode scalars, never
/// of canonically equivalent forms: "é" written with one scalar does not match it with two.
///
/// The automaton of Aho and Corasick, "Efficient string matching", CACM 18 (1975), over UTF-8.
///
/// - Complexity: O(1) amortised for each byte, whatever the number of stop strings.
public struct StopMatcher: Sendable {
    /// What one piece of text released.
    public struct Release: Hashable, Sendable {
        /// Text that is certainly before any stop string.
        public var text: String
        /// The stop string that was found, if one was; nothing follows it.
        public var stop: String?
    }

    private struct Node: Sendable {
        var children: [(byte: UInt8, node: Int32)] = []
        /// The node of the longest proper suffix that is a prefix of some stop string.
        var fallback: Int32 = 0
        var depth = 0
        /// The longest stop string that ends here.
        var match: Int32 = -1
    }

    /// The stop string that was found, if one was.
    public private(set) var match: String?
    private let stops: [String]
    private let includeStop: Bool
    private var nodes = [Node()]
    private var state: Int32 = 0
    /// Bytes read and not yet released: the path from the root to `state`.
    private var pending: [UInt8] = []

    /// Makes a matcher for one text; empty strings are ignored.
    public init(_ stops: [String], includeStop: Bool = false) {
        self.stops = stops
        self.includeStop = includeStop
        for (index, stop) in stops.enumerated() where !stop.isEmpty { insert(stop, index) }
        linkFallbacks()
    }

    /// Takes the next piece and returns what can be shown.
    ///
    /// After a match the rest of the piece, and all later pieces, are dropped.
    public mutating func push(_ piece: String) -> Release {
        guard match == nil, !piece.isEmpty else { return Release(text: "", stop: nil) }
        guard nodes.count > 1 else { return Release(text: piece, stop: nil) }
        for byte in piece.utf8 {
            pending.append(byte)
            state = next(state, byte)
            let found = nodes[Int(state)].match
            if found >= 0 {
                let stop = stops[Int(found)]
                match = stop
                let kept = includeStop ? pending.count : pending.count - stop.utf8.count
                return Release(text: release(kept), stop: stop)
            }
        }
        return Release(text: release(pending.count - nodes[Int(state)].depth), stop: nil)
    }

    /// Ends the text and returns what was held back; empty after a match.
    public mutating func finish() -> String {
        state = 0
        return match == nil ? release(pending.count) : ""
    }

    /// Removes `count` bytes from the front of `pending`; a match starts at a scalar boundary, so
    /// the cut never splits one.
    private mutating func release(_ count: Int) -> String {
        let text = String(decoding: pending[..<count], as: UTF8.self)
        pending.removeFirst(count)
        return text
    }

    private func child(_ node: Int32, _ byte: UInt8) -> Int32? {
        for child in nodes[Int(node)].children where child.byte == byte { return child.node }
        return nil
    }

    private func next(_ state: Int32, _ byte: UInt8) -> Int32 {
        var state = state
        while true {
            if let node = child(state, byte) { return node }
            if state == 0 { return 0 }
            state = nodes[Int(state)].fallback
        }
    }

    private mutating func insert(_ stop: String, _ index: Int) {
        var node: Int32 = 0
        for byte in stop.utf8 {
            if let known = child(node, byte) {
                node = known
            } else {
                nodes.append(Node(depth: nodes[Int(node)].depth + 1))
                nodes[Int(node)].children.append((byte, Int32(nodes.count - 1)))
                node = Int32(nodes.count - 1)
            }
        }
        if nodes[Int(node)].match < 0 { nodes[Int(node)].match = Int32(index) }
    }

    /// Breadth first, so that the fallback of a node is complete before its children need it.
    private mutating func linkFallbacks() {
        var queue: [Int32] = [0]
        var head = 0
        while head < queue.count {
            let parent = queue[head]
            head += 1
            for (byte, node) in nodes[Int(parent)].children {
                let fallback = parent == 0 ? 0 : next(nodes[Int(parent)].fallback, byte)
                nodes[Int(node)].fallback = fallback
                if nodes[Int(node)].match < 0 {
                    nodes[Int(node)].match = nodes[Int(fallback)].match
                }
                queue.append(node)
            }
        }
    }
}
