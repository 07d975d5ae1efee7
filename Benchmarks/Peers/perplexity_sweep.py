"""Quantises the model that comes with zoo by every method and width, and measures what that does to its perplexity.

    python Benchmarks/Peers/perplexity_sweep.py --zoo .build/release/zoo --folder bench-results/quantised
    python Benchmarks/Peers/perplexity_sweep.py ... --svg docs/images/quantise.svg --into docs/quantisation.md
    python Benchmarks/Peers/perplexity_sweep.py ... --random --into docs/quantisation.md

The calibration text comes from the generator of the model's own training text with a seed of its own
(Training/default-model/corpus.py); the text that perplexity is measured on is the held-out text of the tests
(Tests/Fixtures/default-model/held-out.json). No text is in both.

With --random the model is a random Llama of hidden 1024 (random_model.py), and both texts are its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import random_model
from peer_tables import insert

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Training" / "default-model"))
import corpus  # noqa: E402

# The training took seed 1 and the held-out text seed 2.
CALIBRATION_SEED, CALIBRATION_CHARACTERS = 3, 400_000
METHODS = ("rtn", "gptq", "awq")
WIDTHS = (4, 3)


@dataclass(frozen=True)
class Subject:
    """A model and its texts."""

    title: str
    # None is the model that comes with zoo.
    model: Path | None
    group_size: int
    calibration: Path
    held: Path
    marks: tuple[str, str]
    # How the held-out text is cut into windows.
    windows: tuple[str, ...] = ()

    def option(self, name: str) -> list[str]:
        return [name, str(self.model)] if self.model else []


def default_subject(zoo: str, folder: Path) -> Subject:
    held = json.loads((ROOT / "Tests/Fixtures/default-model/held-out.json").read_text())["texts"]
    known = set(held)
    calibration = [t for t in corpus.corpus(CALIBRATION_SEED, CALIBRATION_CHARACTERS, with_documents=False)
                   if t not in known]
    assert not known & set(calibration)
    paths = folder / "calibration.txt", folder / "held-out.txt"
    for path, content in zip(paths, (calibration, held)):
        path.write_text("".join(content))
    # The hidden width of 416 is a multiple of 32 and of no larger power of two.
    return Subject("The model that comes with zoo", None, 32, *paths,
                   ("<!-- quantise: begin -->", "<!-- quantise: end -->"))


def random_subject(zoo: str, folder: Path) -> Subject:
    model = random_model.write_model(folder / "random-llama")
    # A character is a token.
    calibration = random_model.write_text(zoo, model, folder / "random-calibration.txt", 128 * 512, seed=1)
    held = random_model.write_text(zoo, model, folder / "random-held-out.txt", 32 * 512, seed=2)
    # A stretch of the text says nothing about the next one: random weights find a text likely after its own beginning.
    return Subject(f"A random Llama of hidden {random_model.SHAPE.hidden} and {random_model.LAYERS} layers", model, 128,
                   calibration, held, ("<!-- quantise-random: begin -->", "<!-- quantise-random: end -->"),
                   ("--context", str(random_model.STRETCH), "--overlap", "0"))


def run(command: list[str]) -> str:
    print(" ".join(command), file=sys.stderr, flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def quantise(zoo: str, folder: Path, subject: Subject, samples: int) -> list[Path]:
    """Every method at every width, in the layout of GPTQ, which has a place for all widths."""
    made = []
    for bits in WIDTHS:
        for method in METHODS:
            output = folder / f"{method}-{bits}"
            shutil.rmtree(output, ignore_errors=True)
            run([zoo, "quantize", "--method", method, "--bits", str(bits), "--group-size", str(subject.group_size),
                 "--format", "gptq-v2", "--calibration", str(subject.calibration), "--samples", str(samples),
                 "--output", str(output), "--report", str(folder / f"{method}-{bits}.html"), "--json",
                 *subject.option("--model")])
            made.append(output)
    return made


def section(subject: Subject, results: list[dict], samples: int) -> str:
    first = results[0]
    lines = [
        f"{subject.title}, groups of {subject.group_size}; {samples} stretches of 512 tokens of calibration; "
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
    parser.add_argument("--random", action="store_true", help="take a random Llama in place of the model of zoo")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    subject = (random_subject if given.random else default_subject)(given.zoo, given.folder)
    made = quantise(given.zoo, given.folder, subject, given.samples)
    command = [given.zoo, "quantize-report", "--file", str(subject.held), "--json", *subject.windows,
               *subject.option("--baseline"), *map(str, made)]
    if given.svg:
        command += ["--report", str(given.svg)]
    results = [json.loads(line) for line in run(command).splitlines()]
    table = section(subject, results, given.samples)
    if given.into:
        insert(table, given.into, subject.marks)
    else:
        print(table)


if __name__ == "__main__":
    main()
