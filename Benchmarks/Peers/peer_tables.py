"""Turns the JSON lines of bench_peers.py into the Markdown tables of docs/benchmarks.md.

    python Benchmarks/Peers/peer_tables.py peers.jsonl                             # prints them
    python Benchmarks/Peers/peer_tables.py peers.jsonl --into docs/benchmarks.md   # between the two marks of that file
    python Benchmarks/Peers/peer_tables.py peers.jsonl again.jsonl                 # rows measured again replace others

A cell of a peer holds milliseconds, the peer's time over zoo's, and its part of the peak; a ratio below 1 is bold.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench_peers import FAR, FAR_ROUNDS, FAR_SECONDS
from rows import all_rows
from workers import TITLES

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"

GROUPS = {
    "full": "Full attention",
    "causal": "Causal attention",
    "sparse": "A window, and a tenth of the blocks",
    "BF16": "Storage in BF16",
    "gradients": "A forward and a backward pass together",
    "decode": "One query of 32 heads on 8 key heads",
}
COUNTS = {1: "one thread", 2: "two threads"}


def read(paths: list[Path]) -> tuple[dict, list[dict]]:
    """The machine's facts and the rows in their usual order; of rows measured twice the later ones."""
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    facts = [line for line in lines if line["kind"] == "machine"]
    rows = {(line["row"], line["threads"]): line for line in lines if line["kind"] == "row"}
    if not facts or not rows:
        sys.exit(f"peer_tables.py: no rows of bench_peers.py in {', '.join(map(str, paths))}")
    order = {row.name: place for place, row in enumerate(all_rows())}
    return facts[-1], sorted(rows.values(), key=lambda line: (order.get(line["row"], len(order)), line["threads"]))


def ratio_text(ratio: float) -> str:
    """Above 1 zoo is faster; what is not is bold."""
    return f"{ratio:.2f}" if ratio >= 1 else f"**{ratio:.2f}**"


def cell(result: dict, name: str, note: dict[str, str]) -> str:
    if "ms" not in result:
        return "wrong" if result.get("wrong") else f"– {note[result['reason']]}"
    if name == "zoo":
        return f"{result['ms']:.2f}, {result['fraction']:.0%}"
    ratio = f", {ratio_text(result['ratio'])}" if result["ratio"] else ""
    return f"{result['ms']:.2f}{ratio}, {result['fraction']:.0%}"


def table(rows: list[dict], note: dict[str, str]) -> list[str]:
    """One table; its columns are whoever is named in its rows."""
    names = [name for name in TITLES if any(name in row["results"] for row in rows)]
    lines = ["| case | " + " | ".join(TITLES[name] for name in names) + " | fastest peer | max difference |",
             "|---|" + "---:|" * (len(names) + 2)]
    for row in rows:
        results = row["results"]
        ratios = {name: result["ratio"] for name, result in results.items() if name != "zoo" and result.get("ratio")}
        best = min(ratios, key=ratios.__getitem__) if ratios else None
        apart = [result["difference"] for result in results.values() if "difference" in result]
        cells = [cell(results[name], name, note) if name in results else "" for name in names]
        cells.append(f"{TITLES[best]} {ratio_text(ratios[best])}" if best else "")
        cells.append(f"{max(apart):.0e}" if apart else "")
        lines.append(f"| {row['row'].removesuffix(' gradients')} | " + " | ".join(cells) + " |")
    return lines


def losses(rows: list[dict]) -> list[str]:
    """Every peer that was faster somewhere."""
    found = [
        f"- {row['row']}, {COUNTS.get(row['threads'], str(row['threads']) + ' threads')}: {TITLES[name]} takes "
        f"{result['ratio']:.2f} of zoo's time"
        for row in rows for name, result in row["results"].items()
        if name != "zoo" and result.get("ratio") and result["ratio"] < 1
    ]
    return found or ["None in this run."]


def document(facts: dict, rows: list[dict]) -> str:
    """All tables, what the empty cells mean, and the losses."""
    reasons = list(dict.fromkeys(
        result["reason"] for row in rows for result in row["results"].values()
        if "reason" in result and not result.get("wrong")))
    note = {reason: f"({number})" for number, reason in enumerate(reasons, 1)}
    versions = ", ".join(f"{TITLES[name]} {version}" for name, version in facts["peers"].items()
                         if name != "torch-rows")
    parts = [
        f"{facts['cpu']}, {facts['cores']} cores, {facts['date'][:10]}; {versions}. Medians of "
        f"{rows[0]['alternations']} alternations; of {FAR_ROUNDS} for a peer that takes more than {FAR} times as long "
        f"as zoo and {FAR_SECONDS} s a call. Cells: milliseconds, the peer's time over zoo's (below 1 the peer is "
        "faster: bold), and the part of the peak of the same round. With fewer threads lengths up to 2048, and the "
        "sparse ones.", ""]
    for threads in sorted({row["threads"] for row in rows}, reverse=True):
        for group, title in GROUPS.items():
            chosen = [row for row in rows if row["threads"] == threads and row["group"] == group]
            if chosen:
                parts += [f"### {title}, {COUNTS.get(threads, f'{threads} threads')}", "", *table(chosen, note), ""]
    if note:
        parts += ["Empty cells: " + "; ".join(f"{number} {reason}" for reason, number in note.items()) + ".", ""]
    called = {name: list(dict.fromkeys(row["results"][name]["how"] for row in rows
                                       if "how" in row["results"].get(name, {}))) for name in TITLES if name != "zoo"}
    parts += ["What was called:", ""]
    parts += [f"- {TITLES[name]}: " + "; ".join(f"`{how}`" for how in hows) for name, hows in called.items() if hows]
    parts += ["", "### Where a peer is faster", "", *losses(rows)]
    return "\n".join(parts) + "\n"


def insert(text: str, path: Path, marks: tuple[str, str]) -> None:
    """Replaces what stands between two marks of a page; ends the program when they are not there."""
    begin, end = marks
    page = path.read_text()
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        sys.exit(f"{Path(sys.argv[0]).name}: '{path}' needs the marks '{begin}' and '{end}' once each, in this order")
    before, rest = page.split(begin)
    path.write_text(before + begin + "\n" + text + end + rest.split(end)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, nargs="+", help="what bench_peers.py --json wrote")
    parser.add_argument("--into", type=Path, help=f"a Markdown file with the marks '{BEGIN}' and '{END}'")
    options = parser.parse_args()
    text = document(*read(options.lines))
    if not options.into:
        print(text, end="")
        return
    insert(text, options.into, (BEGIN, END))


if __name__ == "__main__":
    main()
