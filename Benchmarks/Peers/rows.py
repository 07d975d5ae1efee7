"""The problems that peers and zoo are timed on, their operands, and what a call has to compute and to read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

# Positions of a kept or dropped block, and the part of the blocks that is kept besides the diagonal ones.
BLOCK = 128
KEPT = 0.10

BYTES = {"F32": 4.0, "F16": 2.0, "BF16": 2.0, "INT8": 1.0}

# How far two right answers may be apart: Float32 sums in another order differ by about 1e-6, a wrong mask or head by
# far more than any of these. Gradients are compared as a part of the largest one, so that one limit fits them too.
# Sixteen bits: an output of about 1 rounded to them, and ggml rounds its queries and sums as well. Eight: a number of a
# cache errs by up to half of 1/127 of the largest one that shares its factor.
LIMITS = {"F32": 1e-4, "F16": 5e-3, "BF16": 2e-2, "INT8": 2e-2}


@dataclass(frozen=True)
class Row:
    """One problem of one sequence; `mask` is full, causal, window or blocks."""

    name: str
    group: str
    queries: int
    keys: int
    head_dim: int
    heads: int = 8
    kv_heads: int = 8
    mask: str = "full"
    window: int = 0
    storage: str = "F32"
    backward: bool = False
    operator: str = "flash"

    @property
    def decode(self) -> bool:
        return self.group == "decode"

    @property
    def long(self) -> bool:
        """Whether the row takes so long that fewer threads than the most are left out unless they are asked for."""
        return self.queries > 2048 and self.group != "sparse"

    def fields(self) -> dict:
        return asdict(self)

    def config(self) -> dict:
        """The options of zoo's operator."""
        if self.mask == "blocks":
            return {"blockSize": BLOCK, "layout": block_layout(self.queries).astype(int).tolist()}
        return {"full": {}, "causal": {"causal": True}, "window": {"window": [self.window - 1, 0]}}[self.mask]

    def pairs(self) -> float:
        """Query and key pairs that the mask lets through."""
        i = np.arange(self.queries, dtype=np.float64)
        if self.mask == "causal":
            return float((i + 1 + self.keys - self.queries).sum())
        if self.mask == "window":
            return float(np.minimum(i + 1, self.window).sum())
        if self.mask == "blocks":
            return float(block_layout(self.queries).sum()) * BLOCK**2
        return float(self.queries * self.keys)

    def flops(self) -> float:
        """Useful operations of a call; a backward pass has five products where a forward one has two."""
        return 4.0 * self.heads * self.head_dim * self.pairs() * (3.5 if self.backward else 1.0)

    def cache_bytes(self, who: str) -> float:
        """Bytes of keys and values in somebody's format, read once; those of eight bits have factors beside them."""
        cache = 2.0 * self.keys * self.kv_heads * self.head_dim * BYTES[self.storage]
        if self.storage != "INT8":
            return cache
        # zoo: one Float32 for each key and head, and for each value; ggml: 16 bits for each block of 32. A factor for
        # each channel is nothing beside the cache.
        return cache + {"zoo": 2.0 * 4 * self.keys * self.kv_heads, "ggml": cache / 16}.get(who, 0.0)

    def operands(self) -> dict[str, np.ndarray]:
        """Operands [1, length, heads, headDim] in Float32, holding numbers that the storage can hold.

        Eight bits are each side's own format, so there the numbers are what the formats have to approximate.
        """
        random = np.random.default_rng(7)
        shapes = {"query": (self.queries, self.heads), "key": (self.keys, self.kv_heads),
                  "value": (self.keys, self.kv_heads)}
        if self.backward:
            shapes["output_gradient"] = (self.queries, self.heads)
        return {name: rounded(random.standard_normal((1, *shape, self.head_dim), dtype=np.float32), self.storage)
                for name, shape in shapes.items()}

    def visible(self) -> np.ndarray | None:
        """What the mask lets through, [queries, keys]; `None` for everything."""
        i, j = np.arange(self.queries)[:, None] + self.keys - self.queries, np.arange(self.keys)[None, :]
        if self.mask == "causal":
            return j <= i
        if self.mask == "window":
            return (j <= i) & (j > i - self.window)
        if self.mask == "blocks":
            return np.kron(block_layout(self.queries), np.ones((BLOCK, BLOCK), bool))
        return None


def rounded(array: np.ndarray, storage: str) -> np.ndarray:
    """Float32 numbers that the storage holds exactly."""
    if storage == "F16":
        return array.astype(np.float16).astype(np.float32)
    if storage == "BF16":
        return (to_bfloat16(array).astype(np.uint32) << 16).view(np.float32)
    return array


def eight_bit(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in eight bits, and the factors that all numbers along an axis share."""
    factors = np.maximum(np.abs(array).max(axis=axis, keepdims=True) / 127, np.float32(1e-30))
    return np.clip(np.round(array / factors), -127, 127).astype(np.int8), factors.astype(np.float32)


def to_bfloat16(array: np.ndarray) -> np.ndarray:
    """The upper halves, rounded to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def block_layout(length: int) -> np.ndarray:
    """Kept blocks, [query blocks, key blocks], one layout for all heads; every query sees its own block."""
    count = math.ceil(length / BLOCK)
    layout = np.eye(count, dtype=bool)
    others = np.flatnonzero(~layout)
    missing = max(0, round(KEPT * count * count) - count)
    layout.flat[np.random.default_rng(11).choice(others, missing, replace=False)] = True
    return layout


def all_rows() -> list[Row]:
    """Every row, in the order of the tables."""
    rows = [
        Row(f"{mask} L{length} D{dim}", mask, length, length, dim, mask=mask)
        for mask, lengths in (("full", (1024, 2048, 4096)), ("causal", (512, 1024, 2048, 4096)))
        for dim in (64, 128) for length in lengths
    ]
    rows += [
        Row("GQA 32/8 causal L2048 D128", "causal", 2048, 2048, 128, 32, 8, "causal", operator="grouped-query"),
        Row("window 256 L8192 D64", "sparse", 8192, 8192, 64, mask="window", window=256, operator="local"),
        Row("blocks 10% of 128 L4096 D64", "sparse", 4096, 4096, 64, mask="blocks", operator="block-sparse"),
    ]
    rows += [Row(f"full L{length} D128 BF16", "BF16", length, length, 128, storage="BF16") for length in (2048, 4096)]
    rows += [
        Row(f"{mask} L{length} D{dim} gradients", "gradients", length, length, dim, mask=mask, backward=True)
        for mask in ("full", "causal") for dim in (64, 128) for length in (1024, 2048, 4096)
    ]
    rows += [
        Row(f"decode {keys} keys 32/8 D128 {storage}", "decode", 1, keys, 128, 32, 8, storage=storage,
            operator="grouped-query")
        for keys in (4096, 16384) for storage in ("F32", "F16", "BF16", "INT8")
    ]
    return rows


# Enough to see that everything works, in about a minute.
QUICK = ("full L1024 D64", "causal L512 D64", "causal L1024 D64 gradients", "decode 4096 keys 32/8 D128 F32",
         "decode 4096 keys 32/8 D128 INT8")
