"""Compares `yuyan serve` with llama.cpp's llama-server on this machine.

    scripts/bench-serve                      build llama-server once, then compare
    scripts/bench-serve --peer-dir DIR       use the llama-server that is in DIR
    scripts/bench-serve --rounds 1 --quick   a short look
    scripts/bench-serve --only streams-8,embeddings

Both serve the same file with the same number of threads, in turn, and swap who goes first from
round to round; each gets the same token ids and is warmed up first. An answer of the wrong length
ends the comparison. Only the ratios of one round mean anything on a machine with neighbours.
Progress goes to stderr, a Markdown table to stdout; --json FILE keeps everything.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import scenarios
import servers
from prompts import Prompts

ROOT = Path(__file__).resolve().parents[2]

# What each test reports: the key, how it is called, its unit, its scale, and the bar.
COMPARED = {
    "streams-8": [
        ("tokens_s", "8 streams, output", "tok/s", 1, False, 2.0),
        ("first_mean", "8 streams, first token, mean", "s", 1, True, 2.0),
        ("first_p95", "8 streams, first token, p95", "s", 1, True, 2.0),
        ("gap_p50", "8 streams, between tokens, p50", "ms", 1e-3, True, None),
        ("gap_p95", "8 streams, between tokens, p95", "ms", 1e-3, True, None)],
    "streams-16": [
        ("tokens_s", "16 streams, output", "tok/s", 1, False, 2.0),
        ("first_mean", "16 streams, first token, mean", "s", 1, True, 2.0),
        ("first_p95", "16 streams, first token, p95", "s", 1, True, 2.0),
        ("gap_p50", "16 streams, between tokens, p50", "ms", 1e-3, True, None),
        ("gap_p95", "16 streams, between tokens, p95", "ms", 1e-3, True, None)],
    "prefix": [
        ("seconds", "32 requests, shared prefix, all", "s", 1, True, 2.0),
        ("first_mean", "32 requests, shared prefix, first token, mean", "s", 1, True, None),
        ("first_p95", "32 requests, shared prefix, first token, p95", "s", 1, True, None)],
    "embeddings": [("texts_s", "embeddings of 256 tokens", "texts/s", 1, False, 1.2)],
    "memory": [("peak", "peak memory after the streams", "MiB", 1 << 20, True, None)],
}
OURS_ONLY = ["pool", "overhead"]


def say(text):
    print(text, file=sys.stderr, flush=True)


def die(text):
    sys.exit(f"bench-serve: {text}")


def build_peer():
    """Builds llama-server where `scripts/bench-peers` builds the other programs."""
    path = str(ROOT / "scripts" / "bench-peers")
    loader = importlib.machinery.SourceFileLoader("bench_peers", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_peers", loader))
    loader.exec_module(module)
    return module.build_peer(["llama-server"])


def sizes(args):
    if args.quick:
        return {"prompt": 32, "tokens": 16, "prefix": 96, "prefix_count": 8, "texts": 8,
                "text": 64, "pool_requests": 8}
    return {"prompt": 128, "tokens": 64, "prefix": 400, "prefix_count": 32, "texts": 64,
            "text": 256, "pool_requests": 48}


def generation_tests(args, server, prompts):
    size, found = sizes(args), {}
    scenarios.warm_up(server, prompts)
    for count in (8, 16):
        if f"streams-{count}" in args.only:
            found[f"streams-{count}"] = scenarios.streams(
                server, prompts, count, size["prompt"], size["tokens"])
    found["memory"] = {"peak": server.memory()[1]}
    if "prefix" in args.only:
        found["prefix"] = scenarios.shared_prefix(
            server, prompts, size["prefix_count"], size["prefix"], 16, size["tokens"] // 2)
    return found


def embedding_test(args, server, prompts):
    size = sizes(args)
    scenarios.embeddings(server, prompts, 4, 32)
    return {"embeddings": scenarios.embeddings(server, prompts, size["texts"], size["text"])}


def run_ours(args, seed):
    found = {}
    with servers.yuyan(args.yuyan, args.model, args.threads, args.yuyan_args) as server:
        prompts = Prompts(server, seed)
        found |= generation_tests(args, server, prompts)
        if "overhead" in args.only:
            found["overhead"] = overhead(args, server, prompts)
    if "embeddings" in args.only:
        with servers.yuyan(args.yuyan, args.model, args.threads, args.yuyan_args) as server:
            found |= embedding_test(args, server, Prompts(server, seed))
    return found


def run_theirs(args, seed):
    found, binary = {}, args.peer_dir / "llama-server"
    with servers.llama_server(binary, args.model, args.threads, extra=args.peer_args) as server:
        found |= generation_tests(args, server, Prompts(server, seed))
    if "embeddings" in args.only:
        # Its embeddings want a mode of their own and a text within one physical batch.
        extra = ["--embeddings", "--pooling", "mean", "-b", 2048, "-ub", 2048, *args.peer_args]
        with servers.llama_server(binary, args.model, args.threads, extra=extra) as server:
            found |= embedding_test(args, server, Prompts(server, seed))
    return found


def overhead(args, server, prompts, pairs=5):
    """What serving adds to a token: by the engine's clock, and seen by a client, in turn with
    decoding without a server. The client's own time is in what it sees: it runs on the same
    processors, as clients of all servers in this comparison do."""
    before = server.get("/engine")
    streams, plain = [], []
    for _ in range(pairs):
        streams.append(scenarios.single_stream(server, prompts))
        bench = json.loads(subprocess.run(
            [args.yuyan, "bench", "--model", args.model, "--prompt-tokens", "128",
             "--generate-tokens", "128", "--threads", str(args.threads), "--repeat", "1",
             "--json", "--batch", "1"],
            stdout=subprocess.PIPE, check=True).stdout)
        # With the same context behind each token as the stream has.
        plain.append(1 / bench["batch"]["tok_s"]["median"])
    after = server.get("/engine")
    spent = {key: after[key] - before[key] for key in ("compute_s", "overhead_s")}
    compute_s, tokens = spent["compute_s"], after["generated_tokens"] - before["generated_tokens"]
    shares = [1 - base / seen["gap_mean"] for base, seen in zip(plain, streams)]
    median = statistics.median
    return {
        "engine_share": spent["overhead_s"] / sum(spent.values()),
        "loaded_share": before["overhead_s"] / (
            before["overhead_s"] + before["compute_s"]),
        "token_ms": median(seen["gap_mean"] for seen in streams) * 1e3,
        "bench_token_ms": median(plain) * 1e3,
        "pass_ms": compute_s / max(1, tokens) * 1e3,
        "client_ms": median(seen["client_token"] for seen in streams) * 1e3,
        "others_ms": median(
            sum(seen["threads_token"][args.threads:]) for seen in streams) * 1e3,
        "outside_share": median(shares), "outside_shares": shares}


def run_pool(args, seed):
    extra = ["--kv-cache", args.pool, *args.yuyan_args]
    with servers.yuyan(args.yuyan, args.model, args.threads, extra) as server:
        return scenarios.full_pool(server, Prompts(server, seed), sizes(args)["pool_requests"])


def spread(values, digits):
    ordered = sorted(values)
    return "/".join(
        f"{value:.{digits}f}" for value in (ordered[0], statistics.median(ordered), ordered[-1]))


def compare(rounds):
    rows = []
    for test, figures in COMPARED.items():
        for key, label, unit, scale, less, bar in figures:
            pairs = [
                (ours[test][key], theirs[test][key]) for ours, theirs in rounds
                if test in ours and test in theirs]
            if pairs:
                rows.append({
                    "test": label, "unit": unit, "scale": scale, "at_least": bar,
                    "ours": [a for a, _ in pairs], "theirs": [b for _, b in pairs],
                    "ratios": [b / a if less else a / b for a, b in pairs]})
    return rows


def table(rows):
    lines = [
        "| test | Yuyan | llama-server | ratio | at least | |", "|---|---|---|---|---|---|"]
    for row in rows:
        digits = 0 if row["unit"] == "MiB" else 2 if row["unit"] == "s" else 1
        bar = row["at_least"]
        median = statistics.median(row["ratios"])
        lines.append(
            f"| {row['test']}, {row['unit']} "
            f"| {spread([v / row['scale'] for v in row['ours']], digits)} "
            f"| {spread([v / row['scale'] for v in row['theirs']], digits)} "
            f"| {spread(row['ratios'], 2)} | {'' if bar is None else f'{bar:g}x'} "
            f"| {'' if bar is None else 'ok' if median >= bar else 'short'} |")
    return "\n".join(lines)


def own_figures(rounds, pools):
    lines = []
    for pool in pools:
        median = pool["of_pool_median"]
        lines.append(
            f"KV memory in use by live tokens, pool full: median {median:.1%}, mean "
            f"{pool['of_pool_mean']:.1%}, 5 % of samples below {pool['of_pool_p5']:.1%} "
            f"({pool['blocks']} blocks of {pool['block_tokens']}, {pool['samples']} samples, "
            f"{pool['preemptions']} preemptions); at least 96 %: "
            f"{'ok' if median >= 0.96 else 'short'}"
            + (f"; in all {pool['waiting_samples']} samples with requests waiting, for blocks or "
               f"for the processor: median {pool['waiting_median']:.1%}"
               if pool["waiting_median"] is not None else ""))
    for ours, _ in rounds:
        if "overhead" in ours:
            found = ours["overhead"]
            lines.append(
                f"Overhead by the engine's clock: {found['loaded_share']:.1%} under load, "
                f"{found['engine_share']:.1%} for one stream, whose token takes "
                f"{found['token_ms']:.2f} ms for the client and {found['bench_token_ms']:.2f} ms in "
                f"`yuyan bench` (median of pairs {found['outside_share']:.1%}, "
                f"{spread([share * 100 for share in found['outside_shares']], 1)}); at most 5 %. "
                f"Processor time of a token: client {found['client_ms']:.3f} ms, the server's "
                f"threads beside those that compute {found['others_ms']:.3f} ms")
    shares = [
        figures["client_cpu"] for pair in rounds for side in pair for figures in side.values()
        if "client_cpu" in figures]
    if shares:
        lines.append(
            f"The client itself took {spread([share * 100 for share in shares], 1)} % of a core")
    return "\n\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench-serve", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    tests = [test for test in COMPARED if test != "memory"] + OURS_ONLY
    cache = Path(os.environ.get("YUYAN_HOME") or Path.home() / ".cache" / "yuyan")
    add("--yuyan", type=Path, default=ROOT / ".build" / "release" / "yuyan")
    add("--peer-dir", type=Path, help="folder with llama-server; built if not given")
    add("--model", type=Path, default=cache / "SmolLM2-135M-Instruct.Q4_1.gguf")
    add("--threads", type=int, default=2)
    add("--rounds", type=int, default=3)
    add("--only", default=",".join(tests), help="of %(default)s")
    add("--pool", default="256MiB", help="the cache for the test of a full pool (%(default)s)")
    add("--quick", action="store_true", help="smaller prompts and answers; not for quoting")
    add("--yuyan-args", default="", help="further options for `yuyan serve`, as one string")
    add("--peer-args", default="", help="further options for llama-server, as one string")
    add("--json", type=Path, help="also write all figures to this file")
    args = parser.parse_args()
    args.only = args.only.split(",")
    args.yuyan_args, args.peer_args = args.yuyan_args.split(), args.peer_args.split()
    if unknown := set(args.only) - set(tests):
        die(f"--only has {', '.join(sorted(unknown))}; choose of {', '.join(tests)}")
    if not os.access(args.yuyan, os.X_OK):
        die(f"{args.yuyan} is not there; run `make build` first")
    if not args.model.exists():
        die(f"{args.model} is not there; run `make model` first, or give --model")
    return args


def main():
    args = arguments()
    compared = any(test in COMPARED for test in args.only)
    if compared:
        args.peer_dir = args.peer_dir or build_peer()
    rounds, pools = [], []
    for number in range(args.rounds):
        say(f"round {number + 1} of {args.rounds}")
        first, second = (run_ours, run_theirs) if number % 2 == 0 else (run_theirs, run_ours)
        if not compared:
            found = run_ours(args, number), {}
        else:
            found = first(args, number), second(args, number)
            found = found if first is run_ours else found[::-1]
        rounds.append(found)
        if "pool" in args.only:
            pools.append(run_pool(args, number))
    rows = compare(rounds)
    machine = json.loads(subprocess.run(
        [args.yuyan, "doctor", "--json"], stdout=subprocess.PIPE, check=True).stdout)
    print(
        f"{machine['cpu']}, {machine['instruction_set']} kernels, {args.threads} threads, "
        f"{args.model.name}, {time.strftime('%Y-%m-%d', time.gmtime())}; {args.rounds} rounds, "
        f"min/median/max; ratios above 1 are in Yuyan's favour."
        + (" Quick sizes: not for quoting." if args.quick else ""))
    if rows:
        print(f"\n{table(rows)}")
    print(f"\n{own_figures(rounds, pools)}")
    if args.json:
        args.json.write_text(json.dumps({
            "machine": machine, "threads": args.threads, "quick": args.quick, "rows": rows,
            "rounds": [{"ours": ours, "theirs": theirs} for ours, theirs in rounds],
            "pools": pools}, indent=1))


if __name__ == "__main__":
    try:
        main()
    except (scenarios.WrongAnswer, servers.ServerFailed) as failure:
        die(str(failure))
