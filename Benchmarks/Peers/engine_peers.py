"""Times zoo's engine and llama.cpp alternately on one decoder, in one run on one machine; then counts the engine's
pages.

    make bench-engine                                                     # sets llama.cpp up, then everything
    python Benchmarks/Peers/engine_peers.py --parts speed --rounds 3
    python Benchmarks/Peers/engine_peers.py --json engine.jsonl           # then: engine_tables.py engine.jsonl

The decoder is of the Llama family with random weights in F32 (engine_shape.py). zoo and llama.cpp take turns, never
at once, and who begins changes from round to round. After each pair of turns the machine's peaks are measured: a
streaming read and multiply-adds on registers. Ratios and fractions are of one round each, and their medians are shown.
What cannot run has its reason in the table. Status 1 when zoo cannot run something.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"engine_peers.py needs numpy ({error}); run 'Benchmarks/Peers/setup.sh engine' and use its python")

from bench_peers import SETTLE_SECONDS, Progress, find_zoo, machine
from engine_decode import DECODE_KEYS, decode_text, measure_decode
from engine_memory import measure_sharing, measure_waste, memory_text
from engine_runs import BATCH, OUTPUT, PROMPT, Calls, Llama, ZooEngine
from engine_shape import COMPARED, SMALL
from peer import Cannot
from workers import HERE

PARTS = ("speed", "decode", "memory")

# The method that measures a task, and what the task is called.
TASKS = {
    "prompt": f"prompt of {PROMPT} tokens",
    "generation": f"generation of {OUTPUT} tokens",
    "batch": f"generation of {OUTPUT} tokens, {BATCH} texts at once",
}


def median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def work(task: str) -> tuple[float, float]:
    """Bytes that a token reads at least, and its useful operations.

    A batch reads the weights once for all of its texts, a prompt for all of its tokens; of these the last alone needs
    the output's weights.
    """
    if task == "prompt":
        pairs = 2.0 * COMPARED.layers * COMPARED.heads * COMPARED.head_dim * (PROMPT + 1)
        outside = COMPARED.vocabulary * COMPARED.hidden
        layers = COMPARED.weights_per_token() - outside
        return COMPARED.bytes_per_token() / PROMPT, pairs + 2.0 * (layers + outside / PROMPT)
    texts = BATCH if task == "batch" else 1
    return COMPARED.bytes_per_token() / texts, 2.0 * COMPARED.weights_per_token()


def one_turn(engine: Llama | ZooEngine, task: str) -> float:
    time.sleep(SETTLE_SECONDS)
    return getattr(engine, task)()


def measure_task(task: str, engines: list[Llama | ZooEngine], peaks: Calls, rounds: int, progress: Progress) -> dict:
    """Tokens a second of everybody in every round, with ratios to zoo and fractions of the peaks of the same round."""
    known = {engine.name: {"reason": engine.reason} if engine.reason else {} for engine in engines}
    speeds: dict[str, dict[int, float]] = {engine.name: {} for engine in engines}
    reads, multiplies = [], []
    for number in range(rounds):
        order = engines if number % 2 == 0 else engines[::-1]
        for engine in order:
            if "reason" in known[engine.name]:
                continue
            progress.say(f"{TASKS[task]}: {engine.title}, round {number + 1} of {rounds}")
            try:
                speeds[engine.name][number] = one_turn(engine, task)
            except Cannot as reason:
                known[engine.name]["reason"] = str(reason)
        time.sleep(SETTLE_SECONDS)
        reads.append(peaks.read())
        multiplies.append(peaks.peak())
    size, operations = work(task)
    for engine in engines:
        mine, ours = speeds[engine.name], speeds["zoo"]
        if "reason" in known[engine.name]:
            continue
        known[engine.name] = {
            "tokens_per_second": median(list(mine.values())), "slowest": min(mine.values()),
            "fastest": max(mine.values()),
            "ratio": median([ours[number] / speed for number, speed in mine.items() if number in ours])
            if engine.name != "zoo" else None,
            "of_read": median([speed * size / reads[number] / 1e9 for number, speed in mine.items()]),
            "of_multiply_adds": median([speed * operations / multiplies[number] / 1e9
                                        for number, speed in mine.items()])}
    return {"kind": "engine", "task": task, "title": TASKS[task], "rounds": rounds, "read_gigabytes": median(reads),
            "peak_gflops": median(multiplies), "results": known}


def task_text(line: dict) -> str:
    """A line of the terminal's table for every engine."""
    rows = []
    for name, result in line["results"].items():
        if "reason" in result:
            rows.append(f"{line['title']:<46}{name:>7}  - {result['reason']}")
            continue
        ratio = f"zoo {result['ratio']:.2f}x" if result["ratio"] else ""
        rows.append(f"{line['title']:<46}{name:>7}{result['tokens_per_second']:>10.1f} tok/s{ratio:>12}"
                    f"{result['of_read']:>6.0%} of read{result['of_multiply_adds']:>6.0%} of multiply-adds")
    return "\n".join(rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"by commas: {', '.join(PARTS)} (default all)")
    parser.add_argument("--threads", type=int, default=2, help="threads of everybody (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="alternations (default 5)")
    parser.add_argument("--repetitions", type=int, default=3,
                        help="prompts and single texts of a turn (default 3)")
    parser.add_argument("--requests", type=int, default=200, help="requests of a run that counts pages (default 200)")
    parser.add_argument("--json", type=Path, help="write machine facts and one JSON object for each measurement")
    parser.add_argument("--zoo", help="the zoo binary (default .build/release/zoo)")
    options = parser.parse_args()
    for name in ("threads", "rounds", "repetitions", "requests"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; expected a number from 1 up")
    options.parts = options.parts.split(",")
    for name in options.parts:
        if name not in PARTS:
            parser.error(f"no part '{name}'; there are {', '.join(PARTS)}")
    return options


def measure_speeds(binary: str, options: argparse.Namespace, folder: Path, say: Callable[[dict, str], None],
                   progress: Progress) -> str:
    """All tasks; returns llama.cpp's version, or why it is missing."""
    progress.say(f"making {COMPARED.name} ready")
    llama = Llama(COMPARED, HERE / ".peers" / "engine", options.threads, options.repetitions)
    zoo = ZooEngine(binary, COMPARED.write_config(folder / COMPARED.name), options.threads, options.repetitions)
    one = np.zeros((1, 1, 1, 16), np.float32)
    peaks = Calls(binary, "flash", {"query": one, "key": one, "value": one}, options.threads)
    for task in TASKS:
        line = measure_task(task, [zoo, llama], peaks, options.rounds, progress)
        say(line, task_text(line))
    peaks.close()
    return llama.version or f"missing: {llama.reason}"


def main() -> int:
    options = arguments()
    binary, progress, begin, lines = find_zoo(options.zoo), Progress(), time.monotonic(), []

    def say(line: dict, text: str) -> None:
        lines.append(line)
        progress.clear()
        print(text, flush=True)

    version = "not measured"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "speed" in options.parts:
            version = measure_speeds(binary, options, folder, say, progress)
        if "decode" in options.parts:
            for keys in DECODE_KEYS:
                progress.say(f"one query on {keys} keys, in one piece and in pages")
                line = measure_decode(binary, keys, options.threads, options.rounds)
                say(line, decode_text(line))
        if "memory" in options.parts:
            small = ZooEngine(binary, SMALL.write_config(folder / SMALL.name), options.threads)
            for measure in (measure_waste, measure_sharing):
                for line in measure(small, options.requests, progress):
                    say(line, memory_text(line))
    facts = machine([], binary) | {
        "peers": {"llama.cpp": version}, "threads": options.threads,
        "weights_per_token": COMPARED.weights_per_token()}
    print(f"\n{facts['cpu']}, {options.threads} threads, llama.cpp {version}; {time.monotonic() - begin:.0f} s")
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in [facts, *lines]))
    failed = any("reason" in line or "reason" in line.get("results", {}).get("zoo", {}) for line in lines)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
