import YuyanNN
import YuyanTensor

extension EngineStatistics {
    /// Counts what was chosen for an item, and how far its draft was right.
    mutating func count(_ item: StepPlan.Item, chosen: Int) {
        generatedTokens += chosen
        guard item.draftCount > 0, chosen > 0 else { return }
        drafts += 1
        draftedTokens += item.draftCount
        let accepted = chosen - 1
        acceptedTokens += accepted
        if acceptedByPosition.count < item.draftCount {
            acceptedByPosition += Array(
                repeating: 0, count: item.draftCount - acceptedByPosition.count)
        }
        for place in 0..<accepted { acceptedByPosition[place] += 1 }
    }

    /// Counts a step that had work.
    mutating func count(_ plan: StepPlan, compute: Duration, overhead: Duration) {
        steps += 1
        computeTime += compute
        overheadTime += overhead
        for item in plan.items {
            promptTokens += max(
                0, min(item.tokens.count, item.promptCount - item.firstPosition))
        }
        recentSteps.append((tokens: plan.tokenCount, time: compute + overhead))
        if recentSteps.count > 64 { recentSteps.removeFirst() }
    }
}

extension EngineState {
    /// The counters, and what the pool and the queue look like now.
    func snapshot(_ layout: KeyValueLayout) -> EngineStatistics {
        var result = statistics
        let blockTokens = KeyValueLayout.blockTokens
        result.blockTokens = blockTokens
        result.blockBytes = layout.blockBytes
        result.totalBlocks = scheduler.allocator.capacity
        result.usedBlocks = scheduler.allocator.usedCount
        result.evictedBlocks = scheduler.allocator.evictedCount
        result.prefixQueries = scheduler.counters.prefixQueries
        result.prefixHits = scheduler.counters.prefixHits
        result.preemptions = scheduler.counters.preemptions
        result.waiting = waitingRequests
        result.waitsForBlocks = waitsForBlocks
        result.blocks = (0..<Int32(scheduler.allocator.capacity)).map {
            scheduler.allocator.isCached($0) ? .cached : .free
        }
        for id in scheduler.running {
            guard let sequence = scheduler.sequences[id] else { continue }
            result.running.append(
                EngineStatistics.Sequence(
                    number: id, promptTokens: sequence.promptCount,
                    computedTokens: sequence.computed,
                    generatedTokens: sequence.tokens.count - sequence.promptCount,
                    blocks: sequence.blocks.count,
                    adapter: tickets[sequence.request]?.adapter?.name))
            for (index, block) in sequence.blocks.enumerated() {
                let tokens = min(max(sequence.computed - index * blockTokens, 0), blockTokens)
                guard case .used(let first, let users, let most) = result.blocks[Int(block)] else {
                    result.blocks[Int(block)] = .used(sequence: id, users: 1, tokens: tokens)
                    result.liveTokens += tokens
                    continue
                }
                result.blocks[Int(block)] = .used(
                    sequence: first, users: users + 1, tokens: max(most, tokens))
                result.liveTokens += max(0, tokens - most)
            }
        }
        return result
    }
}
