"""Makes cases.json and expected.safetensors: mixing operators and their gradients, in float64.

Each operator is written from its paper, as naively as possible; gradients are PyTorch's autograd. Inputs are not stored:
they come from a counter-based generator (SplitMix64) that Swift repeats bit for bit. Run it in an environment with torch,
numpy and safetensors:

    python make_mixing.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent


def uniform(shape: list[int], seed: int, amplitude: float) -> torch.Tensor:
    """Element i is number i of the seed's SplitMix64 stream: 24 bits, from -amplitude to amplitude, float32."""
    with np.errstate(over="ignore"):
        index = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
        z = np.uint64(seed) + index * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return torch.from_numpy((unit * np.float32(amplitude)).reshape(shape)).to(torch.float64)


def fourier(q, k, v, case, p):
    """FNet, equation 3: the real part of a transform along the sequence and the hidden axis."""
    n, heads, dim = v.shape
    x = v.reshape(n, heads * dim).to(torch.complex128)

    def transform(m):
        j = torch.arange(m, dtype=torch.float64)
        return torch.exp(torch.complex(torch.zeros(m, m, dtype=torch.float64), -2 * math.pi * torch.outer(j, j) / m))

    y = transform(n) @ x
    if case["configuration"].get("hidden", True):
        y = y @ transform(heads * dim)
    return y.real.reshape(n, heads, dim)


def pooling(q, k, v, case, p):
    """PoolFormer, equation 4: the average over a window, edges over what exists, minus the input."""
    options = case["configuration"]
    size, shape = options.get("size", 3), options.get("shape")
    n = v.shape[0]
    causal = case["config"].get("causal", False)
    left, right = (size - 1, 0) if causal else (size // 2, (size - 1) // 2)
    rows = []
    for i in range(n):
        window = []
        for j in range(n):
            if shape is None:
                held = -left <= j - i <= right
            else:
                held = -left <= j // shape[1] - i // shape[1] <= right and -left <= j % shape[1] - i % shape[1] <= right
            if held:
                window.append(v[j])
        mean = torch.stack(window).mean(dim=0)
        rows.append(mean - v[i] if options.get("subtract", True) else mean)
    return torch.stack(rows)


def visual(q, k, v, case, p):
    """VAN, equations 1 and 2: three convolutions make the map that gates the input."""
    n, heads, dim = v.shape
    channels = heads * dim
    h, w = case["configuration"]["shape"]
    x = v.reshape(h, w, channels).permute(2, 0, 1)[None]
    conv = torch.nn.functional.conv2d
    a = conv(x, p["depthwise"][:, None], p["depthwise-bias"], padding=2, groups=channels)
    b = conv(a, p["dilated"][:, None], p["dilated-bias"], padding=9, dilation=3, groups=channels)
    g = conv(b, p["pointwise"][:, :, None, None], p["pointwise-bias"])
    return (g * x)[0].permute(1, 2, 0).reshape(n, heads, dim)


def lambdas(q, k, v, case, p):
    """LambdaNetworks, table 2: each query applies its own linear map, made of content and positions."""
    lq, heads, _ = q.shape
    lk, kv_heads, _ = k.shape
    embeddings = p["position-embeddings"]
    radius = (embeddings.shape[0] - 1) // 2
    corner = case["config"].get("causal", False)
    diagonal = 0 if corner == "top-left" else lk - lq
    rows = []
    for n in range(lq):
        place = n + diagonal
        seen = [m for m in range(lk) if not corner or m <= place]
        heads_out = []
        for h in range(heads):
            g = h // (heads // kv_heads)
            if not seen:
                heads_out.append(torch.zeros(v.shape[2], dtype=torch.float64))
                continue
            normalised = torch.softmax(k[seen, g], dim=0)
            content = normalised.T @ v[seen, g]
            position = torch.zeros_like(content)
            for m in seen:
                if abs(m - place) <= radius:
                    position = position + torch.outer(embeddings[m - place + radius], v[m, g])
            heads_out.append((content + position).T @ q[n, h] * case["config"].get("scale", 1))
        rows.append(torch.stack(heads_out))
    return torch.stack(rows)


def compositional(q, k, v, case, p):
    """Compositional attention, equations 5 to 9: every search meets every retrieval, and a softmax mixes them."""
    lq, heads, dim = q.shape
    lk, kv_heads, _ = k.shape
    wq, wk = p["retrieval-query"], p["retrieval-key"]
    scale = case["config"].get("scale", 1 / math.sqrt(dim))
    hidden = torch.zeros(lq, lk, dtype=torch.float64)
    if case["config"].get("causal", False):
        for n in range(lq):
            hidden[n, max(0, n + lk - lq + 1) :] = -math.inf
    result = []
    for h in range(heads):
        search = torch.softmax(scale * q[:, h] @ k[:, h // (heads // kv_heads)].T + hidden, dim=1)
        retrievals = torch.stack([search @ v[:, j] for j in range(kv_heads)], dim=1)
        scores = torch.einsum("nr,njr->nj", q[:, h] @ wq, retrievals @ wk) / math.sqrt(wq.shape[1])
        result.append((torch.softmax(scores, dim=1)[:, :, None] * retrievals).sum(dim=1))
    return torch.stack(result, dim=1)


OPERATORS = {
    "fourier-mix": fourier, "pooling": pooling, "visual": visual, "lambda": lambdas, "compositional": compositional,
}


def cases() -> list[dict]:
    """Shapes, options and the parameters' shapes; seeds follow from the place in the list."""
    result = []

    def add(operator, lq, lk=None, heads=2, kv=None, dim=4, vdim=3, config=None, options=None, parameters=None):
        number = len(result)
        kv = kv or heads
        result.append({
            "name": f"{operator}-{number}", "operator": operator, "configuration": options or {},
            "parameters": parameters or {}, "batch": 2, "queryLength": lq, "keyLength": lk or lq, "heads": heads,
            "kvHeads": kv, "headDim": dim, "valueDim": vdim, "dtype": "F32", "config": config or {}, "amplitude": 1.5,
            "seeds": {"query": 1000 * number + 1, "key": 1000 * number + 2, "value": 1000 * number + 3},
        })

    for n in [1, 2, 5, 8, 12, 13]:
        add("fourier-mix", n)
    add("fourier-mix", 7, options={"hidden": False})
    add("fourier-mix", 16, heads=1, vdim=8)
    for options, n in [({}, 7), ({"size": 4, "subtract": False}, 9), ({"size": 5, "shape": [3, 4]}, 12),
                       ({"size": 2, "shape": [2, 5]}, 10), ({"size": 30}, 6)]:
        add("pooling", n, options=options)
    add("pooling", 8, options={"size": 3}, config={"causal": True})
    for shape in [[3, 4], [1, 5], [4, 7]]:
        c = 4
        add("visual", shape[0] * shape[1], heads=2, vdim=2, options={"shape": shape}, parameters={
            "depthwise": [c, 5, 5], "depthwise-bias": [c], "dilated": [c, 7, 7], "dilated-bias": [c],
            "pointwise": [c, c], "pointwise-bias": [c]})
    for lq, lk, config, radius in [(6, 6, {}, 2), (5, 8, {"causal": True}, 3), (6, 3, {"causal": True}, 2),
                                   (5, 7, {"causal": "top-left"}, 1), (4, 9, {"scale": 0.5}, 0)]:
        add("lambda", lq, lk, heads=4, kv=2, config=config, options={"radius": radius},
            parameters={"position-embeddings": [2 * radius + 1, 4]})
    add("lambda", 6, heads=2, config={}, options={"maxLength": 8}, parameters={"position-embeddings": [15, 4]})
    for lq, lk, heads, kv, config in [(5, 7, 4, 2, {}), (6, 6, 3, 3, {"causal": True}), (4, 4, 2, 1, {"scale": 1})]:
        add("compositional", lq, lk, heads=heads, kv=kv, config=config, options={"retrievalDim": 2},
            parameters={"retrieval-query": [4, 2], "retrieval-key": [3, 2]})
    return result


def main() -> None:
    expected = {}
    listed = cases()
    for case in listed:
        batch, seeds = case["batch"], case["seeds"]
        q = uniform([batch, case["queryLength"], case["heads"], case["headDim"]], seeds["query"], case["amplitude"])
        k = uniform([batch, case["keyLength"], case["kvHeads"], case["headDim"]], seeds["key"], case["amplitude"])
        v = uniform([batch, case["keyLength"], case["kvHeads"], case["valueDim"]], seeds["value"], case["amplitude"])
        names = sorted(case["parameters"])
        p = {name: uniform(case["parameters"][name], seeds["query"] + 100 + i, 0.5) for i, name in enumerate(names)}
        leaves = {"query": q, "key": k, "value": v} | {f"parameter {name}": p[name] for name in names}
        for leaf in leaves.values():
            leaf.requires_grad_(True)
        output = torch.stack([OPERATORS[case["operator"]](q[b], k[b], v[b], case, p) for b in range(batch)])
        weights = uniform(list(output.shape), seeds["query"] + 11, 1)
        (output * weights).sum().backward()
        expected[f"{case['name']}.output"] = output.detach().numpy().astype(np.float32)
        for name, leaf in leaves.items():
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            expected[f"{case['name']}.{name}"] = gradient.numpy().astype(np.float32)
    (HERE / "cases.json").write_text(json.dumps(listed, indent=1) + "\n")
    save_file(expected, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
