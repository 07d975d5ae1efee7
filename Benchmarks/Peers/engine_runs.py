"""Single runs of llama.cpp's benchmarks and of `zoo bench engine`, what they say, and the machine's peaks."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from engine_shape import Shape
from peer import Cannot
from workers import HERE, Lines, read_tensors, write_tensors

LLAMA = HERE / ".peers" / "llama"
PROMPT, OUTPUT, BATCH = 512, 64, 8
# Longer than any run here: a run that has not ended by then hangs.
RUN_SECONDS = 1800


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """What a command prints.

    Raises Cannot with the last line of its errors when it fails.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=RUN_SECONDS)
    except OSError as error:
        raise Cannot(f"'{Path(command[0]).name}' cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Cannot(f"'{Path(command[0]).name}' did not end within {RUN_SECONDS} s") from error
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Cannot(f"'{Path(command[0]).name}' ended with status {done.returncode}"
                     + (f": {' '.join(said)[:300]}" if said else ""))
    return done.stdout


def field(answer: dict, *path: str) -> float:
    """A number of what `zoo bench engine` wrote."""
    value: object = answer
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Cannot(f"'zoo bench engine' has {'.'.join(path)} {value}, expected a number")
    return value


class Llama:
    """llama.cpp on a GGUF file: tokens a second, as its own benchmarks count them."""

    name, title = "llama", "llama.cpp"

    def __init__(self, shape: Shape, folder: Path, threads: int, repetitions: int) -> None:
        self.threads, self.repetitions = threads, repetitions
        self.reason, self.version = "", ""
        try:
            if not (LLAMA / "llama-bench").exists():
                raise Cannot("llama-bench is missing; run 'Benchmarks/Peers/setup.sh engine'")
            self.model = str(shape.write_gguf(folder))
            # A file that cannot be loaded shows here, before the first turn.
            self._bench(["-p", "1", "-n", "0", "-r", "1"])
            self.version = (LLAMA / "version").read_text().strip()
        except Cannot as reason:
            self.reason = str(reason)

    def _bench(self, arguments: list[str]) -> dict:
        text = run([str(LLAMA / "llama-bench"), "-m", self.model, "-t", str(self.threads), "-o", "json", *arguments])
        return json.loads(text)[0]

    def prompt(self) -> float:
        """A prompt alone, after one that is not counted."""
        answer = self._bench(["-p", str(PROMPT), "-n", "0", "-r", str(self.repetitions)])
        return statistics.median(answer["samples_ts"])

    def generation(self) -> float:
        """One text without a prompt, after a token that is not counted."""
        answer = self._bench(["-p", "0", "-n", str(OUTPUT), "-r", str(self.repetitions)])
        return statistics.median(answer["samples_ts"])

    def batch(self) -> float:
        """Several texts side by side: the tokens of all."""
        text = run([str(LLAMA / "llama-batched-bench"), "-m", self.model, "-t", str(self.threads), "-c", "2048",
                    "-npp", "1", "-ntg", str(OUTPUT), "-npl", str(BATCH), "--output-format", "jsonl"])
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        if len(lines) != 1 or lines[0]["pl"] != BATCH:
            raise Cannot(f"llama-batched-bench printed {len(lines)} results instead of one of {BATCH} texts")
        return lines[0]["speed_tg"]


class ZooEngine:
    """`zoo bench engine` on a folder with config.json: weights are random."""

    name, title, reason = "zoo", "zoo", ""
    # Where the numbers of the weights come from.
    weights: tuple[str, ...] = ("--random-weights", "1")

    def __init__(self, binary: str, model: Path, threads: int, repetitions: int = 1) -> None:
        self.binary, self.model, self.repetitions = binary, model, repetitions
        self.environment = dict(os.environ, ZOO_THREADS=str(threads))

    def measure(self, *arguments: str) -> dict:
        """The object that one run writes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "engine.json"
            run([self.binary, "bench", "engine", "--model", str(self.model), *self.weights, *arguments, "--json",
                 str(path)], self.environment)
            try:
                lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
            except (OSError, json.JSONDecodeError) as error:
                raise Cannot(f"'zoo bench engine --json' wrote no JSON lines: {error}") from error
        found = [line for line in lines if "requests" in line]
        if len(found) != 1:
            raise Cannot(f"'zoo bench engine --json' wrote {len(found)} runs instead of one")
        return found[0]

    def prompt(self) -> float:
        """A prompt alone, until its first token."""
        return PROMPT / self._seconds("ttft", PROMPT, 1, self.repetitions, "--max-concurrency", "1")

    def generation(self) -> float:
        """One text after a prompt of one token."""
        return 1 / self._seconds("tpot", 1, OUTPUT, self.repetitions, "--max-concurrency", "1")

    def batch(self) -> float:
        """Several texts side by side: the tokens of all."""
        return BATCH / self._seconds("tpot", 1, OUTPUT, BATCH)

    def _seconds(self, name: str, input_len: int, output_len: int, prompts: int, *more: str) -> float:
        answer = self.measure("--input-len", str(input_len), "--output-len", str(output_len),
                              "--prompts", str(prompts), *more)
        for count, expected in [("requests", prompts), ("promptTokens", input_len * prompts),
                                ("outputTokens", output_len * prompts)]:
            if field(answer, count) != expected:
                raise Cannot(f"'zoo bench engine' has {count} {answer[count]}, expected {expected}")
        seconds = field(answer, name, "p50")
        if not seconds > 0:
            raise Cannot(f"'zoo bench engine' has {name}.p50 {seconds}, expected more than 0")
        return seconds


class Calls:
    """Timed calls of one operator on one problem: `zoo bench-worker`, which measures the machine's peaks too."""

    def __init__(self, binary: str, operator: str, tensors: dict[str, np.ndarray], threads: int) -> None:
        # Kept until the end: operands are mapped, and what the worker says last is read when it dies.
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "input.safetensors"
        write_tensors(path, {name: ("I32" if array.dtype == np.int32 else "F32", array)
                             for name, array in tensors.items()})
        self.binary = binary
        self.arguments = [operator, "--input", str(path), "--threads", str(threads)]
        self.lines = Lines([binary, "bench-worker", "--operator", *self.arguments],
                           log=Path(self.folder.name) / "errors")
        self.run(1)

    def output(self) -> np.ndarray:
        """The result, by `zoo run`."""
        path = Path(self.folder.name) / "output.safetensors"
        run([self.binary, "run", *self.arguments, "--output", str(path)])
        return read_tensors(path)["output"]

    def _ask(self, line: str) -> dict:
        answer = self.lines.ask(line)
        if "error" in answer:
            raise Cannot(answer["error"])
        return answer

    def run(self, count: int) -> list[float]:
        """Seconds of each call."""
        return self._ask(f"run {count}")["seconds"]

    def peak(self) -> float:
        """Billions of operations a second of multiply-adds on registers."""
        return self._ask("peak")["gflops"]

    def read(self) -> float:
        """Billions of bytes a second of a streaming read."""
        return self._ask("read")["gigabytes"]

    def close(self) -> None:
        self.lines.close()
        self.folder.cleanup()
