"""HTTP by hand: what is on the wire, byte by byte."""

import json
import pathlib
import re
import socket
import ssl
import struct

import jsonschema_rs

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


class Reply:
    """One response as it was read from a connection."""

    def __init__(self, file, body=True):
        line = file.readline()
        if not line:
            raise EOFError("the connection closed before a response")
        assert line.endswith(b"\r\n"), line
        version, status, *_ = line.split(b" ", 2)
        self.version, self.status = version.decode(), int(status)
        self.headers = []
        while (line := file.readline()) != b"\r\n":
            assert line.endswith(b"\r\n"), f"a header that does not end: {line!r}"
            name, _, value = line.partition(b":")
            self.headers.append((name.decode().lower(), value.strip().decode()))
        self.chunks = None
        if 100 <= self.status < 200 or self.status in (204, 304) or not body:
            self.body = b""
        elif self["transfer-encoding"] == "chunked":
            self.chunks = []
            while size := int(file.readline().split(b";")[0], 16):
                self.chunks.append(file.read(size))
                assert len(self.chunks[-1]) == size and file.read(2) == b"\r\n"
            assert file.readline() == b"\r\n"
            self.body = b"".join(self.chunks)
        elif self["content-length"] is not None:
            self.body = file.read(int(self["content-length"]))
            assert len(self.body) == int(self["content-length"])
        else:
            self.body = file.read()

    def __getitem__(self, name):
        values = [value for have, value in self.headers if have == name]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Wire:
    """A connection to a server."""

    def __init__(self, server, timeout=30, context=None, receive=None):
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(timeout)
        self.socket.connect((server.host, server.port))
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def reply(self, **options):
        return Reply(self.file, **options)

    def closed(self):
        """Whether the server has closed: reads to the end, and fails when there is none in time."""
        try:
            self.file.read()
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            pass
        except TimeoutError:
            return False
        return True

    def reset(self):
        """Ends the connection with a reset instead of an orderly close."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


def request(method, path, body=None, *headers, version="1.1", length=True):
    """A request's bytes; a body that is no bytes is written as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers]
    if body is not None and length:
        lines.append(f"Content-Length: {len(body)}")
        if not any(line.lower().startswith("content-type") for line in headers):
            lines.append("Content-Type: application/json")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def once(server, *parts, **options):
    """Sends one request on a connection of its own; its response."""
    with Wire(server) as wire:
        return wire.send(request(*parts, **options)).reply()
