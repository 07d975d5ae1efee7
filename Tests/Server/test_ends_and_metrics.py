"""Requests that nobody waits for any more, and what the metrics say of all."""

import math
import re

import httpx
import pytest

from asking import MODEL, STORY


# Cancelling


@pytest.mark.parametrize("n", [1, 8])
def test_a_stream_that_is_dropped(server, client, n):
    begin = server.metric("vllm:generation_tokens_total")
    # Long enough that the end is not reached before the drop is seen.
    streams = [client.completions.create(
        model=MODEL, prompt=STORY, n=n, max_tokens=490, stream=True, extra_body={"ignore_eos": True})
        for _ in range(8)]
    for stream in streams:
        for _, _ in zip(range(3), stream, strict=False):
            pass
    assert server.metric("vllm:num_requests_running") > 0
    for stream in streams:
        stream.close()
    server.settle(10)
    assert server.metric("vllm:generation_tokens_total") - begin < 8 * n * 490, "nothing was cut short"
    assert client.completions.create(model=MODEL, prompt=STORY, max_tokens=2).choices


def test_a_whole_answer_that_nobody_awaits(server):
    """A client that goes away while its answer is computed ends it."""
    begin = server.metric("vllm:generation_tokens_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url + "/v1/completions", timeout=0.3, json={
            "model": MODEL, "prompt": STORY, "n": 64, "max_tokens": 490, "ignore_eos": True})
    server.settle(10)
    assert server.metric("vllm:generation_tokens_total") - begin < 64 * 490, "nothing was cut short"


# Metrics


def test_metrics(server, client):
    def counters():
        return {name: server.metric(name) for name in (
            "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total",
            "vllm:time_to_first_token_seconds_count", "vllm:e2e_request_latency_seconds_count",
            "vllm:inter_token_latency_seconds_count", "vllm:request_time_per_output_token_seconds_count",
            "vllm:prefix_cache_queries_total")}

    client.completions.create(model=MODEL, prompt=STORY, max_tokens=1)
    server.settle()
    before = counters()
    answer = client.completions.create(model=MODEL, prompt=STORY, max_tokens=9, extra_body={"ignore_eos": True})
    server.settle()
    after = counters()
    grown = {name: after[name] - before[name] for name in after}
    assert grown["vllm:prompt_tokens_total"] == answer.usage.prompt_tokens
    assert grown["vllm:generation_tokens_total"] == 9
    for name in ("vllm:request_success_total", "vllm:time_to_first_token_seconds_count",
                 "vllm:e2e_request_latency_seconds_count", "vllm:request_time_per_output_token_seconds_count"
                 ):
        assert grown[name] == 1, name
    assert grown["vllm:inter_token_latency_seconds_count"] == 8
    assert grown["vllm:prefix_cache_queries_total"] == answer.usage.prompt_tokens
    assert server.metric("zoo:kv_cache_pages_total") == 4096
    assert server.metric("vllm:kv_cache_usage_perc") == 0
    assert server.metric("vllm:request_success_total", finished_reason="length") > 0
    model = client.models.retrieve(MODEL).model_extra["attention"]
    for phase, operator in model.items():
        assert server.metric("zoo:attention_operator_info", phase=phase, operator=operator) == 1


def test_metrics_are_well_formed(server):
    text = httpx.get(server.url + "/metrics").text
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    helped = set(re.findall(r"^# HELP (\S+) ", text, re.M))
    seen = {}
    for name, labels, value in server.samples():
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        family = family if types.get(family) == "histogram" else name
        assert family in types and family in helped, name
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, f"{key} is there twice"
        seen[key] = value
    for family in (name for name, kind in types.items() if kind == "histogram"):
        series = {}
        for (name, labels), value in seen.items():
            if name == family + "_bucket":
                others = tuple(label for label in labels if label[0] != "le")
                series.setdefault(others, []).append((float(dict(labels)["le"]), value))
        assert series, family
        for others, buckets in series.items():
            buckets.sort()
            assert buckets[-1][0] == math.inf and buckets[-1][1] == seen[(family + "_count", others)]
            assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert text.endswith("\n")
