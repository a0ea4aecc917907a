import TestSupport
import Testing

@Suite("Mutations")
struct MutationsTests {
    @Test("repeat with the seed, differ from each other and stay small")
    func sequence() {
        let original = GGUFImage.sample().bytes
        var (first, second) = (Mutations(of: original, seed: 7), Mutations(of: original, seed: 7))
        var seen: Set<[UInt8]> = []
        for _ in 0..<500 {
            let image = first.next()
            #expect(image == second.next())
            #expect(image.count <= original.count + 4 * 64)
            seen.insert(image)
        }
        #expect(seen.count > 400)
    }
}
