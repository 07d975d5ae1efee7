"""What rude clients do to the server. After each test it must be well."""

import json
import socket
import ssl
import subprocess
import time

import pytest

from wire import LONG, STORY, Wire, follows, once, refused, request


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
