"""Starts `zoo serve` with the model that comes along, and ends it.

The binary is $ZOO, or .build/release/zoo of this checkout.
"""

import contextlib
import os
import pathlib
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time

import httpx
import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ZOO = os.environ.get("ZOO", str(ROOT / ".build/release/zoo"))
# Pages for 128 sequences of the model's length: a few dozen megabytes.
DEFAULTS = ["--page-count", "4096"]
LINE = re.compile(r'^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Server:
    """A running server: its address, its metrics, its end."""

    def __init__(self, *options, ready=True):
        self.options = options
        self.log = tempfile.TemporaryFile("w+")
        # Later options win, so a test may set its own.
        defaults = [] if "--page-count" in options else DEFAULTS
        self.process = subprocess.Popen(
            [ZOO, "serve", "--port", "0", *defaults, *map(str, options)],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        lines = queue.Queue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        self.output = lines
        match = None
        deadline = time.monotonic() + 60
        while match is None:
            try:
                line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"the server did not begin to listen:\n{self.errors()}")
            match = re.search(r"listening on (https?)://(\S+):(\d+)", line)
        self.scheme, self.host, self.port = match[1], match[2], int(match[3])
        self.url = f"{self.scheme}://{self.host}:{self.port}"
        if ready:
            self.wait_ready()

    def _read(self, lines):
        for line in self.process.stdout:
            lines.put(line)
        lines.put(None)

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + "/health", verify=False).status_code == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the server was not ready within {seconds} s:\n{self.errors()}")

    def errors(self):
        """The end of what the server wrote to standard error."""
        self.log.flush()
        # The child shares the position: only a handle of its own may move.
        with open(f"/dev/fd/{self.log.fileno()}" if os.name == "posix" else self.log.name) as text:
            return text.read()[-4000:]

    def client(self, key="none", **options):
        options.setdefault("max_retries", 0)
        options.setdefault("timeout", 120)
        return openai.OpenAI(base_url=self.url + "/v1", api_key=key, **options)

    def async_client(self, key="none", **options):
        options.setdefault("max_retries", 0)
        options.setdefault("timeout", 300)
        return openai.AsyncOpenAI(base_url=self.url + "/v1", api_key=key, **options)

    def post(self, path, body, **options):
        return httpx.post(self.url + path, json=body, timeout=120, **options)

    def samples(self, headers=None):
        """Every sample of /metrics: (name, labels, value)."""
        response = httpx.get(self.url + "/metrics", headers=headers, timeout=30)
        response.raise_for_status()
        found = []
        for line in response.text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = LINE.match(line)
            assert match, f"not a line of Prometheus' format: {line!r}"
            found.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))
        return found

    def metric(self, name, **labels):
        """The sum of a metric's samples that have these labels."""
        values = [
            value for sample, have, value in self.samples()
            if sample == name and all(have.get(key) == wanted for key, wanted in labels.items())]
        assert values, f"/metrics has no {name} with {labels}"
        return sum(values)

    def busy(self):
        """What is running, waiting, and in use."""
        return {name: self.metric(name) for name in
                ("vllm:num_requests_running", "vllm:num_requests_waiting", "zoo:kv_cache_pages_used")}

    def settle(self, seconds=30):
        """Waits until nothing runs or waits and every page is free."""
        deadline = time.monotonic() + seconds
        while any((busy := self.busy()).values()):
            assert time.monotonic() < deadline, f"still busy after {seconds} s: {busy}"
            time.sleep(0.05)

    def resident(self):
        """Bytes of memory that the process has."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    def revive(self):
        """Starts the server again where it has ended, so that one fault does not hide the others."""
        if self.process.poll() is not None:
            self.__init__(*self.options)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Ends the server; returns its exit status."""
        if self.process.poll() is None:
            self.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        return self.process.returncode


@pytest.fixture(scope="session")
def shared():
    """One server for all tests that need no options."""
    server = Server()
    yield server
    status = server.stop()
    assert status == 0, f"the server ended with {status}:\n{server.errors()}"


@pytest.fixture
def server(shared):
    """The shared server; after each test it must still be there, with nothing left behind."""
    shared.revive()
    yield shared
    assert shared.process.poll() is None, f"the server ended:\n{shared.errors()}"
    shared.settle()
    assert shared.post("/v1/completions", {"prompt": "Once", "max_tokens": 1}).status_code == 200


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture
def start():
    """Starts servers with options of a test's own, and ends them."""
    servers = []

    def make(*options, **more):
        servers.append(Server(*options, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
