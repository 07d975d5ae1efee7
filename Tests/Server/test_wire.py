"""The server's bytes on the wire, and what rude clients do to it. After each test the server must be well."""

import gzip
import json
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

import httpx
import httpx_sse
import jsonschema_rs
import pytest

from wire import Wire, once, request

DOCUMENT = json.loads(
    (pathlib.Path(__file__).resolve().parents[2] / "Sources/OpenAIServer/Resources/openapi.json").read_text())
STORY = {"prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}
TALK = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 12, "temperature": 0}
LONG = {**STORY, "max_tokens": 490, "ignore_eos": True}


def follows(name, value):
    """Fails when a value does not follow the schema of this name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, value)


def refused(reply, *statuses):
    assert reply.status in statuses, (reply.status, reply.body[:300])
    assert reply["content-type"] == "application/json"
    assert re.fullmatch("[!-~]{1,128}", reply["x-request-id"])
    follows("Error", reply.json())
    return reply


@pytest.fixture(autouse=True)
def well(request):
    """After each test on the shared server it must still answer."""
    server = request.getfixturevalue("server") if "server" in request.fixturenames else None
    yield
    if server:
        assert once(server, "POST", "/v1/completions", STORY).status == 200


# Framing


@pytest.mark.parametrize("path, body, chunk", [
    ("/v1/completions", STORY, "CompletionChunk"), ("/v1/chat/completions", TALK, "ChatCompletionChunk")])
@pytest.mark.parametrize("usage", [False, True])
def test_bytes_of_a_stream(server, path, body, chunk, usage):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    reply = once(server, "POST", path, {**body, "stream": True, **options})
    assert reply.status == 200
    assert reply["content-type"] == "text/event-stream"
    assert reply["cache-control"] == "no-cache"
    assert reply["transfer-encoding"] == "chunked" and reply["content-length"] is None
    assert re.fullmatch("[!-~]{1,128}", reply["x-request-id"])
    assert b"\r" not in reply.body and reply.body.endswith(b"\n\n")
    events = reply.body[:-2].split(b"\n\n")
    for event in events:
        assert event.startswith(b"data: ") and b"\n" not in event, event
    *events, done = [event[6:] for event in events]
    assert done == b"[DONE]"
    values = [json.loads(event) for event in events]
    for value in values:
        follows(chunk, value)
        assert ("usage" in value) == usage
    if usage:
        *values, last = values
        assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0
        assert all(value["usage"] is None for value in values)
    reasons = [value["choices"][0]["finish_reason"] for value in values]
    assert reasons[-1] in ("stop", "length") and set(reasons[:-1]) <= {None}
    if "chat" in path:
        assert values[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert values[-1]["choices"][0]["delta"] == {}


def test_a_parser_of_events_reads_it(server):
    with httpx.Client(timeout=60) as client:
        with httpx_sse.connect_sse(client, "POST", server.url + "/v1/completions", json={**STORY, "stream": True}) as source:
            events = list(source.iter_sse())
    assert events[-1].data == "[DONE]"
    assert {(event.event, event.id, event.retry) for event in events} == {("message", "", None)}
    whole = httpx.post(server.url + "/v1/completions", json=STORY).json()["choices"][0]["text"]
    assert "".join(json.loads(event.data)["choices"][0]["text"] for event in events[:-1]) == whole


@pytest.mark.parametrize("path, body, schema", [
    ("/v1/completions", {**STORY, "logprobs": 2, "echo": True, "prompt_logprobs": 1}, "Completion"),
    ("/v1/completions", {**STORY, "n": 2, "temperature": 1}, "Completion"),
    ("/v1/chat/completions", TALK, "ChatCompletion"),
    ("/v1/chat/completions", {**TALK, "logprobs": True, "top_logprobs": 2}, "ChatCompletion"),
    ("/tokenize", {"prompt": "a", "return_token_strs": True}, "TokenizeResponse"),
    ("/detokenize", {"tokens": [5, 6]}, "DetokenizeResponse")])
def test_headers_of_an_answer(server, path, body, schema):
    reply = once(server, "POST", path, body)
    assert reply.status == 200 and reply["content-type"] == "application/json"
    assert int(reply["content-length"]) == len(reply.body) and reply["x-request-id"]
    follows(schema, reply.json())


def test_headers_of_the_page(server):
    reply = once(server, "GET", "/")
    assert reply.status == 200 and reply["content-type"].startswith("text/html")
    assert "default-src 'none'" in reply["content-security-policy"]
    assert reply.body.startswith(b"<!doctype html>")
    metrics = once(server, "GET", "/metrics")
    assert metrics["content-type"].startswith("text/plain")
    assert once(server, "GET", "/openapi.json").json() == DOCUMENT


def test_no_chunk_cuts_a_character(server):
    tokens = once(server, "POST", "/tokenize", {"prompt": "🦊日é", "add_special_tokens": False}).json()["tokens"]
    body = {"prompt": tokens, "max_tokens": 200, "temperature": 2, "seed": 3, "ignore_eos": True,
            "allowed_token_ids": sorted(set(tokens))}
    reply = once(server, "POST", "/v1/completions", {**body, "stream": True})
    for chunk in reply.chunks:
        chunk.decode()
    texts = [json.loads(event[6:])["choices"][0]["text"] for event in reply.body.split(b"\n\n")[:-2]]
    whole = once(server, "POST", "/v1/completions", body).json()["choices"][0]["text"]
    assert "".join(texts) == whole and any(ord(character) > 0x7F for character in whole)


def test_comments_while_nothing_is_ready(start):
    server = start("--keep-alive", "0.05", "--max-num-seqs", "1")
    ahead = [Wire(server).send(request("POST", "/v1/completions", {**LONG, "stream": True, "n": 1})) for _ in range(4)]
    time.sleep(0.1)
    reply = once(server, "POST", "/v1/completions", {**STORY, "stream": True})
    comments, rest = [], []
    for event in reply.body[:-2].split(b"\n\n"):
        (comments if event.startswith(b":") else rest).append(event)
    assert comments and set(comments) == {b": keep-alive"}
    assert rest[-1] == b"data: [DONE]" and all(event.startswith(b"data: ") for event in rest)
    for wire in ahead:
        wire.close()
    server.settle()


# HTTP


def test_one_connection_serves_many_requests(server):
    with Wire(server) as wire:
        for _ in range(3):
            assert wire.send(request("GET", "/version")).reply().json()["version"]
            assert wire.send(request("POST", "/v1/completions", {**STORY, "stream": True})).reply().body.endswith(
                b"data: [DONE]\n\n")
            refused(wire.send(request("GET", "/nowhere")).reply(), 404)
            refused(wire.send(request("POST", "/v1/completions", b"{")).reply(), 400)


def test_pipelined_requests_are_answered_in_order(server):
    with Wire(server) as wire:
        wire.send(
            request("POST", "/v1/completions", {**STORY, "stream": True}) + request("GET", "/version")
            + request("POST", "/tokenize", {"prompt": "a"}) + request("GET", "/nowhere")
            + request("POST", "/v1/completions", STORY) + request("GET", "/health"))
        replies = [wire.reply() for _ in range(6)]
    assert [reply.status for reply in replies] == [200, 200, 200, 404, 200, 200]
    assert replies[0].body.endswith(b"data: [DONE]\n\n") and "version" in replies[1].json()
    assert "tokens" in replies[2].json() and "choices" in replies[4].json()


@pytest.mark.parametrize("path, body", [("/health", None), ("/v1/completions", STORY), ("/v1/completions", {**STORY, "stream": True})])
def test_http_1_0(server, path, body):
    with Wire(server) as wire:
        reply = wire.send(request("POST" if body else "GET", path, body, version="1.0")).reply()
        assert reply.status == 200
        assert reply["transfer-encoding"] is None, "HTTP/1.0 has no chunks"
        assert wire.closed(), "HTTP/1.0 keeps no connection that nobody asked to keep"
    if body and "stream" in body:
        assert reply.body.endswith(b"data: [DONE]\n\n")


def test_close_when_asked(server):
    with Wire(server, timeout=5) as wire:
        assert wire.send(request("GET", "/version", None, "Connection: close")).reply().status == 200
        assert wire.closed()


@pytest.mark.parametrize("method, path, allowed", [
    ("GET", "/v1/completions", "POST"), ("DELETE", "/v1/chat/completions", "POST"), ("POST", "/health", "GET"),
    ("PUT", "/v1/models", "GET"), ("PATCH", "/", "GET"), ("OPTIONS", "/v1/completions", "POST"),
    ("TRACE", "/metrics", "GET"), ("DELETE", "/v1/models/default", "GET"), ("HEAD", "/v1/completions", "POST")])
def test_other_methods(server, method, path, allowed):
    with Wire(server) as wire:
        reply = wire.send(request(method, path)).reply(body=method != "HEAD")
    if method != "HEAD":
        refused(reply, 405)
    assert reply.status == 405
    assert allowed in [name.strip() for name in reply["allow"].split(",")]


def test_paths(server):
    for path in ("/health?probe=1", "/v1/models?x=%ff&&=", "/v1/models/default?x"):
        assert once(server, "GET", path).status == 200, path
    for path in ("/nowhere", "/v1", "/v1/models/../../etc/passwd", "/v1/models/%2e%2e%2f", "/v1/models/%00", "/%",
                 "/v1/models/" + "a" * 4000, "/V1/models"):
        refused(once(server, "GET", path), 404, 400)


@pytest.mark.parametrize("kind, expected", [
    (None, 200), ("application/json", 200), ("application/json; charset=utf-8", 200), ("Application/JSON", 200),
    ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/jsonx", 415),
    ("multipart/form-data; boundary=x", 415), ("", 415), ("application", 415)])
def test_content_types(server, kind, expected):
    body = json.dumps(STORY).encode()
    lines = [f"Content-Length: {len(body)}"] + ([f"Content-Type: {kind}"] if kind is not None else [])
    reply = once(server, "POST", "/v1/completions", body, *lines, length=False)
    if kind == "":
        assert reply.status in (200, 415), "an empty type may count as none"
    else:
        assert reply.status == expected, reply.body
    if reply.status != 200:
        refused(reply, 415)


def test_a_packed_body(server):
    body = gzip.compress(json.dumps(STORY).encode())
    refused(once(server, "POST", "/v1/completions", body, "Content-Encoding: gzip"), 400, 415)


def test_a_body_in_chunks(server):
    body = json.dumps(STORY).encode()
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\n\r\n"
    with Wire(server) as wire:
        wire.send(request("POST", "/v1/completions", None, "Transfer-Encoding: chunked") + chunks)
        assert wire.reply().json()["choices"]


def test_no_body(server):
    refused(once(server, "POST", "/v1/completions"), 400, 411)
    refused(once(server, "POST", "/v1/completions", b""), 400, 411)


def test_a_client_that_waits_to_be_told_to_go_on(server):
    body = json.dumps(STORY).encode()
    with Wire(server, timeout=10) as wire:
        wire.send(request("POST", "/v1/completions", None, f"Content-Length: {len(body)}", "Content-Type: application/json",
                          "Expect: 100-continue"))
        wire.socket.settimeout(2)
        try:
            reply = wire.reply()
        except TimeoutError:
            pytest.fail("neither 100 Continue nor an answer within 2 s: clients that send Expect lose a second each time")
        assert reply.status == 100
        wire.socket.settimeout(30)
        assert wire.send(body).reply().status == 200


# Bodies


def test_a_body_that_is_too_long(server):
    body = json.dumps({**STORY, "user": "a" * (4 << 20)}).encode()
    # The length alone tells: the answer comes before the body.
    with Wire(server) as wire:
        wire.send(request("POST", "/v1/completions", None, f"Content-Length: {len(body)}", "Content-Type: application/json"))
        refused(wire.reply(), 413)
    with Wire(server) as wire:
        try:
            wire.send(request("POST", "/v1/completions", None, "Transfer-Encoding: chunked"))
            for begin in range(0, len(body), 1 << 16):
                part = body[begin:begin + (1 << 16)]
                wire.send(b"%x\r\n%s\r\n" % (len(part), part))
            wire.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            refused(wire.reply(), 413)
        except ConnectionResetError:
            # The client went on sending to a closed connection, so the answer may be lost on its way.
            pass
    with Wire(server) as wire:
        # Beyond 64 bits: no HTTP any more.
        wire.send(request("POST", "/v1/completions", None, "Content-Length: 999999999999999999999"))
        assert wire.reply().status in (400, 413)


def test_a_body_just_below_the_limit(server):
    body = {**STORY, "user": "a" * ((2 << 20) - 200)}
    assert once(server, "POST", "/v1/completions", body).status == 200


BODIES = [
    b"", b" ", b"null", b"3", b"[]", b'"text"', b"{", b"{}", b'{"prompt"}', b'{"prompt":}', b'{"prompt":"a",}',
    b'{"prompt":"a"}x', b"{'prompt':'a'}", b'{"prompt":"a"', b'{"prompt":"\xff\xfe"}', b'{"prompt":"\xc0\xaf"}',
    b'{"prompt":"\xed\xa0\x80"}', b'{"prompt":"\xf0\x9f\xa6"}', b'{"prompt":"a\x00"}', b'{"prompt":"\n"}',
    b'{"prompt":"\\x"}', b'{"prompt":"\\u12"}', b'{"prompt":"a","temperature":NaN}', b'{"prompt":"a","temperature":1e999}',
    b'{"prompt":"a","max_tokens":01}', b'{"prompt":"a","max_tokens":+1}', b'{"prompt":"a","seed":1e300}',
    b'{"prompt":"a","seed":99999999999999999999}', b'{"prompt":"a","max_tokens":-0.5}', b'{"prompt":[1e30]}',
    b"[" * 100_000, b'{"prompt":' + b"[" * 1_000_000, b'{"a":' * 100_000, b'{"prompt":"a","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b"\x00" * 1000, b"\xef\xbb\xbf{", bytes(range(256)), b'{"prompt":' + b"1" * 500_000 + b"}",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:30])[2:-1])
def test_bodies_that_are_no_request(server, body):
    reply = refused(once(server, "POST", "/v1/completions", body), 400)
    assert len(reply.body) < 4096, "an error does not repeat the body"


@pytest.mark.parametrize("body", [
    b'{"prompt":"\\ud83e\\udd8a","max_tokens":1}', b'{"prompt":"a","prompt":"b","max_tokens":1}',
    b'{"prompt":"a","max_tokens":1.0}', b'{"prompt":"a","max_tokens":1e0}', b' \n{ "prompt" : "a" , "max_tokens" : 1 } \r\n',
    b'{"\\u0070rompt":"a","max_tokens":1}', b'{"prompt":"\\u0000","max_tokens":1}'],
    ids=lambda body: repr(body[:30])[2:-1])
def test_unusual_bodies(server, body):
    assert once(server, "POST", "/v1/completions", body).status == 200


def test_half_a_pair_of_surrogates(server):
    assert once(server, "POST", "/v1/completions", b'{"prompt":"\\ud800","max_tokens":1}').status in (200, 400)


def test_a_long_word_does_not_hold_others_up(server):
    """A prompt of a megabyte is refused in bearable time, and the server answers others meanwhile."""
    for text in ("a" * (1 << 20), "ab " * (1 << 18), "🦊" * (1 << 17), " " * (1 << 20)):
        slow = {}

        def ask():
            begin = time.monotonic()
            slow["reply"] = once(server, "POST", "/v1/completions", {**STORY, "prompt": text})
            slow["seconds"] = time.monotonic() - begin

        thread = threading.Thread(target=ask)
        thread.start()
        begin = time.monotonic()
        assert once(server, "GET", "/health").status == 200
        assert time.monotonic() - begin < 1
        thread.join()
        refused(slow["reply"], 400)
        assert slow["seconds"] < 10, f"{text[:4]!r}: {slow['seconds']:.1f} s"


@pytest.mark.parametrize("prompt", [b"[]", b"[5]", b'"a"', b"[-1]"])
def test_many_prompts_do_not_hold_others_up(start, prompt):
    """A body may hold more prompts than any queue: they are refused at once, and the next request is answered."""
    server = start()
    body = b'{"max_tokens":1,"prompt":[' + (prompt + b",") * 200_000 + prompt + b"]}"
    refused(once(server, "POST", "/v1/completions", body), 400, 429)
    begin = time.monotonic()
    assert once(server, "POST", "/v1/completions", STORY).status == 200
    assert time.monotonic() - begin < 5


# Rude clients


MALFORMED = [
    b"GET\r\n\r\n", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    b"\x00" * 64, b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n", b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"b" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(20_000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:50])[2:-1])
def test_what_is_not_http(server, data):
    """Whatever is sent, the answer is a refusal or a closed connection, and not silence."""
    with Wire(server, timeout=10) as wire:
        try:
            wire.send(data)
            wire.socket.shutdown(socket.SHUT_WR)
            reply = wire.reply()
        except (EOFError, ConnectionResetError, BrokenPipeError, OSError) as error:
            assert not isinstance(error, TimeoutError), "neither an answer nor a close"
            return
        assert 400 <= reply.status < 500 or reply.status == 505, reply.status


def test_a_request_within_a_request(server):
    """Content-Length and chunks together are refused, or the connection ends: nothing hides behind a proxy."""
    hidden = request("GET", "/version", None, "X-Request-Id: hidden")
    with Wire(server, timeout=5) as wire:
        wire.send(b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                  % (5 + len(hidden)) + hidden)
        try:
            everything = wire.file.read()
        except TimeoutError:
            pytest.fail("the connection stays open after a request of two lengths")
        except ConnectionResetError:
            everything = b""
    assert b"x-request-id: hidden" not in everything.lower()


def test_half_a_connection(server):
    """A client that closes its side counts as gone, as one that closes both looks the same: no work is left, no end open."""
    begin = server.metric("vllm:generation_tokens_total")
    for body in (LONG, {**LONG, "stream": True}, {**LONG, "n": 16, "temperature": 1, "stream": True}):
        with Wire(server, timeout=10) as wire:
            wire.send(request("POST", "/v1/completions", body))
            if body.get("n"):
                wire.file.readline()
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.closed(), "the connection stays open"
    server.settle(5)
    assert server.metric("vllm:generation_tokens_total") - begin < 18 * 490, "nothing was cut short"


def test_half_a_connection_before_the_request_ends(server):
    with Wire(server) as wire:
        wire.send(request("POST", "/v1/completions", None, "Content-Length: 100") + b'{"prompt":')
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.closed()


def test_resets(server):
    begin = server.metric("vllm:generation_tokens_total")
    for number in range(20):
        wire = Wire(server)
        wire.send(request("POST", "/v1/completions", {**LONG, "n": 4, "temperature": 1, "stream": number % 4 != 3}))
        if number % 4 == 0:
            wire.file.read(2000)
        elif number % 4 == 1:
            wire.file.readline()
        wire.reset()
    server.settle(10)
    assert server.metric("vllm:generation_tokens_total") - begin < 20 * 4 * 490, "nothing was cut short"


def test_a_slow_head(start):
    server = start("--header-timeout", "1")
    wires = [Wire(server, timeout=15).send("GET /health HTTP/1.1\r\nHost: a\r\n") for _ in range(20)]
    silent = Wire(server, timeout=15)
    begin = time.monotonic()
    # A byte now and then must not lengthen the time.
    dripping = wires[0]
    while time.monotonic() - begin < 8:
        try:
            dripping.send(b"X")
        except OSError:
            break
        time.sleep(0.2)
    else:
        pytest.fail("a head that drips in is waited for without end")
    assert once(server, "GET", "/health").status == 200
    for wire in [*wires[1:], silent]:
        assert wire.closed(), "a head that never ends is waited for without end"
        wire.close()
    assert time.monotonic() - begin < 15


def test_a_slow_body(start):
    server = start("--header-timeout", "1")
    with Wire(server, timeout=15) as wire:
        wire.send(request("POST", "/v1/completions", None, "Content-Length: 1000", "Content-Type: application/json"))
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 8:
                wire.send(b" ")
                time.sleep(0.2)
            pytest.fail("a body that drips in is waited for without end")
        except OSError:
            pass
    with Wire(server, timeout=15) as wire:
        wire.send(request("POST", "/v1/completions", None, "Content-Length: 1000", "Content-Type: application/json") + b"{")
        refused(wire.reply(), 408)
        assert wire.closed()
    assert once(server, "POST", "/v1/completions", STORY).status == 200


def test_a_client_that_does_not_read(start):
    """What nobody reads is not computed for ever."""
    server = start("--write-timeout", "1")
    body = {**LONG, "n": 64, "temperature": 1, "stream": True, "logprobs": 20}
    with Wire(server, receive=4096) as wire:
        wire.send(request("POST", "/v1/completions", body))
        wire.file.read(100)
        server.settle(60)
        assert server.metric("vllm:generation_tokens_total") < 64 * 490, "everything was computed for nobody"
    assert once(server, "POST", "/v1/completions", STORY).status == 200


def test_a_request_that_takes_too_long(start):
    server = start("--request-timeout", "1", "--max-num-seqs", "16")
    body = {**LONG, "n": 4, "temperature": 1, "prompt": ["Once upon a time"] * 32}
    reply = once(server, "POST", "/v1/completions", body)
    refused(reply, 504)
    reply = once(server, "POST", "/v1/completions", {**body, "stream": True})
    *_, last = reply.body[:-2].split(b"\n\n")
    follows("Error", json.loads(last.removeprefix(b"data: ")))
    server.settle(5)


def test_more_connections_than_allowed(start):
    server = start("--max-connections", "8")
    wires = [Wire(server) for _ in range(24)]
    for wire in wires[:4]:
        wire.send(request("GET", "/version"))
        assert wire.reply().status == 200
    for wire in wires:
        wire.close()
    assert once(server, "POST", "/v1/completions", STORY).status == 200


def test_tls(start, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    server = start("--tls-cert", certificate, "--tls-key", key)
    assert server.scheme == "https"
    context = ssl.create_default_context(cafile=str(certificate))
    with Wire(server, context=context) as wire:
        assert wire.send(request("GET", "/version")).reply().json()["version"]
        reply = wire.send(request("POST", "/v1/completions", {**STORY, "stream": True})).reply()
        assert reply.body.endswith(b"data: [DONE]\n\n")
        assert wire.socket.version() in ("TLSv1.2", "TLSv1.3")
    old = ssl.create_default_context(cafile=str(certificate))
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Wire(server, context=old)
    with Wire(server, timeout=10) as wire:
        # Plain HTTP gets no answer, and no open end.
        wire.send(request("GET", "/health"))
        assert wire.closed()
    with Wire(server, context=context) as wire:
        assert wire.send(request("GET", "/health")).reply().status == 200
