/// Learnt tokens' numbers with a mean of 0 and a variance of 1 over all rows: TRL's `masked_whiten`.
///
/// The sample variance, with 1e-8 added to it. Tokens that are not learnt become 0.
///
/// - Parameter shiftsMean: Whether the mean goes; rewards keep theirs, advantages do not.
package func whitened(
    _ rows: [[Double]], isLearnt: [[Bool]], shiftsMean: Bool = true
) -> [[Double]] {
    precondition(
        rows.map(\.count) == isLearnt.map(\.count),
        "rows of \(rows.map(\.count)) tokens, masks of \(isLearnt.map(\.count))")
    let learnt = zip(rows, isLearnt).flatMap { row, mask in
        zip(row, mask).filter(\.1).map(\.0)
    }
    let moments = Moments(learnt)
    let scale = 1 / (moments.variance + 1e-8).squareRoot()
    return zip(rows, isLearnt).map { row, mask in
        zip(row, mask).map { value, isLearnt in
            guard isLearnt else { return 0 }
            return (value - moments.mean) * scale + (shiftsMean ? 0 : moments.mean)
        }
    }
}
