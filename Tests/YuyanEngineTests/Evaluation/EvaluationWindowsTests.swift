import Testing

@testable import YuyanEngine

@Suite("EvaluationWindows")
struct EvaluationWindowsTests {
    private let tokens = (0..<50).map { Int32($0) }

    @Test("windows follow each other without overlap, and a short rest is left out")
    func covers() throws {
        let windows = try EvaluationWindows(tokens: tokens, context: 12)
        #expect(windows.count == 4)
        #expect((0..<windows.count).flatMap { windows.input($0) } == Array(tokens[..<48]))
    }

    @Test("the beginning token takes the place of each window's first token only")
    func beginning() throws {
        let windows = try EvaluationWindows(tokens: tokens, context: 10, beginning: 99, limit: 2)
        #expect(windows.count == 2)
        #expect(windows.input(1) == [99] + tokens[11..<20])
        #expect(windows.target(1, after: 5) == 16)
    }

    @Test("the second half of a window is scored, up to the last token that has a successor")
    func scored() throws {
        for context in 3...20 {
            let windows = try EvaluationWindows(tokens: tokens, context: context)
            let scored = (context / 2..<context - 1)
            #expect(windows.firstScored == scored.lowerBound)
            #expect(windows.scoredPerWindow == scored.count)
            #expect(windows.target(0, after: scored.upperBound - 1) == context - 1)
        }
    }

    @Test("a text shorter than a window is refused")
    func tooShort() {
        #expect(throws: EvaluationError.tooShort(tokens: 50, context: 51)) {
            try EvaluationWindows(tokens: tokens, context: 51)
        }
    }
}
