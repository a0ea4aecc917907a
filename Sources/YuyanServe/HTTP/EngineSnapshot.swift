import YuyanEngine
import YuyanFormats

/// What `/engine` tells the live page: the engine's statistics with the block map in runs.
struct EngineSnapshot {
    let statistics: EngineStatistics
    let rates: Throughput.Rates
    let modelID: String
    let contextLimit: Int
    let isDraining: Bool
    /// Seconds since the server started.
    let uptime: Double

    /// Times are in seconds, rates in tokens a second.
    ///
    /// `blocks` lists runs of equal neighbours in block order, `[kind, count, sequence, users]`:
    /// kind 0 free, 1 cached and idle, 2 used by `users` sequences, the first of them `sequence`.
    var json: JSONOutput {
        let busy = (statistics.computeTime + statistics.overheadTime) / .seconds(1)
        var fields: [(key: String, value: JSONOutput)] = [
            ("model", .string(modelID)),
            ("state", isDraining ? "draining" : "ready"),
            ("uptime_s", .double(uptime)),
            ("context", .integer(contextLimit)),
            ("block_tokens", .integer(statistics.blockTokens)),
            ("block_bytes", .integer(statistics.blockBytes)),
            ("total_blocks", .integer(statistics.totalBlocks)),
            ("used_blocks", .integer(statistics.usedBlocks)),
            ("live_tokens", .integer(statistics.liveTokens)),
            ("utilization", .double(statistics.utilization)),
            ("blocks", .array(Self.runs(of: statistics.blocks))),
            ("running", .array(statistics.running.map(Self.sequence))),
            ("waiting", .integer(statistics.waiting)),
            ("waits_for_blocks", .bool(statistics.waitsForBlocks)),
            ("requests", .integer(statistics.requests)),
            ("cancelled", .integer(statistics.cancelled)),
            ("steps", .integer(statistics.steps)),
            ("prompt_tokens", .integer(statistics.promptTokens)),
            ("generated_tokens", .integer(statistics.generatedTokens)),
            ("tokens_per_s", .double(rates.generatedTokens)),
            ("prefill_tokens_per_s", .double(rates.promptTokens)),
            ("prefix_queries", .integer(statistics.prefixQueries)),
            ("prefix_hits", .integer(statistics.prefixHits)),
            ("preemptions", .integer(statistics.preemptions)),
            ("evicted_blocks", .integer(statistics.evictedBlocks)),
            ("drafts", .integer(statistics.drafts)),
            ("drafted_tokens", .integer(statistics.draftedTokens)),
            ("accepted_tokens", .integer(statistics.acceptedTokens)),
            (
                "accepted_by_position",
                .array(statistics.acceptedByPosition.map { .integer($0) })
            ),
            ("compute_s", .double(statistics.computeTime / .seconds(1))),
            ("overhead_s", .double(statistics.overheadTime / .seconds(1))),
            (
                "overhead_share",
                .double(busy > 0 ? statistics.overheadTime / .seconds(1) / busy : 0)
            ),
        ]
        if let speculation = statistics.speculation {
            fields.append(
                (
                    "speculation",
                    [
                        "on": .bool(speculation.isOn),
                        "explanation": .string(speculation.explanation),
                        "acceptance": .double(speculation.acceptance),
                        "length": .double(speculation.length),
                    ]
                ))
        }
        return .object(fields)
    }

    private static func sequence(_ sequence: EngineStatistics.Sequence) -> JSONOutput {
        [
            "sequence": .integer(sequence.number),
            "prompt_tokens": .integer(sequence.promptTokens),
            "computed_tokens": .integer(sequence.computedTokens),
            "generated_tokens": .integer(sequence.generatedTokens),
            "blocks": .integer(sequence.blocks),
            "adapter": sequence.adapter.map { .string($0) } ?? .null,
        ]
    }

    /// Neighbours that look the same on the map become one entry.
    static func runs(of blocks: [EngineStatistics.BlockUse]) -> [JSONOutput] {
        var result: [JSONOutput] = []
        var start = 0
        while start < blocks.count {
            let look = look(of: blocks[start])
            let end = blocks[start...].firstIndex { self.look(of: $0) != look } ?? blocks.count
            let count = end - start
            result.append(
                look.count == 1
                    ? [.integer(look[0]), .integer(count)]
                    : [
                        .integer(look[0]), .integer(count), .integer(look[1]), .integer(look[2]),
                    ])
            start = end
        }
        return result
    }

    private static func look(of block: EngineStatistics.BlockUse) -> [Int] {
        switch block {
        case .free: [0]
        case .cached: [1]
        case .used(let sequence, let users, _): [2, sequence, users]
        }
    }
}
