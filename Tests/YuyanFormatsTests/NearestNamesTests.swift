import Testing
import YuyanFormats

@Suite("Nearest names")
struct NearestNamesTests {
    @Test("come nearest first, ties in the order given")
    func order() {
        let names = [
            "blk.0.attn_k.weight", "blk.0.attn_q.weight", "output.weight", "blk.0.attn_q.bias",
        ]
        #expect(
            nearestNames(to: "blk.0.attn_v.weight", in: names, limit: 2)
                == ["blk.0.attn_k.weight", "blk.0.attn_q.weight"])
        #expect(nearestNames(to: "outptu.weight", in: names, limit: 1) == ["output.weight"])
    }

    @Test("leave out what shares nothing, and nothing comes from nothing")
    func unrelated() {
        #expect(nearestNames(to: "abc", in: ["xyz", "abd"]) == ["abd"])
        #expect(nearestNames(to: "abc", in: []).isEmpty)
        #expect(nearestNames(to: "", in: ["a"]).isEmpty)
        #expect(nearestNames(to: "abc", in: ["abc"], limit: 0).isEmpty)
    }

    @Test("are found fast even among hostile names")
    func bounded() {
        let long = String(repeating: "x", count: 100_000)
        let names = (0..<200).map { long + "\($0)" }
        let clock = ContinuousClock()
        let time = clock.measure { #expect(nearestNames(to: long, in: names).count == 3) }
        #expect(time < .seconds(2))
    }
}
