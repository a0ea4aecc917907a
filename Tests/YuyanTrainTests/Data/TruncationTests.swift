import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Truncation")
struct TruncationTests {
    @Test("leaves as much of prompt and answer as LLaMA-Factory's function")
    func agreesWithReference() throws {
        let cases = try JSONDocument(path: Goldens.path("data/truncation.json")).root.array
        let rows = (cases.map(Array.init) ?? []).map {
            ($0.array.map(Array.init) ?? []).compactMap(\.int)
        }
        #expect(rows.count > 600)
        for row in rows {
            let (prompt, answer) = Truncation.lengths(row[0], row[1], limit: row[2])
            #expect([prompt, answer] == Array(row[3...]), "\(row)")
        }
    }

    @Test("never leaves more than the limit, and gives what is left to later turns")
    func turns() {
        let pairs = [
            Truncation.Pair(prompt: 0..<4, answer: 4..<8),
            Truncation.Pair(prompt: 8..<12, answer: 12..<20),
            Truncation.Pair(prompt: 20..<21, answer: 21..<22),
        ]
        for limit in 1...30 {
            for fromEnd in [false, true] {
                let kept = Truncation.kept(pairs, limit: limit, fromEnd: fromEnd)
                #expect(kept.reduce(0) { $0 + $1.count } <= limit)
                #expect(kept.map(\.lowerBound) == kept.map(\.lowerBound).sorted())
            }
        }
        #expect(Truncation.kept(pairs, limit: 8, fromEnd: false) == [0..<4, 4..<8])
        #expect(Truncation.kept(pairs, limit: 2, fromEnd: true) == [20..<21, 21..<22])
        #expect(
            Truncation.kept(pairs, limit: 22, fromEnd: false).reduce(0) { $0 + $1.count } == 22)
    }
}
