"""Draws the result of bench_peers.py as an SVG: each case's part of the machine's peak, the peers beside zoo.

    python Benchmarks/Peers/plot.py peers.jsonl --svg docs/images/peak.svg --threads 2
"""

from __future__ import annotations

import argparse
from pathlib import Path

from peer_tables import read
from workers import TITLES

LEFT, WIDTH, BAR, GAP = 210, 470, 7, 9
# Readable on white and on black.
COLOURS = {"zoo": "#16803c", "torch": "#b45309", "onnxruntime": "#2563eb", "flex": "#a855f7", "ggml": "#64748b"}
GROUPS = ("full", "causal", "sparse")


def bar(y: float, fraction: float, name: str) -> str:
    length = WIDTH * fraction
    return (f'<rect x="{LEFT}" y="{y:.1f}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[name]}"/>'
            f'<text x="{LEFT + length + 5:.1f}" y="{y + BAR:.1f}" class="n">{fraction:.0%}</text>')


def legend(names: list[str]) -> list[str]:
    parts, x = [], 10
    for name in names:
        parts.append(f'<rect x="{x}" y="31" width="10" height="10" fill="{COLOURS[name]}"/>'
                     f'<text x="{x + 15}" y="40">{TITLES[name]}</text>')
        x += 35 + 7 * len(TITLES[name])
    return parts


def draw(rows: list[dict], threads: int) -> str:
    names = [name for name in COLOURS if any("ms" in row["results"].get(name, {}) for row in rows)]
    step = len(names) * (BAR + 1) + GAP
    height = 60 + step * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 {height}" width="740" height="{height}" role="img" '
        f'aria-label="Part of the machine\'s peak, zoo and its peers, {len(rows)} cases">',
        "<style>text{font:12px system-ui,sans-serif;fill:#444}.n{font-size:9px}.t{font-size:14px;font-weight:600}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>",
        f'<text x="10" y="20" class="t">Useful operations as a part of the multiply-add peak, '
        f'{threads} thread{"" if threads == 1 else "s"}</text>',
        *legend(names),
    ]
    for index, row in enumerate(rows):
        y = 52 + index * step
        parts.append(f'<text x="{LEFT - 8}" y="{y + (step - GAP) / 2 + 4:.1f}" text-anchor="end">{row["row"]}</text>')
        for place, name in enumerate(names):
            result = row["results"].get(name, {})
            if "ms" in result:
                parts.append(bar(y + place * (BAR + 1), result["fraction"], name))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, nargs="+", help="what bench_peers.py --json wrote")
    parser.add_argument("--svg", type=Path, required=True, help="the picture to write")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    _, rows = read(options.lines)
    chosen = [row for row in rows if row["threads"] == options.threads and row["group"] in GROUPS]
    if not chosen:
        parser.error(f"no row has {options.threads} threads and one of {', '.join(GROUPS)}")
    options.svg.write_text(draw(chosen, options.threads))


if __name__ == "__main__":
    main()
