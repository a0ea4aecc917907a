/// A plan, and the requests that it computes for.
struct EngineStep {
    let start: ContinuousClock.Instant
    let plan: StepPlan
    let tickets: [Int: EngineTicket]
}

/// What one item of a plan gave.
struct ItemResult {
    /// A chosen token.
    struct Choice {
        let sample: Int
        let token: Int32
        let logProbabilities: TokenLogProbabilities?
        let finish: Finish?
    }

    /// Set when the item is its request's first one ever: how long it waited.
    var queued: Duration?
    /// Tokens of the item's own sequence, in order; the last one may end it.
    var own: [Choice] = []
    /// First tokens of the samples that branch off here.
    var forks: [Choice] = []
    /// Log-probabilities of the whole prompt, once they are complete.
    var scores: [TokenLogProbabilities?]?
    /// The text's vector, once it is complete.
    var vector: [Float]?
    /// Whether the request wanted nothing but its prompt, which is computed now.
    var endsWithPrompt = false
    var error: EngineError?

    /// The numbers of the sequences that end with this item.
    func ended(_ item: StepPlan.Item, _ ticket: EngineTicket) -> [Int] {
        if endsWithPrompt { return (0..<ticket.sequencesAtOnce).map { item.sequence + $0 } }
        var ended: [Int] = []
        if own.last?.finish != nil { ended.append(item.sequence) }
        for fork in forks where fork.finish != nil {
            ended.append(ticket.firstSequence + fork.sample)
        }
        return ended
    }

    /// Hands the events over, in the order in which the protocol promises them.
    func send(to ticket: EngineTicket, _ item: StepPlan.Item) {
        if let queued {
            ticket.send(.started(queued: queued, cachedTokens: item.cachedTokens))
        }
        if let scores { ticket.send(.scored(scores)) }
        if let vector {
            ticket.send(
                EngineTicket.EmbeddedText(
                    index: item.sequence - ticket.firstSequence, vector: vector))
        } else if endsWithPrompt {
            for sample in 0..<ticket.count {
                ticket.send(.finished(sample: sample, finish: .length))
            }
        }
        for choice in own + forks {
            ticket.send(
                .token(
                    sample: choice.sample, token: choice.token,
                    logProbabilities: choice.logProbabilities))
            if let finish = choice.finish {
                ticket.send(.finished(sample: choice.sample, finish: finish))
            }
        }
    }
}
