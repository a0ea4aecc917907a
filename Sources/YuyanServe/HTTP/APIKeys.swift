/// The keys that open a server, compared without telling by the time taken how close a guess was.
struct APIKeys: Sendable {
    private let keys: [[UInt8]]

    init(_ keys: [String]) { self.keys = keys.map { Array($0.utf8) } }

    /// Whether everybody is let in.
    var isOpen: Bool { keys.isEmpty }

    /// The number of the key that equals `candidate`, or nil.
    ///
    /// The time depends on the length of `candidate` and on the number of keys alone: every byte of
    /// the candidate is compared with some byte of every key.
    func index(of candidate: String) -> Int? {
        let guess = Array(candidate.utf8)
        var found = -1
        for (number, key) in keys.enumerated() {
            var difference = UInt(bitPattern: key.count ^ guess.count)
            if !key.isEmpty {
                var place = 0
                for byte in guess {
                    difference |= UInt(byte ^ key[place])
                    place += 1
                    if place == key.count { place = 0 }
                }
            }
            let equal = difference == 0 && !guess.isEmpty
            found = equal ? number : found
        }
        return found < 0 ? nil : found
    }

    /// The key that a request shows: a bearer token, or Anthropic's header.
    static func candidate(in headers: [(name: String, value: String)]) -> String? {
        for (name, value) in headers {
            if name == "authorization" {
                let parts = value.split(separator: " ", maxSplits: 1)
                if parts.count == 2, parts[0].lowercased() == "bearer" { return String(parts[1]) }
            } else if name == "x-api-key" {
                return value
            }
        }
        return nil
    }
}
