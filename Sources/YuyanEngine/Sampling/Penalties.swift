/// Repetition, presence and frequency penalties, with counts kept from token to token.
///
/// - Repetition: Keskar et al., "CTRL", arXiv:1909.05858, in the form of transformers: a logit
///   above zero is divided by the penalty, one below is multiplied. Sees prompt and answer.
/// - Presence and frequency: the OpenAI formula `x - count * frequency - (count > 0) * presence`.
///   Sees the answer only, as in vLLM; llama.cpp counts the prompt too.
///
/// - Complexity: accepting a token is O(1), applying is O(distinct tokens in the window).
struct Penalties: Sendable {
    private struct Entry {
        var token: Int32
        var seen = 0
        var generated = 0
    }

    private let repetition: Float
    private let presence: Float
    private let frequency: Float
    private let window: Int
    private var entries: [Entry] = []
    private var slots: [Int32: Int] = [:]

    /// `nil` if no penalty is on.
    init?(_ parameters: SamplingParameters) {
        guard
            parameters.repetitionPenalty != 1 || parameters.presencePenalty != 0
                || parameters.frequencyPenalty != 0
        else { return nil }
        repetition = parameters.repetitionPenalty
        presence = parameters.presencePenalty
        frequency = parameters.frequencyPenalty
        window = parameters.penaltyWindow ?? .max
    }

    /// Counts the last token of `history` and forgets the one that leaves the window.
    mutating func accept(_ history: [Int32], promptCount: Int) {
        let newest = history.count - 1
        let slot = slot(of: history[newest])
        entries[slot].seen += 1
        if newest >= promptCount { entries[slot].generated += 1 }
        if newest >= window { forget(history[newest - window], newest - window >= promptCount) }
    }

    func apply(to logits: inout MutableSpan<Float>) {
        for entry in entries {
            var logit = logits[Int(entry.token)]
            logit = logit > 0 ? logit / repetition : logit * repetition
            if entry.generated > 0 {
                logit -= Float(entry.generated) * frequency
                logit -= presence
            }
            logits[Int(entry.token)] = logit
        }
    }

    private mutating func slot(of token: Int32) -> Int {
        if let slot = slots[token] { return slot }
        entries.append(Entry(token: token))
        slots[token] = entries.count - 1
        return entries.count - 1
    }

    private mutating func forget(_ token: Int32, _ wasGenerated: Bool) {
        guard let slot = slots[token] else { return }
        entries[slot].seen -= 1
        if wasGenerated { entries[slot].generated -= 1 }
        guard entries[slot].seen == 0 else { return }
        slots[token] = nil
        let last = entries.removeLast()
        if last.token != token {
            entries[slot] = last
            slots[last.token] = slot
        }
    }
}
