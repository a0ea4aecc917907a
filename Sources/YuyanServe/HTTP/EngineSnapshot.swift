import YuyanEngine
import YuyanFormats

/// What `/engine` tells the live page: the engine's statistics with the block map in runs.
struct EngineSnapshot {
    let statistics: EngineStatistics
    let rates: Throughput.Rates
    let modelID: String
    let contextLimit: Int
    let isDraining: Bool

    /// Times are in seconds, rates in tokens a second.
    ///
    /// `blocks.map` lists runs of equal neighbours: `[-1, n]` are n free blocks, `[-2, n]` n cached
    /// ones, `[s, n, u, t]` n blocks of sequence s with u users each and t tokens in all of them.
    var json: JSONOutput {
        let cached = statistics.blocks.count { $0 == .cached }
        return [
            "model": .string(modelID),
            "state": isDraining ? "draining" : "ready",
            "context": .integer(contextLimit),
            "blocks": [
                "total": .integer(statistics.totalBlocks),
                "used": .integer(statistics.usedBlocks),
                "cached": .integer(cached),
                "free": .integer(statistics.totalBlocks - statistics.usedBlocks - cached),
                "tokens_per_block": .integer(statistics.blockTokens),
                "bytes_per_block": .integer(statistics.blockBytes),
                "live_tokens": .integer(statistics.liveTokens),
                "utilization": .double(statistics.utilization),
                "map": .array(Self.runs(of: statistics.blocks)),
            ],
            "running": .array(statistics.running.map(Self.sequence)),
            "waiting": .integer(statistics.waiting),
            "tokens_per_second": [
                "prompt": .double(rates.promptTokens), "generated": .double(rates.generatedTokens),
            ],
            "prefix_cache": [
                "queries": .integer(statistics.prefixQueries),
                "hits": .integer(statistics.prefixHits),
                "evicted_blocks": .integer(statistics.evictedBlocks),
            ],
            "speculative": [
                "drafts": .integer(statistics.drafts),
                "drafted_tokens": .integer(statistics.draftedTokens),
                "accepted_tokens": .integer(statistics.acceptedTokens),
                "accepted_by_position": .array(
                    statistics.acceptedByPosition.map { .integer($0) }),
            ],
            "totals": [
                "steps": .integer(statistics.steps),
                "requests": .integer(statistics.requests),
                "cancelled": .integer(statistics.cancelled),
                "preemptions": .integer(statistics.preemptions),
                "prompt_tokens": .integer(statistics.promptTokens),
                "generated_tokens": .integer(statistics.generatedTokens),
                "compute_seconds": .double(statistics.computeTime / .seconds(1)),
                "overhead_seconds": .double(statistics.overheadTime / .seconds(1)),
            ],
            "recent_steps": .array(
                statistics.recentSteps.map { step in
                    [.integer(step.tokens), .double(step.time / .seconds(1))]
                }),
        ]
    }

    private static func sequence(_ sequence: EngineStatistics.Sequence) -> JSONOutput {
        [
            "number": .integer(sequence.number),
            "prompt_tokens": .integer(sequence.promptTokens),
            "computed_tokens": .integer(sequence.computedTokens),
            "generated_tokens": .integer(sequence.generatedTokens),
            "blocks": .integer(sequence.blocks),
            "adapter": sequence.adapter.map { .string($0) } ?? .null,
        ]
    }

    /// Neighbours that look the same on the map become one entry.
    static func runs(of blocks: [EngineStatistics.BlockUse]) -> [JSONOutput] {
        struct Run {
            var code: Int
            var users: Int
            var count = 0
            var tokens = 0
            var json: JSONOutput {
                code < 0
                    ? [.integer(code), .integer(count)]
                    : [.integer(code), .integer(count), .integer(users), .integer(tokens)]
            }
        }
        var result: [JSONOutput] = []
        var current: Run?
        for block in blocks {
            let (code, users, tokens) =
                switch block {
                case .free: (-1, 0, 0)
                case .cached: (-2, 0, 0)
                case .used(let sequence, let users, let tokens): (sequence, users, tokens)
                }
            if current?.code != code || current?.users != users {
                if let current { result.append(current.json) }
                current = Run(code: code, users: users)
            }
            current?.count += 1
            current?.tokens += tokens
        }
        if let current { result.append(current.json) }
        return result
    }
}
