"""Quantises the model that comes with zoo by every method and width, and measures what that does to its perplexity.

    python Benchmarks/Peers/perplexity_sweep.py --zoo .build/release/zoo --folder bench-results/quantised
    python Benchmarks/Peers/perplexity_sweep.py ... --svg docs/images/quantise.svg --into docs/quantisation.md

The calibration text comes from the generator of the model's own training text with a seed of its own
(Training/default-model/corpus.py); the text that perplexity is measured on is the held-out text of the tests
(Tests/Fixtures/default-model/held-out.json). No text is in both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from peer_tables import insert

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Training" / "default-model"))
import corpus  # noqa: E402

MARKS = ("<!-- quantise: begin -->", "<!-- quantise: end -->")
# The training took seed 1 and the held-out text seed 2.
CALIBRATION_SEED, CALIBRATION_CHARACTERS = 3, 400_000
# The hidden width of 416 is a multiple of 32 and of no larger power of two.
GROUP_SIZE = 32
METHODS = ("rtn", "gptq", "awq")
WIDTHS = (4, 3)


def texts(folder: Path) -> tuple[Path, Path]:
    """Writes the calibration text and the held-out text."""
    held = json.loads((ROOT / "Tests/Fixtures/default-model/held-out.json").read_text())["texts"]
    known = set(held)
    calibration = [t for t in corpus.corpus(CALIBRATION_SEED, CALIBRATION_CHARACTERS, with_documents=False)
                   if t not in known]
    assert not known & set(calibration)
    paths = folder / "calibration.txt", folder / "held-out.txt"
    for path, content in zip(paths, (calibration, held)):
        path.write_text("".join(content))
    return paths


def run(command: list[str]) -> str:
    print(" ".join(command), file=sys.stderr, flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def quantise(zoo: str, folder: Path, calibration: Path, samples: int) -> list[Path]:
    """Every method at every width, in the layout of GPTQ, which has a place for all widths."""
    made = []
    for bits in WIDTHS:
        for method in METHODS:
            output = folder / f"{method}-{bits}"
            shutil.rmtree(output, ignore_errors=True)
            run([zoo, "quantize", "--method", method, "--bits", str(bits), "--group-size", str(GROUP_SIZE), "--format",
                 "gptq-v2", "--calibration", str(calibration), "--samples", str(samples), "--output", str(output),
                 "--report", str(folder / f"{method}-{bits}.html"), "--json"])
            made.append(output)
    return made


def section(results: list[dict], samples: int) -> str:
    first = results[0]
    lines = [
        f"The model that comes with zoo, groups of {GROUP_SIZE}; {samples} stretches of 512 tokens of calibration; "
        f"{first['scored']} held-out tokens, windows of {first['context']}. Bits count scales, zeros and groups.",
        "", "| model | bits for a weight | perplexity | to the first |", "|---|---:|---:|---:|"]
    for result in results:
        name = result["quantization"] if result is first else result["name"].replace("-", ", ") + " bits"
        lines.append(f"| {name} | {result['bitsPerWeight']:.2f} | {result['perplexity']:.4f} | {result['ratio']:.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", default=str(ROOT / ".build/release/zoo"), help="the command line")
    parser.add_argument("--folder", type=Path, default=ROOT / "bench-results/quantised", help="where models are written")
    parser.add_argument("--samples", type=int, default=128, help="stretches of the calibration text")
    parser.add_argument("--svg", type=Path, help="draw perplexity against bits into this file")
    parser.add_argument("--into", type=Path, help="put the table between the marks of this file")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    calibration, held = texts(given.folder)
    made = quantise(given.zoo, given.folder, calibration, given.samples)
    command = [given.zoo, "quantize-report", "--file", str(held), "--json", *map(str, made)]
    if given.svg:
        command += ["--report", str(given.svg)]
    results = [json.loads(line) for line in run(command).splitlines()]
    table = section(results, given.samples)
    if given.into:
        insert(table, given.into, MARKS)
    else:
        print(table)


if __name__ == "__main__":
    main()
