"""Times zoo's engine on weights of four bits and llama.cpp's on Q4_0 and Q4_K_M alternately, in one run on one machine.

    make bench-quantized                                             # sets llama.cpp up, then everything
    python Benchmarks/Peers/quantized_peers.py --rounds 5 --into docs/benchmarks.md

The decoder is that of engine_peers.py. zoo's weights are random numbers that `zoo quantize --method rtn` puts into four
bits in groups of 128, head included; llama.cpp's are blocks of random codes in the types that llama-quantize gives each
tensor: what they say does not change how long they take. After each round the machine's streaming read is measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_peers import SETTLE_SECONDS, Progress, find_zoo, machine
from engine_peers import TASKS
from engine_runs import BATCH, Calls, Llama, ZooEngine
from engine_shape import COMPARED, FLOAT_BYTES, Shape
from peer import Cannot
from peer_tables import insert, ratio_text
from server_shape import hugging_face_name, weights
from workers import HERE, write_tensors

MARKS = ("<!-- quantised: begin -->", "<!-- quantised: end -->")
FOLDER = HERE / ".peers" / "quantized"
BITS, GROUP = 4, 128
# Bytes of a block, weights of a block, and where its scales (F16) lie: ggml-common.h.
BLOCKS = {"Q4_0": (18, 32, (0,)), "Q4_K": (144, 256, (0, 2)), "Q6_K": (210, 256, (208,))}


def has_more_bits(layer: int, layers: int) -> bool:
    """Layers where llama-quantize's Q4_K_M gives values and the last product of the feed-forward layer six bits."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def tensor_type(name: str, shape: tuple[int, ...], kind: str, layers: int) -> str:
    """The type that llama-quantize gives a tensor."""
    if len(shape) == 1:
        return "F32"
    if name == "output.weight":
        return "Q6_K"
    if kind == "Q4_0":
        return "Q4_0"
    if ("attn_v" in name or "ffn_down" in name) and has_more_bits(int(name.split(".")[1]), layers):
        return "Q6_K"
    return "Q4_K"


def random_blocks(kind: str, count: int, numbers: np.random.Generator) -> np.ndarray:
    """So many weights as blocks of random codes with small scales."""
    size, each, scales = BLOCKS[kind]
    blocks = numbers.integers(0, 256, (count // each, size), dtype=np.uint8)
    for place in scales:
        blocks[:, place:place + 2] = np.frombuffer(np.float16(1e-3).tobytes(), np.uint8)
    return blocks


@dataclass(frozen=True)
class QuantizedShape:
    """The decoder with its tensors in the types that llama-quantize gives them."""

    kind: str

    def types(self) -> dict[str, str]:
        return {name: tensor_type(name, shape, self.kind, COMPARED.layers)
                for name, shape in COMPARED.tensors().items()}

    def bytes_per_token(self) -> int:
        """Bytes that one token reads at least: all but the table of embeddings."""
        shapes, total = COMPARED.tensors(), 0
        for name, kind in self.types().items():
            size, each, _ = BLOCKS.get(kind, (FLOAT_BYTES, 1, ()))
            if name != "token_embd.weight":
                total += int(np.prod(shapes[name])) // each * size
        return total

    def write_gguf(self, folder: Path) -> Path:
        """The decoder as random blocks, made once; returns the file."""
        return COMPARED.make_gguf(folder / f"{COMPARED.name}-{self.kind}.gguf", self._fill)

    def _fill(self, writer, gguf) -> None:
        writer.add_tokenizer_model("none")
        numbers, shapes = np.random.default_rng(1), COMPARED.tensors()
        for name, kind in self.types().items():
            if kind == "F32":
                writer.add_tensor(name, np.ones(shapes[name], np.float32))
                continue
            blocks = random_blocks(kind, int(np.prod(shapes[name])), numbers).reshape(shapes[name][0], -1)
            writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType[kind])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


class QuantizedLlama(Llama):
    """llama.cpp on a file of one of its types."""

    def __init__(self, kind: str, threads: int, repetitions: int) -> None:
        self.name, self.title = kind, f"llama.cpp {kind}"
        shape = QuantizedShape(kind)
        self.bytes_per_token = shape.bytes_per_token()
        super().__init__(shape, FOLDER, threads, repetitions)


class QuantizedZoo(ZooEngine):
    """`zoo bench engine` on a quantised directory."""

    weights = ()
    # Codes, and for each group of an output its scale and its zero in two bytes each.
    bytes_per_token = COMPARED.weights_per_token() * (BITS / 8 + 4 / GROUP)


def write_quantized(binary: str, shape: Shape) -> Path:
    """The decoder's weights as zoo quantises them, made once; returns the directory."""
    target = FOLDER / f"{shape.name}-rtn{BITS}"
    if (target / "config.json").exists():
        return target
    source = FOLDER / shape.name
    shape.write_config(source)
    write_tensors(source / "model.safetensors",
                  {hugging_face_name(name): ("F32", array) for name, array in weights(shape).items()})
    command = [binary, "quantize", "--model", str(source), "--method", "rtn", "--bits", str(BITS), "--group-size",
               str(GROUP), "--lm-head", "--output", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    shutil.rmtree(source)
    if done.returncode != 0:
        raise Cannot(f"'zoo quantize' ended with status {done.returncode}: {done.stderr.strip()[:300]}")
    return target


def measure(task: str, engines: list, peaks: Calls, rounds: int, progress: Progress) -> dict:
    """Tokens a second of everybody in every round, and what that is of the read of the same round."""
    speeds = {engine.name: [] for engine in engines}
    shares = {engine.name: [] for engine in engines}
    ratios: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for number in range(rounds):
        found = {}
        for engine in engines if number % 2 == 0 else engines[::-1]:
            progress.say(f"{TASKS[task]}: {engine.title}, round {number + 1} of {rounds}")
            time.sleep(SETTLE_SECONDS)
            found[engine.name] = getattr(engine, task)()
        read = peaks.read() * 1e9
        for engine in engines:
            speed = found[engine.name]
            speeds[engine.name].append(speed)
            ratios[engine.name].append(found["zoo"] / speed)
            shares[engine.name].append(speed * engine.bytes_per_token / (BATCH if task == "batch" else 1) / read)
    return {"kind": "quantized", "task": task, "rounds": rounds, "results": {
        engine.name: {
            "tokens_per_second": statistics.median(speeds[engine.name]), "slowest": min(speeds[engine.name]),
            "fastest": max(speeds[engine.name]), "ratio": statistics.median(ratios[engine.name]),
            "of_read": None if task == "prompt" else statistics.median(shares[engine.name])} for engine in engines}}


def table(facts: dict, lines: list[dict], engines: list) -> str:
    """The section of docs/benchmarks.md."""
    names = [engine.name for engine in engines]
    rows = [
        f"{facts['cpu']}, {facts['threads']} threads, {facts['date'][:10]}; llama.cpp {facts['peers']['llama.cpp']}. "
        f"{facts['weights_per_token'] / 1e6:.0f} million weights for each token: zoo in {BITS} bits, groups of {GROUP} "
        f"with zeros, head included, {engines[0].bytes_per_token / 1e6:.0f} MB; " +
        "; ".join(f"{engine.title}, {engine.bytes_per_token / 1e6:.0f} MB" for engine in engines[1:]) +
        f". Medians of {lines[0]['rounds']} alternations, tokens a second; the share is of the streaming read of the same "
        "round; ratios are zoo's speed over the other's (below 1 the other is faster: bold).", "",
        "| task | " + " | ".join(f"{engine.title} | of the read" for engine in engines) + " | " +
        " | ".join(f"over {name}" for name in names[1:]) + " |",
        "|---|" + "---:|" * (3 * len(engines) - 1)]
    for line in lines:
        cells = []
        for name in names:
            result = line["results"][name]
            cells += [f"{result['tokens_per_second']:.1f}", f"{result['of_read']:.0%}" if result["of_read"] else ""]
        cells += [ratio_text(line["results"][name]["ratio"]) for name in names[1:]]
        rows.append(f"| {TASKS[line['task']]} | " + " | ".join(cells) + " |")
    by_task = {line["task"]: line["results"] for line in lines}
    if {"batch", "generation"} <= set(by_task):
        cells = []
        for name in names:
            gain = by_task["batch"][name]["tokens_per_second"] / by_task["generation"][name]["tokens_per_second"]
            cells += [f"{gain:.2f}", ""]
        rows.append("| the batch over one text | " + " | ".join(cells + [""] * (len(names) - 1)) + " |")
    return "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of everybody (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="alternations (default 5)")
    parser.add_argument("--repetitions", type=int, default=3, help="prompts and single texts of a turn (default 3)")
    parser.add_argument("--json", type=Path, help="write machine facts and one JSON object for each measurement")
    parser.add_argument("--into", type=Path, help="put the table between the marks of this file")
    parser.add_argument("--zoo", help="the zoo binary (default .build/release/zoo)")
    options = parser.parse_args()
    for name in ("threads", "rounds", "repetitions"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; expected a number from 1 up")
    binary, progress = find_zoo(options.zoo), Progress()
    progress.say("making the weights ready")
    try:
        engines = [QuantizedZoo(binary, write_quantized(binary, COMPARED), options.threads, options.repetitions)]
        engines += [QuantizedLlama(kind, options.threads, options.repetitions) for kind in ("Q4_0", "Q4_K_M")]
        for engine in engines:
            if engine.reason:
                raise Cannot(engine.reason)
        one = np.zeros((1, 1, 1, 16), np.float32)
        peaks = Calls(binary, "flash", {"query": one, "key": one, "value": one}, options.threads)
        lines = [measure(task, engines, peaks, options.rounds, progress) for task in TASKS]
        peaks.close()
    except Cannot as reason:
        progress.clear()
        sys.exit(f"quantized_peers.py: {reason}")
    progress.clear()
    facts = machine([], binary) | {
        "peers": {"llama.cpp": engines[1].version}, "threads": options.threads,
        "weights_per_token": COMPARED.weights_per_token()}
    text = table(facts, lines, engines)
    print(text)
    if options.json:
        options.json.write_text("".join(json.dumps(line) + "\n" for line in [facts, *lines]))
    if options.into:
        insert(text, options.into, MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
