"""Draws `zoo bench --json` as a roofline: operations a second against operations for each byte that must move.

    zoo bench --preset quick,lengths,causal,gqa,decode,window,sparse --json after.jsonl
    python Benchmarks/Peers/roofline.py after.jsonl --svg docs/images/roofline-all.svg
    python Benchmarks/Peers/roofline.py after.jsonl --before before.jsonl --families exact,sparse --svg exact.svg
    python Benchmarks/Peers/roofline.py one.jsonl two.jsonl --compact kept.jsonl      # only what a picture needs

Both roofs are those that the files hold: the multiply-add peak measured around every case, and the streaming read
measured around those of decoding, medians. Bytes that must move are query, key, value and output, each once. Points of
`--before` are hollow, scaled to the machine of the first files by the two peaks, and joined to what became of them.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
KEPT = ("kind", "operator", "case", "preset", "threads", "isa", "shape", "medianSeconds", "gflops", "peakGFLOPS",
        "peakGBPerSecond")

# Of a middle lightness: readable on white and on black.
COLOURS = ("#16803c", "#2563eb", "#d97706", "#a855f7", "#dc2626", "#0891b2", "#64748b", "#be185d")
REGISTRY = Path(__file__).parents[2] / "registry.json"

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 470, 62, 200, 44, 50


def results(paths: list[Path]) -> list[dict]:
    """The lines of operators that ran."""
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines() if line]
    found = [line for line in lines if line.get("kind") == "result" and line.get("gflops")]
    if not found:
        sys.exit(f"roofline.py: no results of 'zoo bench --json' in {', '.join(map(str, paths))}")
    return found


def roofs(lines: list[dict]) -> tuple[float, float]:
    """Billions of operations and of bytes a second."""
    reads = [line["peakGBPerSecond"] for line in lines if line.get("peakGBPerSecond")]
    if not reads:
        sys.exit("roofline.py: no streaming read was measured; the files need a case of decoding (preset decode)")
    return statistics.median(line["peakGFLOPS"] for line in lines), statistics.median(reads)


def intensity(line: dict) -> float:
    """Operations for each byte of query, key, value and output."""
    shape = line["shape"]
    queries = shape["queryLength"] * shape["heads"] * (shape["headDim"] + shape["valueDim"])
    keys = shape["keyLength"] * shape["kvHeads"] * (shape["headDim"] + shape["valueDim"])
    moved = shape["batch"] * (queries + keys) * BYTES[shape["dtype"]]
    return line["gflops"] * 1e9 * line["medianSeconds"] / moved


def compact(line: dict) -> str:
    """A result with the fields that a picture needs and five figures."""
    fields = {key: line[key] for key in KEPT if key in line}
    fields = {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in fields.items()}
    fields["shape"] = {key: value for key, value in line["shape"].items() if key != "mask"}
    return json.dumps(fields, separators=(",", ":"))


class Axes:
    """Logarithmic axes around some points and a roof."""

    def __init__(self, xs: list[float], ys: list[float]) -> None:
        self.x = [math.floor(math.log2(min(xs))), math.ceil(math.log2(max(xs)))]
        self.y = [math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))]

    def across(self, value: float) -> float:
        low, high = self.x
        return LEFT + (math.log2(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def up(self, value: float) -> float:
        low, high = self.y
        return HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[str]:
        parts = []
        # Labels of more than a dozen powers of two would touch.
        for power in range(self.x[0], self.x[1] + 1, 1 if self.x[1] - self.x[0] <= 12 else 2):
            x = self.across(2.0**power)
            parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" class="g"/>')
            label = f"{2**power}" if power >= 0 else f"1/{2**-power}"
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label}</text>')
        for power in range(self.y[0], self.y[1] + 1):
            y = self.up(10.0**power)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" class="g"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
        return parts


def mark(family: str, x: float, y: float, colour: str, hollow: bool, title: str) -> str:
    """A circle for exact operators, a square for sparse ones, a triangle for those of another mathematics."""
    size = 4.0
    paint = f'fill="none" stroke="{colour}"' if hollow else f'fill="{colour}" fill-opacity="0.85"'
    if family == "exact":
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {paint}>'
        end = "</circle>"
    else:
        path = (f"M{x - size:.1f} {y - size:.1f}h{2 * size}v{2 * size}h{-2 * size}z" if family == "sparse"
                else f"M{x:.1f} {y - size - 1:.1f}l{size + 1} {2 * size + 1}h{-2 * (size + 1)}z")
        shape, end = f'<path d="{path}" {paint}>', "</path>"
    return f"{shape}<title>{title}</title>{end}"


def described(line: dict) -> str:
    return f"{line['operator']}, {line['case']}: {line['gflops']:.1f} GFLOP/s at {intensity(line):.1f} for each byte"


def draw(lines: list[dict], before: list[dict], styles: dict[str, tuple[str, str]], peak: float, read: float) -> str:
    """The picture; `before` is on the scale of the same machine already."""
    everything = lines + before
    ridge = peak / read
    axes = Axes([ridge / 2, *map(intensity, everything)], [peak, *(line["gflops"] for line in everything)])
    low, high = 2.0**axes.x[0], 2.0**axes.x[1]
    names = [name for name in styles if any(line["operator"] == name for line in everything)]
    threads = lines[0]["threads"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="Roofline of {len(names)} operators, {len(lines)} measurements">',
        "<style>text{font:11px system-ui,sans-serif;fill:#444}.t{font-size:14px;font-weight:600}"
        ".g{stroke:#8886;stroke-width:.5}.r{stroke:#888;stroke-width:2;fill:none}.l{stroke-width:.7;opacity:.7}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>",
        f'<text x="10" y="20" class="t">Useful operations a second under the roofs of the same run, '
        f'{threads} thread{"" if threads == 1 else "s"}, {lines[0]["isa"]}</text>',
        *axes.grid(),
        f'<path d="M{axes.across(low):.1f} {axes.up(max(read * low, 10.0**axes.y[0])):.1f}'
        f'L{axes.across(ridge):.1f} {axes.up(peak):.1f}H{axes.across(high):.1f}" class="r"/>',
        f'<text x="{WIDTH - RIGHT - 4}" y="{axes.up(peak) - 6:.1f}" text-anchor="end">multiply-adds on registers, '
        f'{peak:.0f} GFLOP/s</text>',
        f'<text x="{axes.across(ridge / 2) + 8:.1f}" y="{axes.up(peak / 2) + 14:.1f}">streaming read, '
        f'{read:.0f} GB/s</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">operations for each byte of '
        "query, key, value and output</text>",
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})">GFLOP/s</text>',
    ]
    now = {(line["operator"], line["case"]): line for line in lines}
    for line in before:
        family, colour = styles[line["operator"]]
        x, y = axes.across(intensity(line)), axes.up(line["gflops"])
        if later := now.get((line["operator"], line["case"])):
            to = f"{axes.across(intensity(later)):.1f} {axes.up(later['gflops']):.1f}"
            parts.append(f'<path d="M{x:.1f} {y:.1f}L{to}" stroke="{colour}" class="l"/>')
        parts.append(mark(family, x, y, colour, True, "before: " + described(line)))
    for line in lines:
        family, colour = styles[line["operator"]]
        x, y = axes.across(intensity(line)), axes.up(line["gflops"])
        parts.append(mark(family, x, y, colour, False, described(line)))
    for place, name in enumerate(names):
        family, colour = styles[name]
        y = TOP + 8 + 19 * place
        parts.append(mark(family, WIDTH - RIGHT + 22, y, colour, False, name))
        parts.append(f'<text x="{WIDTH - RIGHT + 34}" y="{y + 4}">{name}</text>')
    if before:
        parts.append(f'<text x="{WIDTH - RIGHT + 16}" y="{TOP + 20 + 19 * len(names)}">hollow: before</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def operator_styles(families: list[str] | None) -> dict[str, tuple[str, str]]:
    """The family and the colour of every operator of the registry."""
    known, seen = {}, {}
    for entry in json.loads(REGISTRY.read_text())["operators"]:
        family = entry["family"] if entry["family"] in ("exact", "sparse") else "other"
        # Sparse operators begin in the middle of the colours, so that they differ from the exact ones beside them.
        place = seen[family] = seen.get(family, 4 if family == "sparse" else -1) + 1
        if not families or family in families:
            known[entry["id"]] = (family, COLOURS[place % len(COLOURS)])
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, nargs="+", help="JSON lines of 'zoo bench --json', of one machine")
    parser.add_argument("--before", type=Path, help="JSON lines of an earlier build, drawn hollow")
    parser.add_argument("--families", help="families of operators by commas: exact, sparse, other (default: all)")
    parser.add_argument("--presets", help="presets by commas (default: all that the files hold)")
    parser.add_argument("--svg", type=Path, help="the picture to write")
    parser.add_argument("--compact", type=Path, help="write the results again, with the fields of the picture alone")
    options = parser.parse_args()
    if not (options.svg or options.compact):
        parser.error("nothing to do: give --svg FILE or --compact FILE")
    lines = results(options.lines)
    if options.compact:
        options.compact.write_text("".join(compact(line) + "\n" for line in lines))
    if not options.svg:
        return
    families = options.families.split(",") if options.families else None
    if families and not set(families) <= {"exact", "sparse", "other"}:
        parser.error(f"--families takes exact, sparse and other, got '{options.families}'")
    styles, presets = operator_styles(families), options.presets.split(",") if options.presets else None
    peak, read = roofs(lines)
    before = results([options.before]) if options.before else []
    if before:
        earlier, earlier_read = roofs(before)
        for line in before:
            # What memory bounded moves with the read, all else with the multiply-adds.
            factor = read / earlier_read if line.get("peakGBPerSecond") else peak / earlier
            line["gflops"] *= factor
            line["medianSeconds"] /= factor
    lines, before = (
        [line for line in some if line["operator"] in styles and (not presets or line["preset"] in presets)]
        for some in (lines, before))
    if not lines:
        parser.error("no result is of these families and presets")
    options.svg.write_text(draw(lines, before, styles, peak, read))


if __name__ == "__main__":
    main()
