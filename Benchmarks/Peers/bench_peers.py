"""Times zoo and every peer alternately, in one run on one machine, and checks that all compute the same.

    make bench-peers                                                      # sets the peers up, then everything
    python Benchmarks/Peers/bench_peers.py --quick
    python Benchmarks/Peers/bench_peers.py --rows "causal L2048*" --peers torch,ggml --threads 2
    python Benchmarks/Peers/bench_peers.py --json peers.jsonl             # then: peer_tables.py peers.jsonl

Each row gives the same numbers to all. They take turns (A B C, B C A, ...), never at once, so that a machine whose
speed drifts drifts for all. After each round of turns the machine's peaks are measured: multiply-adds on registers, and
a streaming read for decoding. Ratios and parts of the peak are of one round each, and their medians are shown. A result
that differs from zoo's (decoding: from Float64) is not compared in speed, and the run ends with status 1, as it does
when zoo itself cannot run a row.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"bench_peers.py needs numpy ({error}); run Benchmarks/Peers/setup.sh and use its python")

from peer import Cannot
from rows import LIMITS, QUICK, Row, all_rows
from workers import PEERS, TITLES, Peer, Zoo

# Everybody keeps waiting threads spinning for a moment after a call; the next turn begins when that is over.
SETTLE_SECONDS = 0.05
# A turn is as many calls as fill this time. Calls shorter than it need one that warms the caches and is not counted.
TURN_SECONDS = 0.1
MOST_CALLS = 20
# Whoever takes this many times as long as zoo, and this many seconds a call, is timed in the first rounds alone: no
# more turns would bring it near, and they would take most of the run.
FAR, FAR_SECONDS, FAR_ROUNDS = 2.5, 0.4, 2


class Progress:
    """One line that says what happens now, where somebody may be looking."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def say(self, text: str) -> None:
        if self.shown:
            print(f"\r\033[K{text[:110]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def turn(worker: Peer | Zoo, calls: int) -> list[float]:
    """Seconds of the counted calls of one turn."""
    time.sleep(SETTLE_SECONDS)
    return worker.run(calls + 1)[1:] if calls > 1 else worker.run(1)


def decode_reference(row: Row) -> dict[str, np.ndarray]:
    """Attention of one query in Float64."""
    operands = {name: array[0].astype(np.float64) for name, array in row.operands().items()}
    groups = operands["query"][0].reshape(row.kv_heads, -1, row.head_dim)
    scores = np.einsum("hgd,lhd->hgl", groups, operands["key"]) / np.sqrt(row.head_dim)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    output = np.einsum("hgl,lhd->hgd", weights, operands["value"])
    return {"output": output.reshape(1, 1, row.heads, row.head_dim)}


def difference(row: Row, results: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> float:
    """The largest difference; of gradients as a part of the largest one of each operand."""
    if results.keys() != reference.keys():
        raise Cannot(f"it wrote {', '.join(results)} instead of {', '.join(reference)}")
    found = []
    for name, right in reference.items():
        if results[name].shape != right.shape:
            raise Cannot(f"its {name} is {results[name].shape} instead of {right.shape}")
        scale = max(1.0, float(np.abs(right).max())) if row.backward else 1.0
        found.append(float(np.abs(results[name] - right).max()) / scale)
    # max() would drop a NaN that does not come first.
    return float("nan") if any(np.isnan(found)) else max(found)


def ready(
    row: Row, workers: list[Peer | Zoo], threads: int, progress: Progress
) -> tuple[dict, dict[str, int], list[str]]:
    """Loads a row everywhere and compares the results.

    Returns what is known so far, the calls of everybody's turns, and who is far behind.
    """
    known: dict[str, dict] = {}
    calls: dict[str, int] = {}
    estimates: dict[str, float] = {}
    reference = decode_reference(row) if row.decode else None
    for worker in workers:
        progress.say(f"{row.name}, {threads} thread(s): {TITLES[worker.name]} gets ready")
        if isinstance(worker, Peer) and worker.reason:
            known[worker.name] = {"reason": worker.reason}
            continue
        try:
            how = worker.load(row, threads)
            results = worker.results()
            reference = reference or results
            apart = difference(row, results, reference)
            known[worker.name] = {"how": how, "difference": apart}
            # Written so that NaN fails too; the time of a wrong answer is worth nothing.
            if not apart <= LIMITS[row.storage]:
                known[worker.name] |= {
                    "wrong": True,
                    "reason": f"its result differs by {apart:.1e}, allowed {LIMITS[row.storage]:.0e}"}
                continue
            seconds = worker.run(1)[0]
            if seconds < TURN_SECONDS:
                seconds = min(worker.run(2))
            estimates[worker.name] = seconds
            calls[worker.name] = max(1, min(MOST_CALLS, int(TURN_SECONDS / seconds)))
        except Cannot as reason:
            known[worker.name] = {"reason": str(reason)}
    far = [name for name, seconds in estimates.items()
           if seconds > max(FAR_SECONDS, FAR * estimates.get("zoo", seconds))]
    return known, calls, far


def summary(turns: list[list[float]], ours: list[list[float]] | None, least: list[float]) -> dict:
    """A worker's times; ratios and fractions pair what was measured in the same round."""
    medians = [statistics.median(times) for times in turns]
    ratios = [mine / statistics.median(times) for mine, times in zip(medians, ours or [])]
    every = [seconds for times in turns for seconds in times]
    return {
        "ms": statistics.median(medians) * 1e3, "fastest_ms": min(every) * 1e3, "slowest_ms": max(every) * 1e3,
        "turns": len(turns), "calls": len(every), "ratio": statistics.median(ratios) if ratios else None,
        "fraction": statistics.median(shortest / mine for mine, shortest in zip(medians, least))}


def measure(row: Row, zoo: Zoo, peers: list[Peer], threads: int, rounds: int, progress: Progress) -> dict:
    """One row with one number of threads."""
    workers = [zoo, *(peer for peer in peers if peer.applies(row))]
    known, calls, far = ready(row, workers, threads, progress)
    taking_part = [worker for worker in workers if worker.name in calls]
    if not zoo.alive():
        # Its process measures the peaks too: without them and without a partner times would say nothing.
        for worker in taking_part:
            known[worker.name]["reason"] = "not timed, since zoo cannot run the row"
        taking_part, rounds = [], 0
    turns: dict[str, list[list[float]]] = {worker.name: [] for worker in taking_part}
    peaks, reads = [], []
    for number in range(rounds):
        for place in range(len(taking_part)):
            worker = taking_part[(number + place) % len(taking_part)]
            if worker.name in far and number >= FAR_ROUNDS:
                continue
            progress.say(f"{row.name}, {threads} thread(s): {TITLES[worker.name]}, turn {number + 1} of {rounds}")
            turns[worker.name].append(turn(worker, calls[worker.name]))
        time.sleep(SETTLE_SECONDS)
        peaks.append(zoo.peak())
        if row.decode:
            reads.append(zoo.read())
    for name, seconds in turns.items():
        # The shortest time that the machine of each round allows.
        least = ([row.cache_bytes(name) / read / 1e9 for read in reads] if row.decode
                 else [row.flops() / peak / 1e9 for peak in peaks])
        known[name] |= summary(seconds, turns.get("zoo"), least)
        if row.decode:
            known[name]["cache_bytes"] = row.cache_bytes(name)
    return {
        "kind": "row", "row": row.name, "group": row.group, "storage": row.storage, "threads": threads,
        "alternations": rounds, "flops": row.flops(), "peak_gflops": statistics.median(peaks) if peaks else None,
        "read_gigabytes": statistics.median(reads) if reads else None,
        "bound": "read" if row.decode else "multiply-adds", "results": known}


def machine(peers: list[Peer], zoo: str) -> dict:
    """What the numbers were measured on and with."""
    model = platform.processor()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        names = [line.split(":", 1)[1].strip() for line in facts.read_text().splitlines()
                 if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "kind": "machine", "cpu": model, "cores": os.cpu_count(), "system": platform.platform(),
        "zoo": Path(zoo).name, "isa": os.environ.get("ZOO_ISA", "best"),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "peers": {peer.name: peer.version or f"missing: {peer.reason}" for peer in peers}}


def header(row: Row, peers: list[Peer]) -> str:
    return f"\n{row.group:<32}{'thr':>4}{'zoo ms':>10}{'peak':>6}" + "".join(
        f"{peer.name:>13}{'ratio':>7}{'peak':>6}" for peer in peers if peer.applies(row)) + f"{'max diff':>10}"


def text(line: dict) -> str:
    """A row of the table on the terminal; an empty cell has a reason in the JSON and below the table."""
    parts = [f"{line['row']:<32}{line['threads']:>4}"]
    for name, result in line["results"].items():
        width = 10 if name == "zoo" else 13
        if "ms" not in result:
            parts.append(f"{'WRONG' if result.get('wrong') else '-':>{width}}" + " " * (6 if name == "zoo" else 13))
            continue
        ratio = f"{result['ratio']:.2f}x" if result["ratio"] else "-"
        parts.append(f"{result['ms']:>{width}.2f}" + ("" if name == "zoo" else f"{ratio:>7}")
                     + f"{result['fraction']:>6.0%}")
    apart = [result["difference"] for result in line["results"].values() if "difference" in result]
    return "".join(parts) + (f"{max(apart):>10.1e}" if apart else "")


def reasons(lines: list[dict]) -> list[str]:
    """Every reason for an empty cell, once, with the rows it stands for."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        for name, result in line["results"].items():
            if "reason" in result:
                rows = found.setdefault((name, result["reason"]), [])
                if line["row"] not in rows:
                    rows.append(line["row"])
    return [f"  {name}: {reason} ({rows[0] if len(rows) == 1 else f'{len(rows)} rows'})"
            for (name, reason), rows in found.items()]


def find_zoo(given: str | None) -> str:
    for candidate in [given] if given else [".build/release/zoo", shutil.which("zoo")]:
        if candidate and Path(candidate).exists():
            return str(Path(candidate).resolve())
    sys.exit("bench_peers.py: no zoo binary; build it ('swift build -c release --product zoo') or name it with --zoo")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few small rows, two threads")
    parser.add_argument("--rows", default="*", help="rows to run: patterns such as 'causal*' or names, by commas")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"peers by commas: {', '.join(PEERS)}")
    parser.add_argument("--threads", help="numbers of threads by commas (default 1,2; quick: 2)")
    parser.add_argument("--rounds", type=int, default=5, help="alternations, at least 5 (default 5)")
    parser.add_argument("--json", type=Path, help="write machine facts and one JSON object a row")
    parser.add_argument("--zoo", help="the zoo binary (default .build/release/zoo)")
    parser.add_argument("--all-threads", action="store_true",
                        help="time lengths above 2048 with every number of threads, not with the largest alone")
    parser.add_argument("--list", action="store_true", help="print the names of all rows, and end")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("--rounds must be at least 5")
    options.peers = [name for name in options.peers.split(",") if name]
    for name in options.peers:
        if name not in PEERS:
            parser.error(f"no peer '{name}'; there are {', '.join(PEERS)}")
    try:
        options.threads = [int(part) for part in (options.threads or ("2" if options.quick else "1,2")).split(",")]
    except ValueError:
        parser.error(f"--threads takes numbers by commas, got '{options.threads}'")
    patterns = options.rows.split(",")
    options.chosen = [row for row in all_rows() if any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)
                      and (not options.quick or row.name in QUICK)]
    if not options.chosen:
        parser.error(f"no row matches '{options.rows}'; --list prints their names")
    return options


def main() -> int:
    options = arguments()
    if options.list:
        print("\n".join(row.name for row in options.chosen))
        return 0
    binary, progress, begin = find_zoo(options.zoo), Progress(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress.say("starting the peers")
        peers, zoo = [Peer(peer, folder) for peer in options.peers], Zoo(binary, folder)
        facts, lines = machine(peers, binary), []
        progress.clear()
        print(f"{facts['cpu']}, {facts['cores']} cores; medians of {options.rounds} alternations")
        for peer in peers:
            print(f"  {peer.name}: " + (peer.version or f"MISSING, {peer.reason}"))
        print("ratio: the peer's time over zoo's, above 1 zoo is faster; "
              "peak: of multiply-adds (decode: of a streaming read)")
        if options.json:
            options.json.write_text(json.dumps(facts) + "\n")
        group = ""
        for row in options.chosen:
            if row.group != group:
                print(header(row, peers))
                group = row.group
            for threads in options.threads:
                if row.long and threads != max(options.threads) and not options.all_threads:
                    continue
                line = measure(row, zoo, peers, threads, options.rounds, progress)
                lines.append(line)
                progress.clear()
                print(text(line), flush=True)
                if options.json:
                    with options.json.open("a") as file:
                        file.write(json.dumps(line) + "\n")
        for worker in (zoo, *peers):
            worker.close()
    empty = reasons(lines)
    if empty:
        print("\nEmpty cells:\n" + "\n".join(empty))
    print(f"\n{time.monotonic() - begin:.0f} s")
    wrong = any(result.get("wrong") for line in lines for result in line["results"].values())
    return 1 if wrong or any("ms" not in line["results"]["zoo"] for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
