"""Times zoo's server and llama.cpp's alternately on the same weights, with 1, 4 and 16 clients.

    Benchmarks/Peers/setup.sh engine
    python Benchmarks/Peers/server_peers.py --json bench-results/server.jsonl

Both serve the same random Llama in F32 on the same threads; `zoo bench serve` is the client of both, so that a token is
counted in the same way. Only one server runs at a time. A round starts each of them once and asks with every number of
clients; rounds alternate who comes first.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from bench_peers import SETTLE_SECONDS, Progress, find_zoo, machine
from engine_runs import LLAMA, run
from peer import Cannot
from peer_tables import insert
from server_shape import SERVED, write_both
from workers import HERE

MARKS = ("<!-- server: begin -->", "<!-- server: end -->")
CLIENTS = (1, 4, 16)
INPUT, OUTPUT = 128, 64
CONTEXT = 512
# A server that is not ready by then does not start.
READY_SECONDS = 120


class Server:
    """A process that serves, until the end of the block."""

    def __init__(self, command: list[str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        environment = dict(os.environ, LD_LIBRARY_PATH=str(LLAMA))
        try:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                            env=environment)
        except OSError as error:
            raise Cannot(f"'{Path(command[0]).name}' cannot be started: {error.strerror}") from error

    def __enter__(self) -> "Server":
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=1) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                pass
            time.sleep(0.1)
        self.process.kill()
        raise Cannot(f"'{Path(self.process.args[0]).name}' did not become ready")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def commands(binary: str, directory: Path, file: Path, threads: int, port: int) -> dict[str, list[str]]:
    """How each is started."""
    slots = max(CLIENTS)
    return {
        "zoo": [binary, "serve", "--model", str(directory), "--port", str(port), "--threads", str(threads),
                "--max-model-len", str(CONTEXT), "--log-level", "warning"],
        "llama": [str(LLAMA / "llama-server"), "-m", str(file), "--port", str(port), "-t", str(threads), "-tb",
                  str(threads), "-np", str(slots), "-c", str(slots * CONTEXT), "--no-webui"]}


def measure(binary: str, server: str, clients: int, prompts: int, seed: int) -> dict:
    """What `zoo bench serve` says of so many clients."""
    answer = run([binary, "bench", "serve", "--url", server, "--prompts", str(prompts), "--max-concurrency",
                  str(clients), "--input-len", str(INPUT), "--output-len", str(OUTPUT), "--vocabulary",
                  str(SERVED.vocabulary), "--seed", str(seed), "--json", "-"])
    return json.loads(answer.splitlines()[-1])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of everybody (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--prompts", type=int, default=2, help="requests of each client (default 2)")
    parser.add_argument("--json", type=Path, help="write machine facts and one JSON object for each number of clients")
    parser.add_argument("--into", type=Path, help="a Markdown file whose marks take the table")
    parser.add_argument("--zoo", help="the zoo binary (default .build/release/zoo)")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    binary, progress, begin = find_zoo(options.zoo), Progress(), time.monotonic()
    try:
        progress.say(f"making {SERVED.name} ready")
        directory, file = write_both(HERE / ".peers" / "server")
    except Cannot as reason:
        print(reason, file=sys.stderr)
        return 1
    found: dict[str, dict[int, list[dict]]] = {name: {clients: [] for clients in CLIENTS} for name in ("zoo", "llama")}
    reasons: dict[str, str] = {}
    for number in range(options.rounds):
        for name in list(found)[:: 1 if number % 2 == 0 else -1]:
            port = free_port()
            try:
                with Server(commands(binary, directory, file, options.threads, port)[name], port) as server:
                    for clients in CLIENTS:
                        progress.say(f"round {number + 1}: {name} with {clients} clients")
                        time.sleep(SETTLE_SECONDS)
                        found[name][clients].append(
                            measure(binary, server.url, clients, clients * options.prompts, number))
            except Cannot as reason:
                reasons[name] = str(reason)
    progress.clear()
    lines = []
    for clients in CLIENTS:
        line = {"kind": "server", "clients": clients, "rounds": options.rounds, "input": INPUT, "output": OUTPUT,
                "results": {name: summary(runs[clients], reasons.get(name)) for name, runs in found.items()}}
        pairs = [a["outputTokensPerSecond"] / b["outputTokensPerSecond"]
                 for a, b in zip(found["zoo"][clients], found["llama"][clients])]
        line["ratio"] = statistics.median(pairs) if pairs else None
        lines.append(line)
        print(text(line))
    version = (LLAMA / "version").read_text().strip() if (LLAMA / "version").exists() else "missing"
    facts = machine([], binary) | {"peers": {"llama.cpp": version}, "threads": options.threads}
    print(f"\n{facts['cpu']}, {options.threads} threads, llama.cpp {version}; {time.monotonic() - begin:.0f} s")
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in [facts, *lines]))
    if options.into:
        insert(section(facts, lines), options.into, MARKS)
    return 1 if reasons else 0


def section(facts: dict, lines: list[dict]) -> str:
    """The table of docs/benchmarks.md."""
    parts = [f"{facts['cpu']}, {facts['threads']} threads; llama.cpp {facts['peers']['llama.cpp']}; medians of "
             f"{lines[0]['rounds']} rounds.", "",
             "| clients | zoo, tokens/s | llama.cpp | zoo is | first token, zoo | llama.cpp | further ones, zoo | llama.cpp |",
             "|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for line in lines:
        zoo, llama = line["results"]["zoo"], line["results"]["llama"]

        def cell(result: dict, name: str, unit: str) -> str:
            return f"{result[name]:.1f}{unit}" if name in result else f"– ({result['reason']})"
        ratio = f"{line['ratio']:.2f}x" if line["ratio"] else "–"
        parts.append(
            f"| {line['clients']} | {cell(zoo, 'tokens_per_second', '')} | {cell(llama, 'tokens_per_second', '')} | {ratio} "
            f"| {cell(zoo, 'ttft_ms', ' ms')} | {cell(llama, 'ttft_ms', ' ms')} | {cell(zoo, 'tpot_ms', ' ms')} "
            f"| {cell(llama, 'tpot_ms', ' ms')} |")
    return "\n".join(parts) + "\n"


def summary(runs: list[dict], reason: str | None) -> dict:
    """Medians over rounds."""
    if not runs:
        return {"reason": reason or "not measured"}
    return {"tokens_per_second": statistics.median(run["outputTokensPerSecond"] for run in runs),
            "ttft_ms": statistics.median(run["ttft"]["p50"] for run in runs) * 1e3,
            "tpot_ms": statistics.median(run["tpot"]["p50"] for run in runs) * 1e3}


def text(line: dict) -> str:
    """A line of the terminal's table for each server."""
    rows = []
    for name, result in line["results"].items():
        head = f"{line['clients']:>3} clients{name:>8}"
        if "reason" in result:
            rows.append(f"{head}  - {result['reason']}")
            continue
        rows.append(f"{head}{result['tokens_per_second']:>9.1f} tok/s, first token {result['ttft_ms']:>7.0f} ms, "
                    f"then {result['tpot_ms']:>6.1f} ms each")
    if line["ratio"]:
        rows.append(f"{'zoo is':>18} {line['ratio']:.2f}x as fast")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
