"""Turns the JSON lines of engine_peers.py into the engine's sections of docs/benchmarks.md.

    python Benchmarks/Peers/engine_tables.py engine.jsonl                             # prints them
    python Benchmarks/Peers/engine_tables.py engine.jsonl --into docs/benchmarks.md   # between the marks of that file
    python Benchmarks/Peers/engine_tables.py engine.jsonl again.jsonl                 # the later one replaces the other

There are two sections, each between two marks of its own: speeds beside llama.cpp, and pages.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engine_decode import HEAD_DIM, HEADS, KV_HEADS, ORDERS
from engine_memory import DECODING, LENGTHS, PAPER, WIDTHS
from engine_peers import TASKS
from engine_runs import Llama
from peer_tables import insert, ratio_text

SPEED_MARKS = ("<!-- engine: begin -->", "<!-- engine: end -->")
MEMORY_MARKS = ("<!-- engine pages: begin -->", "<!-- engine pages: end -->")
MISSING = "–"


class Notes:
    """Reasons of empty cells, numbered in the order of their first use."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def cell(self, reason: str | None) -> str:
        """An empty cell with the number of its reason; without one it has not been measured."""
        reason = reason or "not measured"
        return f"{MISSING} ({self.numbers.setdefault(reason, len(self.numbers) + 1)})"

    def lines(self) -> list[str]:
        if not self.numbers:
            return []
        said = [f"({number}) {reason.rstrip('.')}" for reason, number in self.numbers.items()]
        return ["", f"Empty cells: {'; '.join(said)}."]


def read(paths: list[Path]) -> tuple[dict, list[dict]]:
    """The machine's facts and the measurements, of those made twice the later ones."""
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    facts: dict = {}
    found: dict[tuple, dict] = {}
    for line in lines:
        if line["kind"] == "machine":
            # A run without llama.cpp does not make its version unknown.
            version = line["peers"]["llama.cpp"]
            known = facts.get("peers", {}).get("llama.cpp", version)
            facts = line | {"peers": {"llama.cpp": known if version == "not measured" else version}}
            continue
        key = tuple(line.get(name) for name in ("kind", "task", "keys", "decoding", "width", "lengths"))
        found[key] = line
    if not facts or not found:
        sys.exit(f"engine_tables.py: nothing of engine_peers.py in {', '.join(map(str, paths))}")
    return facts, list(found.values())


def speed_rows(lines: list[dict], notes: Notes) -> list[str]:
    by_task = {line["task"]: line for line in lines if line["kind"] == "engine"}
    rows = []
    for task, title in TASKS.items():
        results = by_task.get(task, {}).get("results", {})
        cells = []
        for name in ("zoo", Llama.name):
            result = results.get(name, {})
            if "tokens_per_second" not in result:
                cells += [notes.cell(result.get("reason")), ""]
                continue
            peak = (f"{result['of_multiply_adds']:.0%} of the multiply-adds" if task == "prompt"
                    else f"{result['of_read']:.0%} of the read")
            cells += [f"{result['tokens_per_second']:.1f}", peak]
        ratio = results.get(Llama.name, {}).get("ratio")
        rows.append(f"| {title} | " + " | ".join(cells) + f" | {ratio_text(ratio) if ratio else ''} |")
    speeds = {name: [by_task.get(task, {}).get("results", {}).get(name, {}).get("tokens_per_second")
                     for task in ("batch", "generation")] for name in ("zoo", Llama.name)}
    gains = [f"{batch / one:.2f}" if batch and one else MISSING for batch, one in speeds.values()]
    rows.append(f"| the batch over one text | {gains[0]} | | {gains[1]} | | |")
    return rows


def decode_rows(lines: list[dict], notes: Notes) -> list[str]:
    rows = []
    for line in lines:
        if line["kind"] != "decode":
            continue
        if "results" not in line:
            rows.append(f"| {line['keys']} | {notes.cell(line['reason'])} | | | | |")
            continue
        cells = {name: f"{result['ms']:.2f} ms, {result['of_read']:.0%} of the read"
                 for name, result in line["results"].items()}
        pages = [f"{cells[order]} | {ratio_text(line['ratio'][order])}" for order in ORDERS]
        rows.append(f"| {line['keys']} | {cells['contiguous']} | " + " | ".join(pages) + " |")
    return rows


def speed_section(facts: dict, lines: list[dict]) -> str:
    """Tables of tokens a second, and of decoding from pages."""
    notes = Notes()
    rounds = [line["rounds"] for line in lines if line["kind"] in ("engine", "decode")]
    parts = [
        f"{facts['cpu']}, {facts['threads']} threads, {facts['date'][:10]}; llama.cpp {facts['peers']['llama.cpp']}. "
        f"{facts['weights_per_token'] / 1e6:.0f} million weights in F32 for each token. Medians of {max(rounds)} "
        "alternations, tokens a second; the ratio is zoo's speed over llama.cpp's (below 1 llama.cpp is faster: bold).",
        "", "| task | zoo | of the peak | llama.cpp | of the peak | ratio |", "|---|---:|---:|---:|---:|---:|",
        *speed_rows(lines, notes)]
    decode = decode_rows(lines, notes)
    if decode:
        size = next(line["page_size"] for line in lines if line["kind"] == "decode")
        parts += ["", f"One query of {HEADS} heads on {KV_HEADS} key heads, head dim {HEAD_DIM}, F32: `grouped-query` "
                  f"on keys in one piece, `paged` on the same keys in pages of {size}, one after the other and in a "
                  "random order. A ratio is the time in one piece over that in pages.",
                  "", "| keys | one piece | pages in order | ratio | in random order | ratio |",
                  "|---:|---:|---:|---:|---:|---:|", *decode]
    return "\n".join(parts + notes.lines()) + "\n"


def memory_section(facts: dict, lines: list[dict]) -> str:
    """Tables of waste and of pages saved by sharing."""
    notes = Notes()
    parts = [f"{facts['date'][:10]}.", "", "| lengths | requests | mean prompt | mean output | waste | aim |",
             "|---|---:|---:|---:|---:|---:|"]
    for line in lines:
        if line["kind"] != "waste":
            continue
        aim = f"below {line['target']:.0%}" if line["target"] else ""
        if "waste" not in line:
            parts.append(f"| {line['lengths']} | | | | {notes.cell(line['reason'])} | {aim} |")
            continue
        means = [line[name] / line["requests"] for name in ("promptTokens", "outputTokens")]
        parts.append(f"| {line['lengths']} | {line['requests']} | {means[0]:.0f} | {means[1]:.0f} | "
                     f"{line['waste']:.1%} | {aim} |")
    by_row = {(line["decoding"], line["lengths"], line["width"]): line for line in lines if line["kind"] == "sharing"}
    parts += ["", "| pages saved by sharing | " + " | ".join(str(width) for width in WIDTHS)
              + f" | the paper, {WIDTHS[0]} to {WIDTHS[-1]} |", "|---|" + "---:|" * (len(WIDTHS) + 1)]
    for option, decoding in DECODING.items():
        for lengths in LENGTHS:
            found = [by_row.get((decoding, lengths, width), {}) for width in WIDTHS]
            cells = [f"{line['saved']:.1%}" if "saved" in line else notes.cell(line.get("reason")) for line in found]
            low, high = PAPER[option, lengths]
            parts.append(f"| {decoding}, {lengths} | " + " | ".join(cells) + f" | {low:.1%} to {high:.1%} |")
    return "\n".join(parts + notes.lines()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, nargs="+", help="what engine_peers.py --json wrote")
    parser.add_argument("--into", type=Path, help="a Markdown file with the marks of both sections")
    options = parser.parse_args()
    facts, lines = read(options.lines)
    sections = []
    if any(line["kind"] in ("engine", "decode") for line in lines):
        sections.append((SPEED_MARKS, speed_section(facts, lines)))
    if any(line["kind"] in ("waste", "sharing") for line in lines):
        sections.append((MEMORY_MARKS, memory_section(facts, lines)))
    for marks, text in sections:
        if options.into:
            insert(text, options.into, marks)
        else:
            print(text)


if __name__ == "__main__":
    main()
