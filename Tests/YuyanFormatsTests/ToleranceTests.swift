import TestSupport
import Testing

@Suite("Tolerances")
struct ToleranceTests {
    @Test("accept what is within them and name the worst element otherwise")
    func worst() throws {
        let tolerance = Tolerance(absolute: 0.5, relative: 0.1)
        #expect(worstDifference([1, 10], [1.5, 11.5], tolerance) == nil)
        let text = try #require(worstDifference([1, 0, 9, 3], [1, 2, 2, 3], tolerance))
        #expect(
            text.hasPrefix("2 of 4 elements differ; worst is [2]: 9.0, expected 2.0, 10.0 times"))
    }

    @Test("never accept NaN, infinities or lengths that differ")
    func special() {
        let wide = Tolerance(absolute: .infinity)
        #expect(worstDifference([Float.nan], [.nan], .exact) == nil)
        #expect(worstDifference([Float.infinity], [.infinity], .exact) == nil)
        #expect(worstDifference([Float.nan], [1], wide) != nil)
        #expect(worstDifference([1], [Float.nan], wide) != nil)
        #expect(worstDifference([-Float.infinity], [.infinity], wide) != nil)
        #expect(worstDifference([Float.infinity], [3], wide) != nil)
        #expect(worstDifference([1], [1, 2] as [Float], wide) == "1 elements, expected 2")
        #expect(worstDifference([1], [1 + Float.ulpOfOne], .exact) != nil)
    }

    @Test("make expectClose record an issue exactly if an element differs")
    func recording() {
        expectClose([1, 2], [1, 2] as [Float])
        withKnownIssue { expectClose([1, 2.5], [1, 2] as [Float], Tolerance(absolute: 0.4)) }
    }
}
