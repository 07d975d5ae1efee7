"""The server ends in order: SIGTERM under load."""

import concurrent.futures
import json
import signal
import time

import httpx
import pytest

BODY = {"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "stream": True}


def read(server, seed, begun, **more):
    """Streams to the end: the events' data, and when the last came."""
    data = []
    with httpx.stream("POST", server.url + "/v1/completions", json={**BODY, "seed": seed, **more}, timeout=120) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            if line.startswith("data: "):
                data.append(line[6:])
                begun.add(seed)
    return data, time.monotonic()


def finished(data):
    return data[-1] == "[DONE]"


def broken_off(data):
    """Whether a stream ended with an error in it, and not with [DONE]."""
    return "[DONE]" not in data and "error" in json.loads(data[-1])


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_streams_finish(start):
    server = start("--drain-timeout", "60")
    begun = set()
    # Open before the server is told to end: it takes no new connections then.
    idle = httpx.Client(timeout=10)
    idle.get(server.url + "/health")
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        streams = [pool.submit(read, server, seed, begun) for seed in range(24)]
        wait_until(lambda: len(begun) == 24)
        server.terminate()
        time.sleep(0.1)
        try:
            health = idle.get(server.url + "/health")
            assert health.status_code == 503 and int(health.headers["retry-after"]) >= 1
            refused = idle.post(server.url + "/v1/completions", json=BODY)
            assert refused.status_code == 503 and refused.json()["error"]["type"] == "service_unavailable"
        except httpx.TransportError:
            # An idle connection may be closed instead.
            pass
        for stream in streams:
            data, _ = stream.result()
            assert finished(data) and len(data) > 300
    assert server.process.wait(10) == 0, server.errors()
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url + "/health")


def test_the_deadline(start):
    """What cannot finish in time is told so in its stream."""
    server = start("--drain-timeout", "1", "--max-num-seqs", "16")
    begun = set()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        streams = [pool.submit(read, server, seed, begun, n=16, temperature=1) for seed in range(12)]
        # All have been let in: what comes later gets 503.
        wait_until(lambda: begun and server.metric("vllm:num_requests_running") + server.metric("vllm:num_requests_waiting") == 12)
        begin = time.monotonic()
        server.terminate()
        results = [stream.result() for stream in streams]
    assert server.process.wait(10) == 0, server.errors()
    assert time.monotonic() - begin < 8, "the deadline of 1 s is long past"
    assert any(broken_off(data) for data, _ in results)
    for data, _ in results:
        assert finished(data) or broken_off(data), data[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(start, number):
    server = start("--drain-timeout", "30")
    # A connection that is kept must not keep the server.
    with httpx.Client() as client:
        client.get(server.url + "/health")
        begin = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(10) == 0, server.errors()
        assert time.monotonic() - begin < 5
