/// Why nothing can be learnt from the answers of a step.
enum IdleStep: Sendable, Hashable, CustomStringConvertible {
    /// No token counts: so many answers were dropped with their groups, unscored, or left out as cut.
    case nothingCounts(dropped: Int, unscored: Int, cut: Int)
    /// No answer is better or worse than what it is compared with.
    case noDifference(answers: Int)

    /// - Parameters:
    ///   - groups: With advantages.
    ///   - hasOtherTerms: Whether anything but the rewards moves the model too.
    /// - Returns: Nil if something can be learnt.
    init?(_ groups: [JudgedGroup], hasOtherTerms: Bool) {
        var (learnt, dropped, unscored, cut) = (0, 0, 0, 0)
        var isEqual = true
        for group in groups {
            for index in group.rollout.answers.indices {
                if group.isLearnt(index).contains(true) {
                    learnt += 1
                    isEqual = isEqual && group.advantages[index].allSatisfy { $0 == 0 }
                } else if group.isDropped {
                    dropped += 1
                } else if !group.totals[index].isFinite {
                    unscored += 1
                } else {
                    cut += 1
                }
            }
        }
        if learnt == 0 {
            self = .nothingCounts(dropped: dropped, unscored: unscored, cut: cut)
        } else if isEqual, !hasOtherTerms {
            self = .noDifference(answers: learnt)
        } else {
            return nil
        }
    }

    /// The reason and what to try, without the step.
    var description: String {
        switch self {
        case .nothingCounts(let dropped, let unscored, let cut):
            let parts = [
                (
                    cut,
                    "cut, which mask_truncated_completions leaves out: raise "
                        + "max_completion_length"
                ),
                (
                    dropped,
                    "in groups that all earned the same to the last attempt of "
                        + "dynamic_sampling: take other prompts or more attempts"
                ), (unscored, "without a reward"),
            ]
            let reasons = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
            return "nothing is learnt: of \(dropped + unscored + cut) answers "
                + reasons.joined(separator: "; ")
        case .noDifference(let answers):
            return "nothing is learnt: none of \(answers) answers earned more than what it is "
                + "compared with; larger groups, other prompts or a reward with degrees may help"
        }
    }
}
