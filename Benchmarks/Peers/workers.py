"""The processes that make the calls: peers behind the protocol of peer.py, and zoo behind `zoo bench-worker`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from peer import Cannot
from rows import Row, eight_bit, to_bfloat16

HERE = Path(__file__).parent

# Every peer, and the command that starts its worker.
PEERS = {
    "torch": ["torch_worker.py", "torch"],
    "torch-rows": ["torch_worker.py", "torch-rows"],
    "flex": ["torch_worker.py", "flex"],
    "onnxruntime": ["onnx_worker.py"],
    "ggml": ["ggml_worker.py"],
}

TITLES = {
    "zoo": "zoo", "torch": "PyTorch", "torch-rows": "PyTorch, group as rows", "flex": "FlexAttention",
    "onnxruntime": "ONNX Runtime", "ggml": "ggml",
}


class Lines:
    """A process that answers a line with a line of JSON."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None, log: Path | None = None) -> None:
        self.log = log
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            stderr=log.open("a") if log else None)

    def receive(self) -> dict:
        assert self.process.stdout
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:] if self.log else []
            raise Cannot(f"its worker ended with status {code}" + (f": {last[0][:200]}" if last else ""))
        return json.loads(answer)

    def ask(self, line: str) -> dict:
        assert self.process.stdin
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # What it says last, or its status, tells more.
        return self.receive()

    def close(self) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()


class Peer:
    """A peer's worker; one that has died is started anew for the next row."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.lines: Lines | None = None
        self.version, self.reason = "", ""
        try:
            self.start()
        except Cannot as reason:
            self.reason = str(reason)

    def start(self) -> None:
        environment = dict(os.environ)
        # Compiled code of FlexAttention outlives a run: it takes seconds for each row.
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(HERE / ".peers" / "inductor"))
        script, *arguments = PEERS[self.name]
        self.lines = Lines([sys.executable, str(HERE / script), *arguments], environment,
                           self.folder / f"{self.name}.log")
        greeting = self.lines.receive()
        if "reason" in greeting:
            raise Cannot(greeting["reason"])
        self.version = greeting["version"]

    def ask(self, **request: object) -> dict:
        if self.lines is None:
            self.start()
        assert self.lines
        try:
            answer = self.lines.ask(json.dumps(request))
        except Cannot:
            self.lines = None
            raise
        if "reason" in answer:
            raise Cannot(answer["reason"])
        return answer

    def applies(self, row: Row) -> bool:
        """Whether the row is one that this form of a peer is about."""
        return self.name != "torch-rows" or row.decode

    def load(self, row: Row, threads: int) -> str:
        """Makes a row ready; returns the call in words."""
        return self.ask(do="load", row=row.fields(), threads=threads)["how"]

    def run(self, count: int) -> list[float]:
        """Seconds of each call."""
        return self.ask(do="run", count=count)["seconds"]

    def results(self) -> dict[str, np.ndarray]:
        path = self.folder / f"{self.name}.npz"
        self.ask(do="write", path=str(path))
        with np.load(path) as file:
            found = dict(file)
        path.unlink()
        return found

    def close(self) -> None:
        if self.lines:
            self.lines.close()


class Zoo:
    """`zoo bench-worker` for one row after the other, with the peer's methods and those that measure the machine."""

    name = "zoo"

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.lines: Lines | None = None
        self.arguments: list[str] = []
        self.backward = False

    def load(self, row: Row, threads: int) -> str:
        """Makes a row ready; returns the call in words."""
        path = self.folder / "input.safetensors"
        write_tensors(path, zoo_operands(row))
        self.arguments = [row.operator, "--input", str(path), "--config", json.dumps(row.config()),
                          "--threads", str(threads)]
        self.backward = row.backward
        self.close()
        self.lines = Lines([self.binary, "bench-worker", "--operator", *self.arguments], log=self.folder / "zoo.log")
        self.run(1)
        return f"zoo {row.operator}" + (", a factor for each key and value" if row.storage == "INT8" else "")

    def alive(self) -> bool:
        """Whether its process can still measure."""
        return self.lines is not None and self.lines.process.poll() is None

    def ask(self, line: str) -> dict:
        assert self.lines
        answer = self.lines.ask(line)
        if "error" in answer:
            raise Cannot(answer["error"])
        return answer

    def run(self, count: int) -> list[float]:
        return self.ask(f"{'step' if self.backward else 'run'} {count}")["seconds"]

    def peak(self) -> float:
        """Billions of operations a second of multiply-adds on registers."""
        return self.ask("peak")["gflops"]

    def read(self) -> float:
        """Billions of bytes a second of a streaming read."""
        return self.ask("read")["gigabytes"]

    def results(self) -> dict[str, np.ndarray]:
        path = self.folder / "output.safetensors"
        path.unlink(missing_ok=True)
        command = [self.binary, "run", *self.arguments, "--output", str(path)] + ["--backward"] * self.backward
        run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise Cannot(f"'zoo run' ended with status {run.returncode}: {run.stderr.strip()[:300]}")
        found = read_tensors(path)
        names = ("query_gradient", "key_gradient", "value_gradient") if self.backward else ("output",)
        return {name: found[name] for name in names}

    def close(self) -> None:
        if self.lines:
            self.lines.close()


# safetensors is a length, a JSON header and the bytes: read here, since numpy has no BF16 and peers are optional.
FORMATS = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I8": np.int8, "I32": np.int32}


def zoo_operands(row: Row) -> dict[str, tuple[str, np.ndarray]]:
    """The row's operands under zoo's names, with their types."""
    operands = row.operands()
    if row.storage != "INT8":
        return {name: (row.storage, array) for name, array in operands.items()}
    found = {"query": ("F32", operands["query"])}
    for name in ("key", "value"):
        numbers, factors = eight_bit(operands[name], axis=3)
        found |= {name: ("I8", numbers), f"{name}_scales": ("F32", factors[..., 0])}
    return found


def write_tensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    """Arrays as safetensors of the types beside them."""
    header, blobs, offset = {}, [], 0
    for name, (kind, array) in tensors.items():
        blob = (to_bfloat16(array) if kind == "BF16" else array.astype(FORMATS[kind])).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every floating-point tensor as Float32."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if entry.get("dtype") not in FORMATS:
            continue
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[8 + size + begin:8 + size + end], FORMATS[entry["dtype"]])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        found[name] = array.astype(np.float32).reshape(entry["shape"])
    return found
