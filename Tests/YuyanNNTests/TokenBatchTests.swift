import Testing
import YuyanNN
import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

#if arch(x86_64)
    private let trap = ExitTest.Condition.signal(SIGILL)
#else
    private let trap = ExitTest.Condition.signal(SIGTRAP)
#endif

@Suite("Token batch")
struct TokenBatchTests {
    @Test("knows at least the length that a segment reaches")
    func contextLength() {
        let segment = SequenceSegment(rows: 0..<5, firstPosition: 10, blocks: [0])
        #expect(TokenBatch.Segment(segment).contextLength == 15)
        #expect(TokenBatch.Segment(segment, contextLength: 3).contextLength == 15)
        #expect(TokenBatch.Segment(segment, contextLength: 40).contextLength == 40)
    }

    @Test("traps unless the segments cover the tokens, in order")
    func cover() async {
        await #expect(processExitsWith: trap) {
            let part = SequenceSegment(rows: 1..<3, firstPosition: 0, blocks: [0])
            _ = TokenBatch(tokens: [1, 2, 3], segments: [TokenBatch.Segment(part)])
        }
        await #expect(processExitsWith: trap) {
            let part = SequenceSegment(rows: 0..<2, firstPosition: 0, blocks: [0])
            _ = TokenBatch(tokens: [1, 2, 3], segments: [TokenBatch.Segment(part)])
        }
    }
}
