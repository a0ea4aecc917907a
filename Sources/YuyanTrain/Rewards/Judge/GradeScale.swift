/// The whole numbers that a judge may give.
struct GradeScale: Sendable, Hashable {
    let lowest: Int
    let highest: Int

    /// Most steps between the two: each is a text whose probability is asked for.
    static let mostSteps = 100
    /// How far from 0 a grade may be.
    private static let largest = 1_000_000

    /// Nil unless the second is above the first, by at most `mostSteps`.
    init?(_ bounds: [Int]) {
        guard bounds.count == 2, bounds.allSatisfy({ abs($0) <= Self.largest }),
            bounds[0] < bounds[1], bounds[1] - bounds[0] <= Self.mostSteps
        else { return nil }
        (lowest, highest) = (bounds[0], bounds[1])
    }

    var grades: ClosedRange<Int> { lowest...highest }

    /// A grade, or a mean of grades, from 0 for the lowest to 1 for the highest.
    func share(_ grade: Double) -> Double {
        (grade - Double(lowest)) / Double(highest - lowest)
    }
}
