"""Approximate attention and its gradients from the papers' equations, naively, in float64.

Every function below takes one head: q [L, D], k [n, D], v [n, Dv]. Writes cases.json and expected.safetensors beside
this file. Made with torch 2.15.0 and safetensors 0.8.0.
"""

import json
import math
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
torch.set_default_dtype(torch.float64)


def visible(queries, keys, causal):
    """Which keys each query sees; causal is bottom-right."""
    if not causal:
        return torch.ones(queries, keys, dtype=torch.bool)
    place = torch.arange(queries)[:, None] + keys - queries
    return torch.arange(keys)[None, :] <= place


def linformer(q, k, v, case, parameters, head):
    """Wang et al., 2020, equation 7."""
    n = k.shape[0]
    projected_keys = parameters["key-projection"][:, :n] @ k
    projected_values = parameters["value-projection"][:, :n] @ v
    return torch.softmax(case["scale"] * q @ projected_keys.T, dim=-1) @ projected_values, None


def means(x, m):
    n = x.shape[0]
    return torch.stack([x[i * n // m : (i + 1) * n // m].mean(0) for i in range(m)])


def nystrom(q, k, v, case, parameters, head):
    """Xiong et al., 2021, algorithm 1."""
    m = min(case["config"]["landmarks"], q.shape[0], k.shape[0])
    scale = case["scale"]
    ql, kl = means(q, m), means(k, m)
    f = torch.softmax(scale * q @ kl.T, -1)
    a = torch.softmax(scale * ql @ kl.T, -1)
    b = torch.softmax(scale * ql @ k.T, -1)
    eye = torch.eye(m)
    z = a.T / (a.sum(0).max() * a.sum(1).max())
    for _ in range(case["config"].get("iterations", 6)):
        az = a @ z
        z = 0.25 * z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az)))
    out = f @ z @ (b @ v)
    if "convolution" in parameters:
        w = parameters["convolution"][head]
        half = w.shape[0] // 2
        rows = []
        for i in range(q.shape[0]):
            row = torch.zeros(v.shape[1])
            for t in range(w.shape[0]):
                if 0 <= i + t - half < v.shape[0]:
                    row = row + w[t] * v[i + t - half]
            rows.append(row)
        out = out + torch.stack(rows)
    return out, None


def orthoformer(q, k, v, case, parameters, head):
    """Patrick et al., 2021, section 3.2, prototypes chosen among the queries."""
    x = q.detach()
    unit = x / x.norm(dim=1, keepdim=True)
    chosen = [int(x.norm(dim=1).argmax())]
    while len(chosen) < min(case["config"]["landmarks"], q.shape[0]):
        nearness = (unit @ unit[chosen].T).abs().max(1).values
        nearness[chosen] = 2
        chosen.append(int(nearness.argmin()))
    p = q[chosen]
    scale = case["scale"]
    return torch.softmax(scale * q @ p.T, -1) @ (torch.softmax(scale * p @ k.T, -1) @ v), None


def split_mix(seed):
    state = 0
    mask = (1 << 64) - 1
    while True:
        state += 1
        z = (seed + state * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def directions(count, dim, seed):
    """Blocks of orthogonal directions with the lengths of Gaussian vectors."""
    stream = split_mix(seed)

    def gaussian():
        radius = ((next(stream) >> 11) + 1) * 2.0**-53
        angle = (next(stream) >> 11) * 2.0**-53
        return math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)

    rows = []
    for start in range(0, count, dim):
        size = min(dim, count - start)
        block = np.array([[gaussian() for _ in range(dim)] for _ in range(size)])
        # The Q of a QR decomposition with a positive diagonal of R is what Gram and Schmidt give.
        orthogonal, upper = np.linalg.qr(block.T)
        orthogonal = (orthogonal * np.sign(np.diag(upper))).T
        for row in orthogonal:
            rows.append(row * np.linalg.norm([gaussian() for _ in range(dim)]))
    return torch.from_numpy(np.array(rows))


def favor(q, k, v, case, parameters, head):
    """Choromanski et al., 2020, equations 5 and 7 and lemma 1: materialised, unstabilised."""
    w = directions(case["config"]["features"], q.shape[1], case["seed"])
    size = abs(case["scale"])
    sign = -1 if case["scale"] < 0 else 1

    def phi(x):
        return torch.exp(x @ w.T - (x * x).sum(1, keepdim=True) / 2) / math.sqrt(w.shape[0])

    a = phi(sign * math.sqrt(size) * q) @ phi(math.sqrt(size) * k).T
    a = a * visible(q.shape[0], k.shape[0], case["causal"])
    total = a.sum(1, keepdim=True)
    seen = total > 0
    safe = torch.where(seen, total, torch.ones_like(total))
    return torch.where(seen, a @ v / safe, torch.zeros(1)), torch.where(
        seen, torch.log(safe), torch.full((1,), -torch.inf)
    ).squeeze(1)


def efficient(q, k, v, case, parameters, head):
    """Shen et al., 2018, equation 4; causal: the softmax over tokens runs over what a row sees."""
    rows = []
    seen = visible(q.shape[0], k.shape[0], case["causal"])
    for i in range(q.shape[0]):
        n = int(seen[i].sum())
        if n == 0:
            rows.append(torch.zeros(v.shape[1]))
            continue
        rows.append(torch.softmax(q[i], -1) @ (torch.softmax(k[:n], 0).T @ v[:n]))
    return torch.stack(rows), None


OPERATORS = {f.__name__: f for f in (linformer, nystrom, orthoformer, favor, efficient)}


def case(name, operator, shape, config=None, parameters=None, **options):
    batch, queries, keys, heads, kv_heads, dim, value_dim = shape
    return dict(
        name=name, operator=operator, batch=batch, queries=queries, keys=keys, heads=heads, kvHeads=kv_heads, dim=dim,
        valueDim=value_dim, config=config or {}, parameters=parameters or {}, causal=options.get("causal", False),
        seed=options.get("seed", 0),
        # A scale is a float32.
        scale=float(np.float32(options["scale"]) if "scale" in options else 1 / np.sqrt(np.float32(dim))),
        hasScale="scale" in options, queryLengths=options.get("query_lengths"), keyLengths=options.get("key_lengths"))


def projections(rank, keys):
    return {"key-projection": [rank, keys], "value-projection": [rank, keys]}


CASES = [
    case("linformer", "linformer", (2, 9, 12, 2, 1, 8, 6), {"rank": 5}, projections(5, 12)),
    case("linformer-padded", "linformer", (2, 6, 10, 2, 2, 4, 4), {"rank": 4}, projections(4, 10),
         key_lengths=[7, 10], query_lengths=[6, 3], scale=0.9),
    case("nystrom", "nystrom", (1, 20, 17, 2, 2, 8, 5), {"landmarks": 4}),
    case("nystrom-few-iterations", "nystrom", (1, 12, 12, 1, 1, 4, 4), {"landmarks": 5, "iterations": 2}, scale=-0.7),
    case("nystrom-convolution", "nystrom", (2, 14, 14, 4, 2, 8, 8), {"landmarks": 6, "convolution": 5},
         {"convolution": [4, 5]}, key_lengths=[14, 9], query_lengths=[14, 9]),
    case("orthoformer", "orthoformer", (2, 15, 11, 2, 1, 8, 6), {"landmarks": 4}),
    case("orthoformer-padded", "orthoformer", (2, 10, 10, 1, 1, 4, 4), {"landmarks": 3}, query_lengths=[10, 5],
         key_lengths=[4, 10], scale=1.5),
    case("favor", "favor", (2, 9, 13, 2, 1, 8, 6), {"features": 20}, seed=7),
    case("favor-causal", "favor", (1, 11, 11, 2, 2, 4, 5), {"features": 16}, seed=3, causal=True),
    case("favor-causal-more-queries", "favor", (1, 9, 5, 1, 1, 4, 4), {"features": 6}, causal=True, scale=-0.4),
    case("favor-padded", "favor", (2, 8, 12, 2, 1, 8, 8), {"features": 24}, seed=1, causal=True, query_lengths=[8, 3],
         key_lengths=[5, 12]),
    case("efficient", "efficient", (2, 9, 13, 2, 1, 8, 6)),
    case("efficient-causal", "efficient", (1, 11, 11, 2, 2, 4, 5), causal=True),
    case("efficient-causal-more-queries", "efficient", (1, 9, 5, 1, 1, 4, 4), causal=True),
    case("efficient-padded", "efficient", (2, 8, 12, 2, 1, 8, 8), causal=True, query_lengths=[8, 3],
         key_lengths=[5, 12]),
]


def run(case, index, tensors):
    generator = np.random.default_rng(index)

    def numbers(*shape, amplitude=1.5):
        # Exact in float32, so that the same numbers can be given to every arithmetic.
        return torch.from_numpy(generator.uniform(-amplitude, amplitude, shape).astype(np.float32).astype(np.float64))

    q = numbers(case["batch"], case["queries"], case["heads"], case["dim"])
    k = numbers(case["batch"], case["keys"], case["kvHeads"], case["dim"])
    v = numbers(case["batch"], case["keys"], case["kvHeads"], case["valueDim"])
    parameters = {name: numbers(*shape, amplitude=0.5) for name, shape in case["parameters"].items()}
    gradient = numbers(case["batch"], case["queries"], case["heads"], case["valueDim"])
    leaves = {"query": q, "key": k, "value": v, **{f"parameter.{n}": p for n, p in parameters.items()}}
    for leaf in leaves.values():
        leaf.requires_grad_()
    output = torch.zeros_like(gradient)
    logarithms = torch.full((case["batch"], case["heads"], case["queries"]), -torch.inf)
    loss = torch.zeros(())
    group = case["heads"] // case["kvHeads"]
    for b in range(case["batch"]):
        rows = (case["queryLengths"] or [case["queries"]] * case["batch"])[b]
        keys = (case["keyLengths"] or [case["keys"]] * case["batch"])[b]
        for h in range(case["heads"]):
            result, logarithm = OPERATORS[case["operator"]](
                q[b, :rows, h], k[b, :keys, h // group], v[b, :keys, h // group], case, parameters, h)
            output[b, :rows, h] = result.detach()
            if logarithm is not None:
                logarithms[b, h, :rows] = logarithm.detach()
            loss = loss + (gradient[b, :rows, h] * result).sum()
    loss.backward()
    for name, leaf in leaves.items():
        tensors[f"{case['name']}.{name}"] = leaf.detach().numpy()
        tensors[f"{case['name']}.{name}.gradient"] = leaf.grad.numpy()
    tensors[f"{case['name']}.output"] = output.numpy()
    tensors[f"{case['name']}.output.gradient"] = gradient.numpy()
    if case["operator"] == "favor":
        tensors[f"{case['name']}.log_sum_exp"] = logarithms.numpy()


def main():
    tensors = {}
    for index, one in enumerate(CASES):
        run(one, index, tensors)
    save_file(tensors, HERE / "expected.safetensors")
    keys = ("name", "operator", "config", "causal", "seed", "queryLengths", "keyLengths")
    listed = []
    for one in CASES:
        row = {key: one[key] for key in keys}
        row["scale"] = one["scale"] if one["hasScale"] else None
        row["parameters"] = sorted(one["parameters"])
        listed.append(row)
    (HERE / "cases.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    main()
