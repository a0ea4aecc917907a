"""`prometheus_client`'s parser on `/metrics`."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.ours

GAUGES = ["vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"]
COUNTERS = [
    "vllm:prompt_tokens", "vllm:generation_tokens", "vllm:prefix_cache_queries",
    "vllm:prefix_cache_hits", "vllm:num_preemptions", "vllm:request_success"]
HISTOGRAMS = [
    "vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds",
    "vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds",
    "vllm:request_prefill_time_seconds", "vllm:request_decode_time_seconds",
    "vllm:request_prompt_tokens", "vllm:request_generation_tokens", "vllm:request_params_n",
    "vllm:request_params_max_tokens", "vllm:iteration_tokens_total"]


def families(http):
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(families, name):
    return sum(
        sample.value for sample in families[name].samples if sample.name.endswith("_total"))


def test_vllm_s_names_are_there(http, chat, server):
    assert http.post("/v1/chat/completions", json=chat).status_code == 200
    found = families(http)
    for names, kind in [(GAUGES, "gauge"), (COUNTERS, "counter"), (HISTOGRAMS, "histogram")]:
        for name in names:
            assert found[name].type == kind, name
            for sample in found[name].samples:
                assert sample.labels["model_name"] == server.model


def test_no_family_is_there_twice(http):
    text = http.get("/metrics").text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_counters_count(http, chat):
    before = families(http)
    usage = http.post("/v1/chat/completions", json=chat).json()["usage"]
    after = families(http)
    made = value(after, "vllm:generation_tokens") - value(before, "vllm:generation_tokens")
    assert made == usage["completion_tokens"]
    assert value(after, "vllm:request_success") == value(before, "vllm:request_success") + 1


def test_histograms_are_histograms(http, chat):
    http.post("/v1/chat/completions", json=chat)
    found = families(http)
    for name in HISTOGRAMS:
        buckets = [s for s in found[name].samples if s.name == f"{name}_bucket"]
        counts = [sample.value for sample in buckets]
        assert counts == sorted(counts) and buckets[-1].labels["le"] == "+Inf"
        total, = [s.value for s in found[name].samples if s.name == f"{name}_count"]
        assert counts[-1] == total
    first, = [
        s.value for s in found["vllm:time_to_first_token_seconds"].samples
        if s.name.endswith("_count")]
    assert first >= 1
