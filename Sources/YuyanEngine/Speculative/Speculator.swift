/// A drafter and the controller that decides how far it may guess; lives on the engine's thread.
final class Speculator {
    private let drafter: any Drafter
    private var controller: SpeculationController
    private var meanLength = DecayingMean()

    init(_ drafter: any Drafter, maxLength: Int) {
        self.drafter = drafter
        controller = SpeculationController(maxLength: maxLength)
    }

    /// Guesses for the sequences that decode now, as far as it pays.
    func drafts(
        for decoding: [(id: Int, tokens: [Int32])], contextLimit: Int,
        chooser: (Int) -> DraftChooser?
    ) -> [Int: [Int32]] {
        let lengths = controller.lengths(for: decoding.map(\.id))
        let candidates = decoding.compactMap { id, tokens -> DraftCandidate? in
            let length = min(lengths[id] ?? 0, contextLimit - tokens.count)
            return length > 0 ? DraftCandidate(sequence: id, tokens: tokens, length: length) : nil
        }
        guard !candidates.isEmpty else { return [:] }
        let start = ContinuousClock.now
        let drafts = drafter.drafts(for: candidates, chooser: chooser)
        let drafted = drafts.values.reduce(0) { $0 + $1.count }
        controller.record(
            drafted: drafted, seconds: (ContinuousClock.now - start) / .seconds(1))
        return drafts
    }

    /// Learns from a step.
    func record(_ step: EngineStep, _ results: [ItemResult], time: Duration) {
        var decoding: [Int] = []
        var isPure = true
        for (item, result) in zip(step.plan.items, results) {
            guard item.tokens.count - item.draftCount == 1, !result.own.isEmpty else {
                isPure = false
                continue
            }
            decoding.append(item.sequence)
            guard item.draftCount > 0 else { continue }
            meanLength.add(Double(item.draftCount))
            controller.record(
                sequence: item.sequence, drafted: item.draftCount, accepted: result.own.count - 1)
        }
        if isPure {
            controller.record(rows: step.plan.tokenCount, seconds: time / .seconds(1))
        }
        controller.decide(decoding)
    }

    func forget(_ sequences: [Int]) {
        guard !sequences.isEmpty else { return }
        drafter.forget(sequences)
        controller.forget(sequences)
    }

    /// For the statistics.
    var summary: EngineStatistics.Speculation {
        EngineStatistics.Speculation(
            isOn: controller.state == .on, explanation: controller.explanation,
            acceptance: controller.acceptance, length: meanLength.value)
    }
}
