// What `/engine` says, in the one shape that the live view reads.

const FREE = -1; // codes of the nested block map; other numbers are sequences

/** Takes an answer that is flat already, or nested by topic, and returns it flat. */
export function flatSnapshot(answer) {
  if (Array.isArray(answer.blocks)) return answer;
  const { blocks, totals, tokens_per_second: rates, prefix_cache: cache, speculative } = answer;
  const busy = totals.compute_seconds + totals.overhead_seconds;
  return {
    ...answer, ...totals,
    blocks: blocks.map.map(([code, count, users]) =>
      code >= 0 ? [2, count, code, users] : [code === FREE ? 0 : 1, count, 0, 0]),
    block_tokens: blocks.tokens_per_block, block_bytes: blocks.bytes_per_block,
    total_blocks: blocks.total, used_blocks: blocks.used,
    live_tokens: blocks.live_tokens, utilization: blocks.utilization,
    tokens_per_s: rates.generated, prefill_tokens_per_s: rates.prompt,
    prefix_queries: cache.queries, prefix_hits: cache.hits, evicted_blocks: cache.evicted_blocks,
    drafted_tokens: speculative.drafted_tokens, accepted_tokens: speculative.accepted_tokens,
    overhead_share: busy > 0 ? totals.overhead_seconds / busy : 0,
  };
}
