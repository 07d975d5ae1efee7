"""Makes cases.json and expected.safetensors: gradients of attention by PyTorch's autograd, in float64.

The forward pass is that of ../sdpa/make_sdpa.py, which is checked against torch's own attention; autograd does the rest.
Inputs are not stored but come from the same counter-based generator, and so does the loss,

    sum(w * output) + sum(u * log_sum_exp)        w: seed of the query + 11, u: + 12, rows without a key left out

Run it in an environment with torch, numpy and safetensors:

    python make_gradients.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "sdpa"))
from make_sdpa import attend_to, operand, operands  # noqa: E402


def gradients(case: dict, dtype: torch.dtype) -> tuple[dict[str, torch.Tensor], float]:
    """The derivative by each operand, and the largest magnitude of a log-sum-exp."""
    leaves = {name: tensor.requires_grad_() for name, tensor in operands(case, dtype).items()}
    out, lse = attend_to(case, leaves)
    w = operand(list(out.shape), case["seeds"]["query"] + 11, 1.0, case["dtype"]).to(dtype)
    loss = (w * out).sum()
    if case["usesLogSumExp"]:
        u = operand(list(lse.shape), case["seeds"]["query"] + 12, 1.0, "F32").to(dtype)
        loss = loss + (u * lse.masked_fill(lse == -np.inf, 0.0)).sum()
    names = list(leaves)
    found = torch.autograd.grad(loss, [leaves[name] for name in names], allow_unused=True)
    by_name = {n: torch.zeros_like(leaves[n]) if g is None else g for n, g in zip(names, found)}
    seen = lse.detach()
    seen = seen[seen.isfinite()]
    return by_name, float(seen.abs().max()) if seen.numel() else 0.0


def make_cases() -> list[dict]:
    """Every case: a list, so that a reader sees what is covered."""
    cases: list[dict] = []

    def add(name: str, lq: int, lk: int | None = None, d: int = 16, dv: int | None = None, batch: int = 1,
            heads: tuple[int, int] = (2, 2), dtype: str = "F32", amplitude: float = 2.0, bias=None, mask=None,
            threshold: float = -0.2, block: int | None = None, query_lengths=None, key_lengths=None, alibi=None,
            sinks=None, lse: bool = False, **config) -> None:
        seed = 1_000_000 + 1000 * (len(cases) + 1)
        dense = mask and {"shape": mask, "seed": seed + 4, "threshold": threshold}
        if dense and block:
            dense["block"] = block
        cases.append({
            "name": name, "batch": batch, "queryLength": lq, "keyLength": lk or lq, "heads": heads[0],
            "kvHeads": heads[1], "headDim": d, "valueDim": dv or d, "dtype": dtype, "config": config,
            "amplitude": amplitude, "bias": bias and {"shape": bias, "seed": seed + 3, "amplitude": 3.0},
            "mask": dense, "queryLengths": query_lengths, "keyLengths": key_lengths, "alibiSlopes": alibi,
            "sinks": sinks, "usesLogSumExp": lse,
            "seeds": {"query": seed, "key": seed + 1, "value": seed + 2},
        })

    for length, d in ((1, 1), (1, 16), (2, 7), (5, 33), (17, 16), (33, 8), (65, 13), (130, 16)):
        add(f"full-L{length}-D{d}", length, d=d)
    for d in (1, 7, 24, 80):
        add(f"causal-D{d}", 19, d=d, causal=True)
    for corner in ("bottom-right", "top-left"):
        add(f"causal-{corner}-9x21", 9, 21, causal=corner)
        add(f"causal-{corner}-21x9", 21, 9, causal=corner)
        add(f"causal-{corner}-70", 70, d=9, causal=corner)
    for window in ([0, 0], [4, 0], [-1, 2], [3, -1], [6, 3], [100, 100]):
        tag = "_".join(str(w) for w in window).replace("-1", "any")
        add(f"window-{tag}", 23, d=11, window=window)
        add(f"window-{tag}-causal-9x27", 9, 27, d=11, window=window, causal=True)
    add("window-150", 150, d=8, heads=(1, 1), window=[20, 11])
    for heads in ((4, 2), (4, 1), (6, 3), (8, 2)):
        tag = f"{heads[0]}_{heads[1]}"
        add(f"gqa-{tag}", 15, d=10, heads=heads)
        add(f"gqa-{tag}-causal-7x20-log-sum-exp", 7, 20, d=10, heads=heads, causal=True, lse=True)
    add("gqa-decode", 1, 140, heads=(8, 2), d=12, causal=True)
    for d, dv in ((16, 5), (5, 20), (24, 1)):
        add(f"value-dim-{d}_{dv}", 18, d=d, dv=dv)
    for shape in ([1, 1, 13, 22], [2, 4, 13, 22], [1, 4, 1, 22], [13, 22], [2, 1, 13, 1], [22], [1, 1, 1, 1]):
        tag = "x".join(str(s) for s in shape)
        add(f"bias-{tag}", 13, 22, d=8, batch=2, heads=(4, 2), bias=shape)
    add("bias-causal-log-sum-exp", 40, d=8, bias=[1, 2, 40, 40], causal=True, lse=True)
    for shape in ([1, 1, 13, 22], [2, 4, 13, 22], [1, 4, 1, 22]):
        tag = "x".join(str(s) for s in shape)
        add(f"mask-{tag}", 13, 22, d=8, batch=2, heads=(4, 2), mask=shape)
    add("mask-sparse-log-sum-exp", 25, d=8, mask=[25, 25], threshold=0.8, lse=True)
    for size, heads in ((8, 1), (16, 2), (32, 1)):
        add(f"block-sparse-{size}", 70, d=8, mask=[1, heads, 70, 70], threshold=0.1, block=size)
    add("block-sparse-16-causal-gqa", 50, d=8, heads=(4, 2), mask=[1, 4, 50, 50], threshold=0.0, block=16, causal=True)
    add("block-sparse-16-bias", 33, 60, d=8, mask=[33, 60], threshold=0.0, block=16, bias=[1, 1, 33, 60])
    add("softcap-2", 20, softcap=2.0, amplitude=4.0)
    add("softcap-30-causal", 31, d=9, softcap=30.0, causal=True)
    add("softcap-5-bias", 14, softcap=5.0, bias=[1, 2, 14, 14], lse=True)
    add("alibi", 24, heads=(4, 4), d=8, alibi=[0.5, 0.25, 0.125, 0.0625], causal=True)
    add("alibi-cross-bias", 9, 24, heads=(4, 2), d=8, alibi=[0.5, 0.25, 0.125, 0.0625], bias=[1, 1, 9, 24])
    add("sinks", 24, heads=(4, 2), d=8, sinks=[0.5, -1.0, 3.0, 0.0], causal=True)
    add("sinks-log-sum-exp", 12, 30, heads=(2, 2), sinks=[1.0, -2.0], lse=True)
    add("sinks-empty-log-sum-exp", 11, 17, heads=(2, 2), sinks=[1.0, -2.0], batch=2, key_lengths=[17, 0], lse=True)
    add("log-sum-exp", 33, d=10, lse=True)
    add("key-lengths-log-sum-exp", 12, 24, d=8, batch=3, key_lengths=[24, 7, 0], lse=True)
    add("key-lengths-causal", 12, 24, d=8, batch=3, key_lengths=[24, 15, 1], causal=True)
    add("both-lengths", 24, d=9, batch=3, query_lengths=[24, 7, 1], key_lengths=[24, 7, 1])
    add("both-lengths-causal-gqa", 20, d=8, batch=2, heads=(4, 2), query_lengths=[15, 0], key_lengths=[18, 3],
        causal=True, lse=True)
    for dtype in ("F16", "BF16", "F64"):
        add(f"{dtype}-full", 20, d=12, dtype=dtype)
        add(f"{dtype}-causal-gqa", 37, d=8, dtype=dtype, heads=(4, 2), causal=True)
        add(f"{dtype}-window-log-sum-exp", 30, d=8, dtype=dtype, window=[5, 2], lse=True)
    add("scale-1", 20, d=8, scale=1.0)
    add("scale-tiny", 20, d=8, scale=0.001953125)
    add("large-logits", 20, d=16, amplitude=12.0)
    add("everything", 29, 50, d=10, dv=6, batch=2, heads=(4, 2), bias=[2, 1, 29, 50], mask=[1, 4, 29, 50],
        query_lengths=[29, 11], key_lengths=[50, 31], alibi=[0.1, 0.2, 0.3, 0.4], sinks=[0.2, 0.0, -1.0, 2.0],
        causal=True, window=[20, -1], softcap=20.0, scale=0.2, lse=True)
    return cases


def main() -> None:
    tensors: dict[str, np.ndarray] = {}
    cases = make_cases()
    worst = 0.0
    for case in cases:
        exact, case["largestLogSumExp"] = gradients(case, torch.float64)
        plain, _ = gradients(case, torch.float32)
        assert all(bool(g.isfinite().all()) for g in exact.values()), case["name"]
        case["torchFloatErrors"] = {n: float((plain[n].double() - exact[n]).abs().max()) for n in exact}
        worst = max(worst, *case["torchFloatErrors"].values())
        for name, tensor in exact.items():
            tensors[f"{case['name']}.{name}"] = np.ascontiguousarray(tensor.numpy().astype(np.float32))
    (HERE / "cases.json").write_text(json.dumps(cases, separators=(",", ":")).replace('},{"name"', '},\n{"name"') + "\n")
    save_file(tensors, HERE / "expected.safetensors", metadata={"torch": torch.__version__})
    print(f"{len(cases)} cases, torch float32 error up to {worst:.2e}")


if __name__ == "__main__":
    main()
