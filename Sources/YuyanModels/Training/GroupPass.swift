import YuyanNN
import YuyanTensor

/// One forward pass over prompts with their answers, as losses see it.
package struct GroupPass {
    /// One answer of the pass.
    package struct Answer: Sendable {
        /// Which of the call's groups it belongs to.
        package let group: Int
        /// Which of the group's answers it is.
        package let index: Int
        /// Its tokens among the pass's `targets`.
        package let tokens: Range<Int>
        /// Row of `hidden` that holds its last token.
        package let lastRow: Int
    }

    /// In the order of groups and answers.
    package let answers: [Answer]
    /// The answers' tokens, end to end, `[S]`.
    package let targets: [Int32]
    /// For each target the row of `hidden` that predicts it.
    package let rows: [Int]
    /// The residual stream of all tokens, `[T, C]`.
    package let hidden: Tensor
    /// Records, if gradients are wanted.
    package let device: Device
    let batch: TokenBatch
    let decoder: Decoder

    /// The same tokens through another adapter, or none, without gradients: the pass of a reference.
    package func reference(_ adapter: LowRankAdapter?) -> GroupPass {
        let device = device.inferring
        let batch = TokenBatch(
            tokens: batch.tokens,
            segments: batch.segments.map {
                TokenBatch.Segment(
                    $0.attention, contextLength: $0.contextLength, adapter: adapter)
            })
        return GroupPass(
            answers: answers, targets: targets, rows: rows,
            hidden: decoder.hiddenStates(whole: batch, checkpointing: false, on: device),
            device: device, batch: batch, decoder: decoder)
    }

    /// Normalised rows `[S, C]`, one for each target, and the head that reads them.
    package func targetRows() -> (x: Tensor, head: OutputHead) {
        decoder.lossRows(hidden: hidden, rows: rows, of: batch, on: device)
    }

    /// The row that a head reads to judge a whole answer: that of its last token which is no padding.
    ///
    /// transformers' sequence classification looks there. Where a tokenizer pads with the token that
    /// ends a turn, it is the one before that.
    package func judgedRow(_ answer: Answer, padding: Int32?) -> Int {
        let trailing = targets[answer.tokens].reversed().prefix { $0 == padding }.count
        return answer.lastRow - (trailing < answer.tokens.count ? trailing : 0)
    }

    /// Normalised rows `[n, C]`.
    package func normalized(rows: [Int]) -> Tensor {
        decoder.lossRows(hidden: hidden, rows: rows, of: batch, on: device).x
    }
}

/// What a pass over groups is made for.
package struct GroupPassOptions: Sendable {
    /// Which adapter takes part; without any, the model that one is trained for is its reference.
    package var adapter = Adapter.trained
    /// Whether a large group may be cut between answers, each part with the prompt.
    package var splitsGroups = false
    /// Key of dropout's random numbers.
    package var seed: UInt64 = 0
    /// Tokens of the run before these: which random numbers dropout draws.
    package var firstToken: UInt64 = 0

    /// What updates the model in a pass.
    package enum Adapter: Sendable {
        /// The one that is trained, if one is.
        case trained
        case none
        case other(LowRankAdapter)
    }

    package init() {}
}

extension TrainableModel {
    /// Runs groups forward, and backward from the gradients that a loss returns.
    ///
    /// A prompt's keys, values and activations are computed once for all answers of a pass, and receive
    /// the gradients of all of them. The forward bits are those of each answer alone behind its prompt.
    ///
    /// - Parameter loss: Gets each pass, in order; returns tensors of it with their gradients. Those
    ///   without a source are passed over.
    package func addGradients(
        of groups: [AnswerGroup], _ options: GroupPassOptions = GroupPassOptions(),
        on device: Device, loss: (GroupPass) -> [(output: Tensor, gradient: Tensor)]
    ) {
        var first = options.firstToken
        for parts in groups.passes(of: tokensPerPass, splits: options.splitsGroups) {
            let tape = Tape()
            let (tokens, branches) = layout(groups, parts)
            let numbers = (0..<UInt64(tokens.count)).map { first + $0 }
            first += UInt64(tokens.count)
            let recording = device.training(
                TrainingPass(
                    tape: tape, dropout: DropoutNumbers(seed: options.seed, tokens: numbers)))
            let pass = pass(groups, parts, tokens, branches, options, on: recording)
            tape.backward(loss(pass), on: recording)
        }
    }

    /// Runs groups forward only, without dropout.
    package func visit(
        _ groups: [AnswerGroup], _ options: GroupPassOptions = GroupPassOptions(),
        on device: Device, _ body: (GroupPass) throws -> Void
    ) rethrows {
        for parts in groups.passes(of: tokensPerPass, splits: options.splitsGroups) {
            let (tokens, branches) = layout(groups, parts)
            try body(pass(groups, parts, tokens, branches, options, on: device))
        }
    }

    /// Log-probability of each token of each answer: `[group][answer][token]`.
    ///
    /// Without gradients or dropout; the bits are the engine's.
    ///
    /// - Parameters:
    ///   - distribution: What the tokens of an answer of a group were drawn from; the model's own
    ///     distribution by default.
    package func logProbabilities(
        of groups: [AnswerGroup], _ options: GroupPassOptions = GroupPassOptions(),
        distribution: AnswerDistribution = AnswerDistribution(), on device: Device
    ) -> [[[Float]]] {
        logProbabilities(of: groups, options, distribution: distribution, on: device, check: {})
    }

    /// The same, unless `check`, which is called behind each pass, throws.
    package func logProbabilities(
        of groups: [AnswerGroup], _ options: GroupPassOptions, distribution: AnswerDistribution,
        on device: Device, check: () throws -> Void
    ) rethrows -> [[[Float]]] {
        var found = groups.map { $0.answers.map { _ in [Float]() } }
        var options = options
        options.splitsGroups = true
        try visit(groups, options, on: device) { pass in
            try check()
            let (x, head) = pass.targetRows()
            let values = tokenLogProbabilities(
                x, targets: pass.targets, distribution: distribution.tokens(of: pass), head: head,
                on: device
            ).values
            for answer in pass.answers {
                found[answer.group][answer.index] = Array(values[answer.tokens])
            }
        }
        return found
    }

    private func served(_ choice: GroupPassOptions.Adapter) -> LowRankAdapter? {
        switch choice {
        case .trained: adapter
        case .none: nil
        case .other(let adapter): adapter
        }
    }

    /// The tokens of a pass and how they hang together.
    private func layout(
        _ groups: [AnswerGroup], _ parts: [AnswerGroupPart]
    ) -> (tokens: [Int32], branches: [BranchLengths]) {
        var tokens: [Int32] = []
        var branches: [BranchLengths] = []
        for part in parts {
            let group = groups[part.group]
            let answers = group.answers[part.answers]
            guard sharesPrompts, answers.count > 1 else {
                for answer in answers {
                    tokens += group.prompt + answer
                    branches.append(
                        BranchLengths(prompt: group.prompt.count + answer.count, answers: []))
                }
                continue
            }
            tokens += group.prompt
            for answer in answers { tokens += answer }
            branches.append(
                BranchLengths(prompt: group.prompt.count, answers: answers.map(\.count)))
        }
        return (tokens, branches)
    }

    private func pass(
        _ groups: [AnswerGroup], _ parts: [AnswerGroupPart], _ tokens: [Int32],
        _ branches: [BranchLengths], _ options: GroupPassOptions, on device: Device
    ) -> GroupPass {
        let batch = TokenBatch(
            tokens: tokens, branches: branches, adapter: served(options.adapter))
        var (answers, targets, rows) = ([GroupPass.Answer](), [Int32](), [Int]())
        var row = 0
        for part in parts {
            let group = groups[part.group]
            let shares = sharesPrompts && part.answers.count > 1
            let prompt = row
            if shares { row += group.prompt.count }
            for index in part.answers {
                let ids = group.answers[index]
                if !shares { row += group.prompt.count }
                // The prompt's last row predicts the first token, wherever the prompt is.
                rows.append(shares ? prompt + group.prompt.count - 1 : row - 1)
                rows += row..<row + ids.count - 1
                answers.append(
                    GroupPass.Answer(
                        group: part.group, index: index,
                        tokens: targets.count..<targets.count + ids.count,
                        lastRow: row + ids.count - 1))
                targets += ids
                row += ids.count
            }
        }
        let hidden = decoder.hiddenStates(
            whole: batch, checkpointing: checkpointsLayers, on: device)
        return GroupPass(
            answers: answers, targets: targets, rows: rows, hidden: hidden, device: device,
            batch: batch, decoder: decoder)
    }

    /// Dynamic NTK rotates a prompt's keys by the length of the whole, which answers do not share.
    private var sharesPrompts: Bool {
        if case .dynamicNTK = decoder.shape.rotaryScaling { false } else { true }
    }
}

/// What the tokens of groups of answers were drawn from.
package struct AnswerDistribution: Sendable {
    /// What logits are divided by.
    package var temperature: Float
    /// `[group][answer][token]`: the tokens that could be drawn, as in `TokenDistribution`; empty if
    /// every token could be drawn everywhere.
    package var supports: [[[[Int32]]]]

    /// The model's own distribution, unless told otherwise.
    package init(temperature: Float = 1, supports: [[[[Int32]]]] = []) {
        self.temperature = temperature
        self.supports = supports
    }

    /// The same for the targets of a pass.
    package func tokens(of pass: GroupPass) -> TokenDistribution {
        TokenDistribution(
            temperature: temperature,
            supports: supports.isEmpty
                ? [] : pass.answers.flatMap { supports[$0.group][$0.index] })
    }
}
