"""ggml as a peer: ggml_flash_attn_ext of llama.cpp's CPU backend, through ctypes.

setup.sh builds the libraries; ZOO_GGML names their folder when it is another.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import numpy as np

from peer import Cannot, Loaded, absent, heads_first, serve
from rows import Row, to_bfloat16

FOLDER = Path(os.environ.get("ZOO_GGML", Path(__file__).parent / ".peers" / "ggml"))
SUFFIX = "dylib" if sys.platform == "darwin" else "so"

# enum ggml_type of ggml.h.
F32, F16, Q8_0, BF16 = 0, 1, 8, 30
TYPES = {"F32": F32, "F16": F16, "BF16": BF16, "INT8": Q8_0}

Pointer, Extent = ctypes.c_void_p, ctypes.c_int64


class InitParams(ctypes.Structure):
    """struct ggml_init_params."""

    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", Pointer), ("no_alloc", ctypes.c_bool)]


class Library:
    """The dozen functions that one attention call needs, with their C types."""

    def __init__(self, folder: Path) -> None:
        base, cpu = (ctypes.CDLL(str(folder / f"libggml-{name}.{SUFFIX}"), mode=ctypes.RTLD_GLOBAL)
                     for name in ("base", "cpu"))

        def function(library: ctypes.CDLL, name: str, result: object, *arguments: object):
            found = getattr(library, name)
            found.restype, found.argtypes = result, arguments
            return found

        whole, real = ctypes.c_int, ctypes.c_float
        self.version = function(base, "ggml_version", ctypes.c_char_p)().decode()
        self.init = function(base, "ggml_init", Pointer, InitParams)
        self.free = function(base, "ggml_free", None, Pointer)
        self.tensor = function(base, "ggml_new_tensor_3d", Pointer, Pointer, whole, Extent, Extent, Extent)
        self.attend = function(base, "ggml_flash_attn_ext", Pointer, *[Pointer] * 5, real, real, real)
        self.graph = function(base, "ggml_new_graph", Pointer, Pointer)
        self.expand = function(base, "ggml_build_forward_expand", None, Pointer, Pointer)
        self.data = function(base, "ggml_get_data", Pointer, Pointer)
        self.size = function(base, "ggml_nbytes", ctypes.c_size_t, Pointer)
        self.quantize = function(base, "ggml_quantize_chunk", ctypes.c_size_t, whole, Pointer, Pointer, Extent, Extent,
                                 Extent, Pointer)
        self.backend = function(cpu, "ggml_backend_cpu_init", Pointer)
        self.set_threads = function(cpu, "ggml_backend_cpu_set_n_threads", None, Pointer, whole)
        self.free_backend = function(base, "ggml_backend_free", None, Pointer)
        self.compute = function(base, "ggml_backend_graph_compute", whole, Pointer, Pointer)


class Attention:
    """A graph of one flash attention, with memory and backend of its own."""

    def __init__(self, library: Library, row: Row, threads: int) -> None:
        self.library, self.row = library, row
        operands = {name: heads_first(array)[0] for name, array in row.operands().items()}
        mask = row.visible() if row.mask != "full" else None
        # Operands, the result, the mask, and room for what describes them.
        room = 4 * sum(array.size for array in operands.values()) + 4 * operands["query"].size + (16 << 20)
        room += 0 if mask is None else 2 * mask.size
        self.context = library.init(InitParams(room, None, False))
        kind = TYPES[row.storage]
        q, k, v = self.put(operands["query"], F32), self.put(operands["key"], kind), self.put(operands["value"], kind)
        m = None if mask is None else self.put(np.where(mask, 0, -np.inf).astype(np.float32)[None], F16)
        self.result = library.attend(self.context, q, k, v, m, row.head_dim**-0.5, 0.0, 0.0)
        self.graph = library.graph(self.context)
        library.expand(self.graph, self.result)
        self.backend = library.backend()
        library.set_threads(self.backend, threads)

    def __del__(self) -> None:
        self.library.free_backend(self.backend)
        self.library.free(self.context)

    def put(self, array: np.ndarray, kind: int) -> int:
        """A tensor of [heads, length, headDim] Float32 numbers in another type."""
        tensor = self.library.tensor(self.context, kind, *reversed(array.shape))
        target = self.library.data(tensor)
        if kind == Q8_0:
            written = self.library.quantize(kind, array.ctypes.data, target, 0, array.size // array.shape[-1],
                                            array.shape[-1], None)
        else:
            if kind == F16:
                array = array.astype(np.float16)
            elif kind == BF16:
                array = to_bfloat16(array)
            written = array.nbytes
            ctypes.memmove(target, array.ctypes.data, written)
        if written != self.library.size(tensor):
            raise Cannot(f"a tensor of {self.library.size(tensor)} bytes was given {written}")
        return tensor

    def call(self) -> None:
        if self.library.compute(self.backend, self.graph) != 0:
            raise Cannot("ggml_backend_graph_compute failed")

    def results(self, _: object) -> dict[str, np.ndarray]:
        """ggml writes positions first, as zoo does."""
        shape = (1, self.row.queries, self.row.heads, self.row.head_dim)
        source = ctypes.cast(self.library.data(self.result), ctypes.POINTER(ctypes.c_float))
        return {"output": np.ctypeslib.as_array(source, shape).copy()}


def main() -> None:
    try:
        library = Library(FOLDER)
    except OSError as error:
        absent("ggml", f"its libraries are not in {FOLDER.name}/ ({error}); run Benchmarks/Peers/setup.sh")

    def load(row: Row, threads: int) -> Loaded:
        if row.backward:
            raise Cannot("ggml_flash_attn_ext has no gradients on the CPU")
        attention = Attention(library, row, threads)
        storage = {"INT8": ", Q8_0 cache"}.get(row.storage, f", {row.storage} keys and values")
        return Loaded(attention.call, attention.results, "ggml_flash_attn_ext" + storage)

    serve("ggml", library.version, load)


if __name__ == "__main__":
    main()
