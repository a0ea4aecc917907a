/// Answers to one prompt, which a pass computes once for all of them.
package struct AnswerGroup: Sendable, Hashable {
    /// Ids of the prompt; at least one.
    package let prompt: [Int32]
    /// Ids of each answer; at least one each.
    package let answers: [[Int32]]

    package init(prompt: [Int32], answers: [[Int32]]) {
        precondition(!prompt.isEmpty, "an answer's first token needs something before it")
        precondition(answers.allSatisfy { !$0.isEmpty }, "an answer without tokens")
        self.prompt = prompt
        self.answers = answers
    }

    /// Tokens of prompt and answers.
    package var tokenCount: Int { answers.reduce(prompt.count) { $0 + $1.count } }
}

/// Some answers to one of a call's prompts, which a pass computes together.
struct AnswerGroupPart {
    /// Which of the call's groups.
    let group: Int
    /// Which of its answers.
    let answers: Range<Int>
}

extension [AnswerGroup] {
    /// Parts taken together until a pass has about `size` tokens.
    ///
    /// - Parameter splits: Whether a group that is larger than that may be cut between answers; the
    ///   prompt is then computed once for each part.
    func passes(of size: Int, splits: Bool) -> [[AnswerGroupPart]] {
        var passes: [[AnswerGroupPart]] = []
        var (pass, tokens) = ([AnswerGroupPart](), 0)
        func close() {
            if !pass.isEmpty { passes.append(pass) }
            (pass, tokens) = ([], 0)
        }
        for (index, group) in enumerated() {
            guard splits, group.tokenCount > size else {
                if tokens + group.tokenCount > size { close() }
                pass.append(AnswerGroupPart(group: index, answers: group.answers.indices))
                tokens += group.tokenCount
                continue
            }
            close()
            var (first, count) = (0, group.prompt.count)
            for (answer, ids) in group.answers.enumerated() {
                if answer > first, count + ids.count > size {
                    passes.append([AnswerGroupPart(group: index, answers: first..<answer)])
                    (first, count) = (answer, group.prompt.count)
                }
                count += ids.count
            }
            pass = [AnswerGroupPart(group: index, answers: first..<group.answers.count)]
            tokens = count
        }
        close()
        return passes
    }
}
