"""Makes cases.json and expected.safetensors: attention as PyTorch computes it, in float64.

Inputs are not stored. They come from a counter-based generator (SplitMix64) that Swift repeats bit for bit, so a case
is a few numbers. Run it in an environment with torch, numpy and safetensors:

    python make_sdpa.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
TILE_BORDERS = (0, 5, 6, 13, 14, 15, 31, 32, 63, 255, 256)


def uniform(shape: list[int], seed: int, amplitude: float) -> np.ndarray:
    """Element i is number i of the seed's SplitMix64 stream: 24 bits, from -amplitude to amplitude, float32."""
    with np.errstate(over="ignore"):
        index = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
        z = np.uint64(seed) + index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return (unit * np.float32(amplitude)).reshape(shape)


def operand(shape: list[int], seed: int, amplitude: float, dtype: str) -> torch.Tensor:
    """An operand as stored (rounded to its dtype), in float64."""
    return torch.from_numpy(uniform(shape, seed, amplitude)).to(DTYPES[dtype]).to(torch.float64)


def visible(case: dict) -> torch.Tensor:
    """Which pairs may attend, [batch, heads, queryLength, keyLength]; the mask's own words, cell by cell."""
    lq, lk = case["queryLength"], case["keyLength"]
    result = torch.zeros(case["batch"], case["heads"], lq, lk, dtype=torch.bool)
    causal = case["config"].get("causal", False)
    left, right = case["config"].get("window", [-1, -1])
    i = torch.arange(lq)[:, None]
    j = torch.arange(lk)[None, :]
    for b in range(case["batch"]):
        qlen = case["queryLengths"][b] if case["queryLengths"] else lq
        klen = case["keyLengths"][b] if case["keyLengths"] else lk
        place = i if causal == "top-left" else i + klen - qlen
        ok = (i < qlen) & (j < klen)
        if causal:
            ok = ok & (j <= place)
        if left >= 0:
            ok = ok & (j >= place - left)
        if right >= 0:
            ok = ok & (j <= place + right)
        result[b] = ok
    if case["mask"]:
        result = result & torch.from_numpy(dense_mask(case["mask"]))
    return result


def dense_mask(mask: dict) -> np.ndarray:
    """True where the number exceeds the threshold; with a block, one number for each block of rows and columns."""
    shape, block = mask["shape"], mask.get("block", 1)
    grid = shape[:-2] + [-(-shape[-2] // block), -(-shape[-1] // block)]
    kept = uniform(grid, mask["seed"], 1.0) > mask["threshold"]
    return kept.repeat(block, axis=-2).repeat(block, axis=-1)[..., : shape[-2], : shape[-1]]


def operands(case: dict, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The tensors of a call as they are stored, [batch, length, heads, dim] and so on, in the type to compute in."""
    b, lq, lk = case["batch"], case["queryLength"], case["keyLength"]
    h, hk, d, dv = case["heads"], case["kvHeads"], case["headDim"], case["valueDim"]
    shapes = {"query": [b, lq, h, d], "key": [b, lk, hk, d], "value": [b, lk, hk, dv]}
    result = {
        name: operand(shape, case["seeds"][name], case["amplitude"], case["dtype"]).to(dtype)
        for name, shape in shapes.items()
    }
    if case["bias"]:
        bias = uniform(case["bias"]["shape"], case["bias"]["seed"], case["bias"]["amplitude"])
        result["bias"] = torch.from_numpy(bias).to(dtype)
    if case["sinks"]:
        result["sinks"] = torch.tensor(case["sinks"], dtype=torch.float32).to(dtype)
    return result


def attend(case: dict, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Output [B, Lq, H, Dv] and log-sum-exp [B, H, Lq] by the definition."""
    return attend_to(case, operands(case, dtype))


def attend_to(case: dict, tensors: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same on given tensors, every step of which autograd can follow."""
    dtype = tensors["query"].dtype
    b, lq, lk, h = case["batch"], case["queryLength"], case["keyLength"], case["heads"]
    q, k, v = (tensors[name].transpose(1, 2) for name in ("query", "key", "value"))
    scale = np.float32(case["config"].get("scale", 1 / math.sqrt(case["headDim"])))
    ok = visible(case)
    k = k.repeat_interleave(h // case["kvHeads"], dim=1)
    v = v.repeat_interleave(h // case["kvHeads"], dim=1)
    scores = (q @ k.transpose(-1, -2)) * float(scale)
    softcap = case["config"].get("softcap")
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    extra = torch.zeros_like(scores)
    if case["bias"]:
        extra = extra + tensors["bias"]
    if case["alibiSlopes"]:
        slopes = torch.tensor(case["alibiSlopes"], dtype=torch.float32).to(dtype)[None, :, None, None]
        for n in range(b):
            qlen = case["queryLengths"][n] if case["queryLengths"] else lq
            klen = case["keyLengths"][n] if case["keyLengths"] else lk
            distance = (torch.arange(lq)[:, None] + klen - qlen - torch.arange(lk)[None, :]).abs()
            extra = extra - torch.eye(b, dtype=dtype)[n][:, None, None, None] * slopes * distance
    scores = (scores + extra).masked_fill(~ok, -math.inf)
    columns = scores
    if case["sinks"]:
        columns = torch.cat([scores, tensors["sinks"][None, :, None, None].expand(b, h, lq, 1)], dim=-1)
    # A row without a key has no derivative, and -inf minus -inf none that autograd could find.
    empty = (columns == -math.inf).all(dim=-1)
    lse = torch.logsumexp(columns.masked_fill(empty[..., None], 0.0), dim=-1)
    p = torch.exp(scores - lse[..., None]).masked_fill(~ok, 0.0)
    out = p @ v
    lse = lse.masked_fill(empty, -math.inf)
    if not softcap and not case["sinks"]:
        with torch.no_grad():
            check_against_torch(case, q, k, v, ok, extra, float(scale), out)
    padding = torch.zeros(b, lq, dtype=torch.bool)
    for n in range(b):
        padding[n, case["queryLengths"][n] if case["queryLengths"] else lq :] = True
    out = out.masked_fill(padding[:, None, :, None], 0.0)
    lse = lse.masked_fill(padding[:, None, :], -math.inf)
    return out.transpose(1, 2), lse


def check_against_torch(case, q, k, v, ok, extra, scale, out) -> None:
    """The definition above must be torch's own wherever torch can express the case."""
    mask = extra.masked_fill(~ok, -math.inf)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    theirs = torch.where(ok.any(-1, keepdim=True), theirs, torch.zeros_like(theirs))
    limit = 1e-10 if q.dtype == torch.float64 else 1e-4
    assert torch.allclose(theirs, out, atol=limit, rtol=limit), case["name"]


def make_cases() -> list[dict]:
    """Every case: a list, so that a reader sees what is covered."""
    cases: list[dict] = []

    def add(name: str, lq: int, lk: int | None = None, d: int = 64, dv: int | None = None, batch: int = 1,
            heads: tuple[int, int] = (2, 2), dtype: str = "F32", amplitude: float = 2.0, bias=None, mask=None,
            query_lengths=None, key_lengths=None, alibi=None, sinks=None, **config) -> None:
        seed = 1000 * (len(cases) + 1)
        cases.append({
            "name": name, "batch": batch, "queryLength": lq, "keyLength": lk or lq, "heads": heads[0],
            "kvHeads": heads[1], "headDim": d, "valueDim": dv or d, "dtype": dtype, "config": config,
            "amplitude": amplitude,
            "bias": bias and {"shape": bias, "seed": seed + 3, "amplitude": 3.0},
            "mask": mask and {"shape": mask, "seed": seed + 4, "threshold": -0.2},
            "queryLengths": query_lengths, "keyLengths": key_lengths, "alibiSlopes": alibi, "sinks": sinks,
            "seeds": {"query": seed, "key": seed + 1, "value": seed + 2},
        })

    for length in (1, 17, 64, 257, 1024):
        for d in (8, 64) if length > 257 else (1, 33, 64, 80):
            add(f"full-L{length}-D{d}", length, d=d)
    for d in (1, 8, 33, 64, 80, 128, 256):
        add(f"causal-D{d}", 64, d=d, causal=True)
    for name, causal in (("bottom-right", "bottom-right"), ("top-left", "top-left")):
        add(f"causal-{name}-17x64", 17, 64, d=33, causal=causal)
        add(f"causal-{name}-64x17", 64, 17, d=33, causal=causal)
        add(f"causal-{name}-257", 257, d=64, causal=causal)
    for window in ([0, 0], [8, 0], [-1, 3], [5, -1], [20, 7], [4096, 4096]):
        tag = "_".join(str(w) for w in window).replace("-1", "any")
        add(f"window-{tag}", 64, d=33, window=window)
        add(f"window-{tag}-causal-17x80", 17, 80, d=33, window=window, causal=True)
    add("window-top-left-33x64", 33, 64, d=64, window=[6, 2], causal="top-left")
    add("window-257", 257, d=128, window=[31, 32])
    for heads in ((4, 4), (4, 2), (4, 1), (8, 2)):
        add(f"gqa-{heads[0]}_{heads[1]}", 64, d=64, heads=heads)
        add(f"gqa-{heads[0]}_{heads[1]}-causal-17x257", 17, 257, d=80, heads=heads, causal=True)
        add(f"gqa-{heads[0]}_{heads[1]}-decode", 1, 257, d=128, heads=heads, causal=True)
    for d, dv in ((64, 33), (33, 128), (128, 1)):
        add(f"value-dim-{d}_{dv}", 64, d=d, dv=dv)
    for shape in ([1, 1, 33, 65], [2, 4, 33, 65], [1, 4, 1, 65], [33, 65], [2, 1, 33, 1]):
        tag = "x".join(str(s) for s in shape)
        add(f"bias-{tag}", 33, 65, d=64, batch=2, heads=(4, 2), bias=shape)
        add(f"mask-{tag}", 33, 65, d=64, batch=2, heads=(4, 2), mask=shape)
    add("bias-causal-257", 257, d=64, bias=[1, 2, 257, 257], causal=True)
    add("mask-window-257", 257, d=64, mask=[257, 257], window=[40, 40])
    add("key-lengths", 33, 64, d=64, batch=3, key_lengths=[64, 17, 0])
    add("key-lengths-causal", 33, 64, d=64, batch=3, key_lengths=[64, 40, 1], causal=True)
    add("both-lengths", 64, d=33, batch=3, query_lengths=[64, 17, 1], key_lengths=[64, 17, 1])
    add("both-lengths-causal-gqa", 64, d=64, batch=2, heads=(4, 2), query_lengths=[50, 0], key_lengths=[60, 3],
        causal=True)
    for dtype in ("F16", "BF16", "F64"):
        add(f"{dtype}-full", 64, d=64, dtype=dtype)
        add(f"{dtype}-causal-gqa-257", 257, d=128, dtype=dtype, heads=(4, 2), causal=True)
        add(f"{dtype}-bias-33", 33, d=33, dtype=dtype, bias=[1, 1, 33, 33])
    add("scale-1", 64, d=64, scale=1.0)
    add("scale-tiny", 64, d=64, scale=0.001953125)
    add("large-logits", 64, d=64, amplitude=60.0)
    add("softcap-5", 64, d=64, softcap=5.0, amplitude=4.0)
    add("softcap-50-causal", 257, d=33, softcap=50.0, causal=True)
    add("alibi", 64, d=64, heads=(4, 4), alibi=[0.5, 0.25, 0.125, 0.0625], causal=True)
    add("alibi-cross", 17, 64, d=64, heads=(4, 2), alibi=[0.5, 0.25, 0.125, 0.0625])
    add("sinks", 64, d=64, heads=(4, 2), sinks=[0.5, -1.0, 3.0, 0.0], causal=True)
    add("sinks-empty", 17, 33, d=33, heads=(2, 2), sinks=[1.0, -2.0], batch=2, key_lengths=[33, 0])
    add("everything", 65, 130, d=80, dv=48, batch=2, heads=(4, 2), bias=[2, 1, 65, 130], mask=[1, 4, 65, 130],
        query_lengths=[65, 30], key_lengths=[130, 77], alibi=[0.1, 0.2, 0.3, 0.4], causal=True, window=[50, -1],
        softcap=20.0, scale=0.2)
    return cases


def main() -> None:
    tensors: dict[str, np.ndarray] = {}
    cases = make_cases()
    worst = 0.0
    for case in cases:
        out, lse = attend(case, torch.float64)
        out32, _ = attend(case, torch.float32)
        case["torchFloatError"] = float((out32.to(torch.float64) - out).abs().max())
        worst = max(worst, case["torchFloatError"])
        lq = case["queryLength"]
        last = (lq // 2, lq - 2, lq - 1)
        # A few heads and rows of every case keep the file small; borders of tiles are where mistakes live.
        rows = sorted({r for r in (*TILE_BORDERS, *last) if 0 <= r < lq}) if lq > 24 else list(range(lq))
        case["rows"] = rows
        tensors[f"{case['name']}.output"] = np.ascontiguousarray(out[:, rows].numpy().astype(np.float32))
        tensors[f"{case['name']}.log_sum_exp"] = np.ascontiguousarray(lse[:, :, rows].numpy().astype(np.float32))
    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    save_file(tensors, HERE / "expected.safetensors", metadata={"torch": torch.__version__})
    print(f"{len(cases)} cases, torch float32 error up to {worst:.2e}")


if __name__ == "__main__":
    main()
