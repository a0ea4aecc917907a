/// Finds a marker in text that arrives in pieces; its bytes are ASCII.
///
/// What precedes a marker is given out as soon as it cannot be the marker's beginning, and cut
/// only before ASCII, so that characters stay whole.
struct MarkerFinder: Sendable {
    let marker: [UInt8]
    private var pending: [UInt8] = []

    init(_ marker: String) { self.marker = Array(marker.utf8) }

    /// Takes a piece: what certainly precedes the marker, and what follows it if it was found.
    mutating func push(_ piece: some Sequence<UInt8>) -> (before: [UInt8], after: [UInt8]?) {
        pending += piece
        var start = 0
        while start < pending.count {
            var length = 0
            while length < marker.count, start + length < pending.count,
                pending[start + length] == marker[length]
            {
                length += 1
            }
            if length == marker.count {
                let before = Array(pending[..<start])
                let after = Array(pending[(start + length)...])
                pending.removeAll()
                return (before, after)
            }
            if start + length == pending.count { break }
            start += 1
        }
        let before = Array(pending[..<start])
        pending.removeFirst(start)
        return (before, nil)
    }

    /// What was held back.
    mutating func finish() -> [UInt8] {
        defer { pending.removeAll() }
        return pending
    }
}

extension UInt8 {
    /// Whether JSON counts the byte as white space.
    var isSpace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}
