"""Draws the result of sdpa.py as an SVG: each case's part of the machine's peak, PyTorch beside zoo.

    python Benchmarks/Peers/plot.py sdpa.jsonl docs/images/peak.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEFT, WIDTH, BAR, GAP = 210, 470, 9, 9
COLOURS = {"zoo": "#16803c", "torch": "#b45309"}


def bar(y: float, fraction: float, name: str) -> str:
    length = WIDTH * fraction
    return (f'<rect x="{LEFT}" y="{y:.1f}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[name]}"/>'
            f'<text x="{LEFT + length + 5:.1f}" y="{y + BAR - 1:.1f}" class="n">{fraction:.0%}</text>')


def draw(rows: list[dict]) -> str:
    step = 2 * BAR + GAP
    height = 60 + step * len(rows)
    threads = rows[0]["threads"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 {height}" width="740" height="{height}" role="img" '
        f'aria-label="Part of the machine\'s peak, zoo and PyTorch, {len(rows)} cases">',
        "<style>text{font:12px system-ui,sans-serif;fill:#444}.n{font-size:10px}.t{font-size:14px;font-weight:600}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>",
        f'<text x="10" y="20" class="t">Useful operations as a part of the multiply-add peak, {threads} threads</text>',
        f'<rect x="10" y="31" width="10" height="10" fill="{COLOURS["zoo"]}"/><text x="25" y="40">zoo</text>'
        f'<rect x="70" y="31" width="10" height="10" fill="{COLOURS["torch"]}"/>'
        f'<text x="85" y="40">PyTorch scaled_dot_product_attention</text>',
    ]
    for index, row in enumerate(rows):
        y = 52 + index * step
        parts.append(f'<text x="{LEFT - 8}" y="{y + BAR + 4}" text-anchor="end">{row["case"]}</text>')
        parts.append(bar(y, row["zoo_fraction"], "zoo"))
        parts.append(bar(y + BAR, row["torch_fraction"], "torch"))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    Path(sys.argv[2]).write_text(draw(rows))


if __name__ == "__main__":
    main()
