import TestSupport
import Testing
import YuyanFormats

@Suite("JSON speed", .serialized)
struct JSONSpeedTests {
    @Test("a tokenizer of 150 000 entries is parsed and walked in tens of milliseconds")
    func tokenizer() throws {
        let (bytes, tokens) = tokenizerText()
        let clock = ContinuousClock()
        var (parsing, walking) = (Duration.seconds(9), Duration.seconds(9))
        for _ in 0..<5 {
            var start = clock.now
            let root = try JSONDocument(bytes: bytes, name: "tokenizer.json").root
            parsing = min(parsing, clock.now - start)
            start = clock.now
            var (keys, sum, pieces) = (0, 0, 0)
            let model = try root.value("model")
            try model.object("vocab").forEachEntry { key, value in
                keys += key.byteCount
                sum += value.int ?? 0
            }
            var scratch: [UInt8] = []
            for pair in try model.array("merges") {
                guard let pair = pair.array else { continue }
                for piece in pair {
                    pieces += piece.withStringBytes(&scratch) { $0.byteCount } ?? 0
                }
            }
            walking = min(walking, clock.now - start)
            #expect(keys > tokens && sum == tokens * (tokens - 1) / 2 && pieces > tokens)
        }
        // Measured 38 ms and 15 ms on one busy core; the slack is for slower ones.
        #expect(parsing < .milliseconds(500), "\(bytes.count) bytes parsed in \(parsing)")
        #expect(walking < .milliseconds(500), "walked in \(walking)")
    }

    /// A text in the layout of the tokenizers package: indented, merges as pairs.
    private func tokenizerText() -> (bytes: [UInt8], tokens: Int) {
        let tokens = 150_000
        var random = SeededGenerator(seed: 5)
        func piece() -> String {
            (Bool.random(using: &random) ? "Ġ" : "") + String(random.next() >> 36, radix: 36)
        }
        var text = "{\n  \"model\": {\n    \"vocab\": {"
        for id in 0..<tokens {
            text += (id > 0 ? "," : "") + "\n      \"\(piece())\(id % 10)\": \(id)"
        }
        text += "\n    },\n    \"merges\": ["
        for index in 0..<tokens {
            text += (index > 0 ? "," : "")
            text += "\n      [\n        \"\(piece())\",\n        \"\(piece())\"\n      ]"
        }
        text += "\n    ]\n  }\n}\n"
        return (Array(text.utf8), tokens)
    }
}
