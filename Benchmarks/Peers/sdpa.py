"""Times PyTorch's scaled_dot_product_attention and `zoo` alternately, in one run on one machine.

    swift build -c release
    python Benchmarks/Peers/sdpa.py --threads 2
    python Benchmarks/Peers/sdpa.py --threads 2 --backward     # a forward and a backward pass together

Each case loads the same numbers into both. The two take turns (A B A B ...), never at once, so that a machine whose
speed drifts drifts for both; medians are compared. Peaks are register-only multiply-adds, measured in the same minute.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

try:
    import numpy as np
    import torch
    from safetensors.numpy import load_file, save_file
except ImportError as error:
    sys.exit(f"sdpa.py needs torch, numpy and safetensors (see Benchmarks/Peers/README.md): {error}")

# Float32 sums in another order differ by about 1e-6 on these inputs; a wrong mask or head differs by far more.
DIFFERENCE_LIMIT = 1e-4

# Both sides keep waiting threads spinning for a moment after a call; the other's turn begins when that is over.
SETTLE_SECONDS = 0.05


@dataclass(frozen=True)
class Case:
    """One problem, the operator that zoo runs it with, and how torch expresses it."""

    name: str
    length: int
    head_dim: int
    heads: int = 8
    kv_heads: int = 8
    causal: bool = False
    window: int = 0
    operator: str = "flash"

    @property
    def config(self) -> dict:
        config: dict = {"causal": True} if self.causal else {}
        if self.window:
            config["window"] = [self.window // 2, self.window // 2]
        return config

    @property
    def useful_flops(self) -> float:
        i = np.arange(self.length)
        if self.window:
            half = self.window // 2
            pairs = (np.minimum(i + half, self.length - 1) - np.maximum(i - half, 0) + 1).sum()
        else:
            pairs = (i + 1).sum() if self.causal else self.length**2
        return 4.0 * self.heads * self.head_dim * float(pairs)


def make_cases() -> list[Case]:
    cases = [
        Case(f"{'causal' if causal else 'full'} L{length} D{dim}", length, dim, causal=causal)
        for causal in (False, True) for dim in (64, 128) for length in (512, 1024, 2048, 4096)
    ]
    cases.append(Case("GQA 32/8 causal L2048 D128", 2048, 128, 32, 8, causal=True, operator="grouped-query"))
    cases.append(Case("window 256 L8192 D64", 8192, 64, window=256, operator="local"))
    return cases


class Worker:
    """A running `zoo bench-worker`: inputs loaded once, timed calls on request."""

    def __init__(self, zoo: str, case: Case, path: Path, threads: int) -> None:
        self.process = subprocess.Popen(
            [zoo, "bench-worker", "--operator", case.operator, "--input", str(path), "--config",
             json.dumps(case.config), "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line: str) -> dict:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"zoo bench-worker ended with status {self.process.wait()}")
        fields = json.loads(answer)
        if "error" in fields:
            sys.exit(f"zoo bench-worker answered '{line}' with: {fields['error']}")
        return fields

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait()


def torch_call(case: Case, tensors: dict[str, torch.Tensor]):
    """A function that computes the case in torch; the mask of a window is made outside of the timing."""
    mask = None
    if case.window:
        i = torch.arange(case.length)
        mask = (i[None, :] - i[:, None]).abs() <= case.window // 2

    def call() -> torch.Tensor:
        # Views, made inside so that they belong to the graph of a backward pass.
        q, k, v = (tensors[name].transpose(1, 2) for name in ("query", "key", "value"))
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=case.causal, enable_gqa=case.heads != case.kv_heads)

    return call


def torch_step(case: Case, tensors: dict[str, torch.Tensor]):
    """A function that computes the case and its gradients in torch; returns those of query, key and value."""
    leaves = {name: tensors[name].clone().requires_grad_() for name in ("query", "key", "value")}
    forward = torch_call(case, leaves)
    weights = tensors["output_gradient"].transpose(1, 2)

    def step() -> tuple[torch.Tensor, ...]:
        with torch.enable_grad():
            return torch.autograd.grad(forward(), tuple(leaves.values()), weights)

    return step


def largest_gradient_difference(zoo: str, case: Case, path: Path, step, threads: int) -> float:
    """How far the gradients are apart, as a part of the largest one of each operand."""
    output = path.with_name("gradients.safetensors")
    run = subprocess.run(
        [zoo, "run", case.operator, "--input", str(path), "--output", str(output), "--config", json.dumps(case.config),
         "--threads", str(threads), "--backward"], stdout=subprocess.DEVNULL)
    if run.returncode != 0:
        sys.exit(f"{case.name}: zoo run {case.operator} --backward ended with status {run.returncode}")
    ours = load_file(output)
    return max(
        float(np.abs(ours[f"{name}_gradient"] - theirs.numpy()).max() / max(1.0, np.abs(theirs.numpy()).max()))
        for name, theirs in zip(("query", "key", "value"), step()))


def largest_difference(zoo: str, case: Case, path: Path, call, threads: int) -> float:
    """How far the two outputs are apart: both must compute the same thing."""
    output = path.with_name("output.safetensors")
    run = subprocess.run(
        [zoo, "run", case.operator, "--input", str(path), "--output", str(output), "--config", json.dumps(case.config),
         "--threads", str(threads)], stdout=subprocess.DEVNULL)
    if run.returncode != 0:
        sys.exit(f"{case.name}: zoo run {case.operator} ended with status {run.returncode}")
    theirs = call().transpose(1, 2).numpy()
    return float(np.abs(load_file(output)["output"] - theirs).max())


def measure(zoo: str, case: Case, folder: Path, threads: int, rounds: int, backward: bool) -> dict:
    random = np.random.default_rng(7)
    arrays = {
        name: random.standard_normal((1, case.length, heads, case.head_dim), dtype=np.float32)
        for name, heads in (("query", case.heads), ("key", case.kv_heads), ("value", case.kv_heads))
    }
    if backward:
        arrays["output_gradient"] = random.standard_normal(arrays["query"].shape, dtype=np.float32)
    path = folder / "input.safetensors"
    save_file(arrays, path)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    call = torch_step(case, tensors) if backward else torch_call(case, tensors)
    compare = largest_gradient_difference if backward else largest_difference
    difference = compare(zoo, case, path, call, threads)
    # Written so that NaN fails too; the time of a wrong answer is worth nothing.
    if not difference <= DIFFERENCE_LIMIT:
        sys.exit(f"{case.name}: the outputs differ by {difference:.1e}, allowed {DIFFERENCE_LIMIT:.0e}")
    worker = Worker(zoo, case, path, threads)
    order = "step" if backward else "run"
    theirs: list[float] = []
    ours: list[float] = []
    peaks: list[float] = []
    call()
    # As many calls a turn as take a tenth of a second; the first of each turn warms caches and is not counted.
    calls = max(1, min(20, int(0.1 / min(worker.ask(f"{order} 2")["seconds"]))))
    for _ in range(rounds):
        theirs += timed(call, calls + 1)[1:]
        time.sleep(SETTLE_SECONDS)
        ours += worker.ask(f"{order} {calls + 1}")["seconds"][1:]
        peaks.append(worker.ask("peak")["gflops"])
        time.sleep(SETTLE_SECONDS)
    worker.close()
    peak = statistics.median(peaks)
    torch_median, zoo_median = statistics.median(theirs), statistics.median(ours)
    # A backward pass has five products for the forward's two.
    flops = case.useful_flops * (3.5 if backward else 1)
    return {
        "case": case.name, "direction": "forward and backward" if backward else "forward", "operator": case.operator, "threads": threads, "torch_ms": torch_median * 1e3,
        "zoo_ms": zoo_median * 1e3, "ratio": torch_median / zoo_median, "peak_gflops": peak,
        "torch_fraction": flops / torch_median / 1e9 / peak,
        "zoo_fraction": flops / zoo_median / 1e9 / peak, "max_difference": difference,
        "alternations": rounds,
    }


def timed(call, calls: int) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def find_zoo(given: str | None) -> str:
    candidates = [given] if given else [shutil.which("zoo"), ".build/release/zoo"]
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            return str(Path(candidate).resolve())
    sys.exit("sdpa.py: no zoo binary; build it with `swift build -c release` or name it with --zoo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="alternations, at least 5")
    parser.add_argument("--backward", action="store_true", help="time a forward and a backward pass together")
    parser.add_argument("--only", default="", help="run the cases whose name contains this text")
    parser.add_argument("--json", type=Path, help="write one JSON object a line")
    parser.add_argument("--zoo", help="the zoo binary")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("--rounds must be at least 5")
    zoo = find_zoo(options.zoo)
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), medians of {options.rounds} alternations")
    print(f"{'case':<28}{'torch ms':>10}{'zoo ms':>10}{'ratio':>8}{'torch %':>9}{'zoo %':>8}{'max diff':>11}")
    lines = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for case in make_cases():
            if options.only not in case.name:
                continue
            row = measure(zoo, case, Path(folder), options.threads, options.rounds, options.backward)
            lines.append(json.dumps(row))
            print(f"{row['case']:<28}{row['torch_ms']:>10.2f}{row['zoo_ms']:>10.2f}{row['ratio']:>7.2f}x"
                  f"{row['torch_fraction']:>9.1%}{row['zoo_fraction']:>8.1%}{row['max_difference']:>11.1e}", flush=True)
    if options.json:
        options.json.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
