import Testing

@testable import YuyanEngine

@Suite("Stop strings")
struct StopMatcherTests {
    /// Cuts a whole text at the stop that is complete first, of several the longest.
    private func oracle(_ text: [UInt8], _ stops: [String]) -> (kept: [UInt8], stop: String?) {
        for end in 0...text.count {
            let found = stops.filter {
                !$0.isEmpty && text[..<end].suffix($0.utf8.count).elementsEqual($0.utf8)
            }
            if let stop = found.max(by: { $0.utf8.count < $1.utf8.count }) {
                return (Array(text[..<(end - stop.utf8.count)]), stop)
            }
        }
        return (text, nil)
    }

    @Test("cuts as a search of the whole text does, however the text is split")
    func agreesWithOracle() {
        var numbers = SeededNumbers(seed: 12)
        let alphabets = [["a", "b"], ["a", "b", "c"], ["é", "e\u{301}", "e", "😀", "\n", "\r\n"]]
        for round in 0..<3000 {
            let alphabet = alphabets[round % 3]
            func word(_ range: ClosedRange<Int>) -> String {
                (0..<Int.random(in: range, using: &numbers)).map { _ in
                    alphabet[Int.random(in: 0..<alphabet.count, using: &numbers)]
                }.joined()
            }
            let stops = (0..<Int.random(in: 0...4, using: &numbers)).map { _ in word(1...6) }
            let text = word(0...40)
            let expected = oracle(Array(text.utf8), stops)
            var matcher = StopMatcher(stops)
            var including = StopMatcher(stops, includeStop: true)
            var (shown, included): (String, String) = ("", "")
            var seen: [UInt8] = []
            var piece = String.UnicodeScalarView()
            let scalars = Array(text.unicodeScalars)
            for (index, scalar) in scalars.enumerated() {
                piece.append(scalar)
                guard index + 1 == scalars.count || Bool.random(using: &numbers) else { continue }
                seen += Array(String(piece).utf8)
                let release = matcher.push(String(piece))
                shown += release.text
                included += including.push(String(piece)).text
                piece.removeAll()
                guard matcher.match == nil else {
                    #expect(release.stop == nil || release.stop == matcher.match)
                    continue
                }
                #expect(release.stop == nil)
                // No more is held back than the longest end that could begin a stop string.
                let held = (0...seen.count).last { count in
                    stops.contains { Array($0.utf8).starts(with: seen.suffix(count)) }
                }
                #expect(shown.utf8.count == seen.count - (held ?? 0))
            }
            shown += matcher.finish()
            included += including.finish()
            #expect(Array(shown.utf8) == expected.kept, "\(text) \(stops)")
            #expect(matcher.match.map { Array($0.utf8) } == expected.stop.map { Array($0.utf8) })
            #expect(Array(included.utf8) == expected.kept + Array((expected.stop ?? "").utf8))
        }
    }

    @Test("compares scalars, not canonical equivalence")
    func scalars() {
        var matcher = StopMatcher(["\u{E9}"])
        #expect(matcher.push("cafe\u{301}!").text.utf8.elementsEqual("cafe\u{301}!".utf8))
        #expect(matcher.push("caf\u{E9}!") == .init(text: "caf", stop: "\u{E9}"))
        var feed = StopMatcher(["\n"])
        #expect(feed.push("a\r\nb") == .init(text: "a\r", stop: "\n"))
    }

    @Test("drops what follows a match and releases what was held at the end")
    func end() {
        var matcher = StopMatcher(["<end>"])
        #expect(matcher.push("one <e") == .init(text: "one ", stop: nil))
        #expect(matcher.push("n<en") == .init(text: "<en", stop: nil))
        #expect(matcher.finish() == "<en")
        #expect(matcher.finish() == "")
        var stopped = StopMatcher(["<end>"])
        #expect(stopped.push("x<end>y<end>") == .init(text: "x", stop: "<end>"))
        #expect(stopped.push("z") == .init(text: "", stop: nil))
        #expect(stopped.finish() == "")
        var none = StopMatcher([])
        #expect(none.push("anything") == .init(text: "anything", stop: nil))
    }
}
