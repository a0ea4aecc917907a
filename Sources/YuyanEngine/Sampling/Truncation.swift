import YuyanTensor

/// The tokens that may still be drawn, with unnormalised probabilities, in ascending id.
///
/// Filled anew for every token; kept between tokens for its buffers only.
struct Truncation: Sendable {
    /// `exp((x - max) / temperature)` of each candidate; the best has 1.
    private(set) var weights: [Float] = []
    /// Token ids of the candidates; empty while every token is one, so that index is id.
    private var ids: [Int32] = []
    private var ranks: [UInt64] = []
    private var blocks: [Double] = []

    /// The number of candidates, at least one.
    var count: Int { weights.count }

    /// The token of a candidate.
    func token(_ index: Int) -> Int32 {
        ids.isEmpty ? Int32(truncatingIfNeeded: index) : ids[index]
    }

    /// The tokens that could be drawn, in ascending order; empty while every token could.
    var support: [Int32] {
        ids.isEmpty ? [] : ids.indices.compactMap { weights[$0] > 0 ? ids[$0] : nil }
    }

    /// Applies temperature, top-k, typical, top-p and min-p, in this order.
    ///
    /// Each step sees the distribution that the one before it left, and keeps at least one token.
    mutating func apply(
        _ logits: Span<Float>, peak: Peak, _ parameters: SamplingParameters
    ) {
        let temperature = parameters.temperature
        fill(logits, peak, temperature, topK: parameters.topK)
        if parameters.typicalP < 1 {
            keepTypical(logits, peak, temperature, parameters.typicalP)
        }
        if parameters.topP < 1 { keepNucleus(parameters.topP) }
        if parameters.minP > 0 { keepAbove(parameters.minP) }
    }

    /// Draws by inverting the cumulative distribution in ascending id; `uniform` in `[0, 1)`.
    mutating func draw(_ uniform: Double) -> Int32 {
        var rest = uniform * orderedSum(weights, blocks: &blocks)
        var block = 0
        while block + 1 < blocks.count, rest >= blocks[block] {
            rest -= blocks[block]
            block += 1
        }
        // Rounding may carry `rest` past the end; the last possible token takes it then.
        var chosen = -1
        for index in (block * sumBlock)..<min((block + 1) * sumBlock, count)
        where weights[index] > 0 {
            chosen = index
            rest -= Double(weights[index])
            if rest < 0 { break }
        }
        if chosen < 0 { chosen = weights.lastIndex { $0 > 0 } ?? 0 }
        return token(chosen)
    }

    /// Temperature and top-k. Of equal logits at the k-th place the lowest ids stay, as in
    /// llama.cpp; transformers keeps all of them. Fan et al., arXiv:1805.04833.
    private mutating func fill(
        _ logits: Span<Float>, _ peak: Peak, _ temperature: Float, topK: Int
    ) {
        ids.removeAll(keepingCapacity: true)
        if topK > 0, topK < logits.count {
            topRanks(topK, of: logits, buffer: &ranks)
            for rank in ranks { ids.append(Int32(truncatingIfNeeded: index(ofRank: rank))) }
            ids.sort()
        }
        let count = ids.isEmpty ? logits.count : ids.count
        if weights.count > count { weights.removeLast(weights.count - count) }
        while weights.count < count { weights.append(0) }
        exponentiate(logits, ids, peak.logit, temperature, into: &weights)
    }

    /// Typical sampling: keeps the tokens whose surprise is closest to the entropy, up to a mass.
    ///
    /// Meister et al., "Locally typical sampling", arXiv:2202.00666. Tokens exactly as far from
    /// the entropy as the last one kept stay too, as in transformers.
    private mutating func keepTypical(
        _ logits: Span<Float>, _ peak: Peak, _ temperature: Float, _ mass: Float
    ) {
        let total = orderedSum(weights, blocks: &blocks)
        let logTotal = deterministicLog(total)
        func surprise(_ index: Int) -> Double {
            logTotal - Double((logits[Int(token(index))] - peak.logit) / temperature)
        }
        var entropy = 0.0
        for index in 0..<count where weights[index] > 0 {
            entropy += Double(weights[index]) / total * surprise(index)
        }
        ranks.removeAll(keepingCapacity: true)
        for index in 0..<count where weights[index] > 0 {
            ranks.append(rank(-Float(abs(surprise(index) - entropy)), index))
        }
        let all = ranks
        let kept = selectPrefix(&ranks, mass: Double(mass) * total) { [weights] rank in
            Double(weights[index(ofRank: rank)])
        }
        let last = ranks[kept - 1] >> 32
        keep(all.filter { $0 >> 32 <= last })
    }

    /// Top-p: keeps the shortest run of the most likely tokens that reaches the mass.
    ///
    /// Holtzman et al., "The curious case of neural text degeneration", arXiv:1904.09751.
    private mutating func keepNucleus(_ mass: Float) {
        let total = orderedSum(weights, blocks: &blocks)
        // Tokens this unlikely weigh less than 1 - mass all together, so none is in the nucleus;
        // what remains to be selected from is short unless the distribution is flat.
        let floor = Float((1 - Double(mass)) * total / Double(count) * 0.999)
        ranksAbove(floor, in: weights, into: &ranks)
        let candidates = ranks
        let kept = selectPrefix(&ranks, mass: Double(mass) * total) { rank in
            Double(Float(bitPattern: ~UInt32(rank >> 32) ^ 0x8000_0000))
        }
        let last = ranks[kept - 1]
        keep(candidates.filter { $0 <= last })
    }

    /// Min-p: keeps tokens at least this likely in relation to the best one that is left.
    ///
    /// Nguyen et al., "Turning up the heat: min-p sampling", arXiv:2407.01082.
    private mutating func keepAbove(_ fraction: Float) {
        ranksAbove(fraction * largest(weights), in: weights, into: &ranks)
        keep(ranks)
    }

    /// Keeps the candidates whose index is the low half of a rank; indices ascend.
    private mutating func keep(_ kept: [UInt64]) {
        let isDense = ids.isEmpty
        for (target, rank) in kept.enumerated() {
            let source = index(ofRank: rank)
            weights[target] = weights[source]
            if isDense {
                ids.append(Int32(truncatingIfNeeded: source))
            } else {
                ids[target] = ids[source]
            }
        }
        weights.removeLast(weights.count - kept.count)
        ids.removeLast(ids.count - kept.count)
    }
}

/// `exp((x - max) / temperature)` of the listed tokens, or of all if none is listed.
private func exponentiate(
    _ logits: Span<Float>, _ ids: [Int32], _ maximum: Float, _ temperature: Float,
    into weights: inout [Float]
) {
    var output = weights.mutableSpan
    if ids.isEmpty {
        exponentiate(
            logits, 0..<logits.count, minus: maximum, over: temperature, into: &output)
    } else {
        for (index, token) in ids.enumerated() {
            output[index] = deterministicExp((logits[Int(token)] - maximum) / temperature)
        }
    }
}

private func ranksAbove(_ floor: Float, in weights: [Float], into ranks: inout [UInt64]) {
    ranks.removeAll(keepingCapacity: true)
    let values = weights.span
    for start in stride(from: 0, to: values.count, by: 64) {
        let end = min(start + 64, values.count)
        appendRanks(of: values, start..<end, orderKey(floor), to: &ranks)
    }
}

/// The largest of numbers that are not negative, whose bits order as they do.
private func largest(_ weights: [Float]) -> Float {
    let values = weights.span
    var best: Int32 = 0
    for index in 0..<values.count {
        best = max(best, Int32(bitPattern: values[unchecked: index].bitPattern))
    }
    return Float(bitPattern: UInt32(bitPattern: best))
}
