"""Tiny random checkpoints of every decoder family, with the logits and greedy continuations that transformers gives.

Each folder is a checkpoint as a model hub has it. `expected.safetensors` holds logits in float32, `cases.json` the
token sequences and the continuations. Run from anywhere; writes beside itself.
"""

import json
import math
import pathlib
import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
VOCABULARY = 157
LENGTHS = [1, 9, 26]
PROMPT = 5
STEPS = 64

# Sizes that no vector and no panel fits.
LLAMA = dict(vocab_size=VOCABULARY, hidden_size=36, intermediate_size=52, num_hidden_layers=2,
             num_attention_heads=6, num_key_value_heads=2, head_dim=10, max_position_embeddings=96,
             rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
GEMMA = LLAMA | dict(num_hidden_layers=3, sliding_window=7, query_pre_attn_scalar=13, bos_token_id=2, eos_token_id=1)


def old_spelling(theta, scaling=None):
    """What config.json said before transformers 5."""
    def change(config):
        config.pop("rope_parameters", None)
        config["rope_theta"] = theta
        config["rope_scaling"] = scaling
        config["torch_dtype"] = config.pop("dtype", "float32")
        config.pop("layer_types", None)
    return change


def old_gemma3(config):
    old_spelling(50000.0, {"rope_type": "linear", "factor": 4.0})(config)
    config["rope_local_base_freq"] = 700.0
    config["sliding_window_pattern"] = 2


# name: (config class, settings, element type, change of the written config, shards)
MODELS = {
    "llama2-sharded": ("Llama", LLAMA | dict(num_key_value_heads=6), "float32", old_spelling(10000.0), 3),
    "llama3-f16": ("Llama", LLAMA | dict(tie_word_embeddings=True), "float16", old_spelling(
        5000.0, {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                 "original_max_position_embeddings": 24, "rope_type": "llama3"}), 1),
    "llama-linear-biases": ("Llama", LLAMA | dict(
        attention_bias=True, mlp_bias=True,
        rope_parameters={"rope_type": "linear", "rope_theta": 3000.0, "factor": 2.5}), "float32", None, 1),
    "llama-dynamic": ("Llama", LLAMA | dict(
        max_position_embeddings=16,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 3.0}), "float32", None, 1),
    "llama-yarn": ("Llama", LLAMA | dict(
        rope_parameters={"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "beta_fast": 8.0,
                         "original_max_position_embeddings": 24}), "float32", None, 1),
    "mistral": ("Mistral", LLAMA | dict(
        sliding_window=6, rope_parameters={"rope_type": "default", "rope_theta": 9000.0}), "float32", None, 1),
    "qwen2": ("Qwen2", {k: v for k, v in LLAMA.items() if k != "head_dim"} | dict(
        num_hidden_layers=3, use_sliding_window=True, sliding_window=5, max_window_layers=1,
        tie_word_embeddings=True), "float32", old_spelling(2000.0), 1),
    "qwen3-bf16": ("Qwen3", LLAMA | dict(
        rope_parameters={"rope_type": "default", "rope_theta": 8000.0}), "bfloat16", None, 1),
    "gemma2": ("Gemma2", GEMMA | dict(
        attn_logit_softcapping=3.0, final_logit_softcapping=8.0,
        rope_parameters={"rope_type": "default", "rope_theta": 4000.0}), "float32", None, 1),
    "gemma3": ("Gemma3Text", GEMMA | dict(
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
                         "full_attention": {"rope_type": "linear", "rope_theta": 90000.0, "factor": 2.0}}),
               "float32", None, 1),
    "gemma3-old": ("Gemma3Text", GEMMA, "float32", old_gemma3, 1),
    "gpt2": ("GPT2", dict(vocab_size=VOCABULARY, n_embd=36, n_layer=2, n_head=4, n_positions=96, n_inner=52,
                          bos_token_id=0, eos_token_id=0), "float32", None, 1),
    "gpt2-scaled": ("GPT2", dict(vocab_size=VOCABULARY, n_embd=24, n_layer=2, n_head=2, n_positions=96,
                                 scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False, bos_token_id=0,
                                 eos_token_id=0), "float32", None, 1),
    "opt": ("OPT", dict(vocab_size=VOCABULARY, hidden_size=36, ffn_dim=52, num_hidden_layers=2, num_attention_heads=4,
                        max_position_embeddings=96, word_embed_proj_dim=36), "float32", None, 1),
    "opt-projected": ("OPT", dict(vocab_size=VOCABULARY, hidden_size=32, ffn_dim=44, num_hidden_layers=2,
                                  num_attention_heads=4, max_position_embeddings=96, word_embed_proj_dim=20,
                                  do_layer_norm_before=False), "float32", None, 1),
}


def randomize(model, gemma):
    """Weights for which every part counts: no zero biases, gains apart from one, logits of a few units."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.dim() == 1:
                centre = 0.0 if name.endswith("bias") or gemma else 1.0
                if gemma and name == "model.norm.weight":
                    centre = 2.0
                tensor.copy_(centre + 0.2 * torch.randn_like(tensor))
            elif "embed" in name or "wte" in name or "wpe" in name or "lm_head" in name:
                # Gemma multiplies rows by the root of the width: as wide as elsewhere they would drown the layers.
                tensor.copy_((0.7 if gemma else 2.0) / math.sqrt(tensor.shape[-1]) * torch.randn_like(tensor))
            else:
                tensor.copy_(1.5 / math.sqrt(tensor.shape[-1]) * torch.randn_like(tensor))


def logits(model, ids, step_by_step):
    with torch.no_grad():
        if not step_by_step:
            return model(torch.tensor([ids])).logits[0]
        # Dynamic scaling: what a model computes that takes one token after the other.
        rows, past = [], None
        for token in ids:
            result = model(torch.tensor([[token]]), past_key_values=past, use_cache=True)
            past = result.past_key_values
            rows.append(result.logits[0, 0])
        return torch.stack(rows)


def greedy(model, prompt, step_by_step):
    ids, worst = list(prompt), math.inf
    for _ in range(STEPS):
        last = logits(model, ids, step_by_step)[-1]
        best = torch.topk(last, 2)
        worst = min(worst, float(best.values[0] - best.values[1]) / float(last.abs().max()))
        ids.append(int(best.indices[0]))
    return ids[len(prompt):], worst


def make(name, kind, settings, dtype, change, shards, seed):
    torch.manual_seed(seed)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    config = getattr(transformers, kind + "Config")(**settings)
    model_class = {"Gemma3Text": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}.get(kind, kind + "ForCausalLM")
    model = getattr(transformers, model_class)(config)
    randomize(model, kind.startswith("Gemma"))
    model = model.to(getattr(torch, dtype))
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    # A little less than an equal share makes as many shards as asked for, or one more.
    model.save_pretrained(folder, max_shard_size=10**9 if shards == 1 else int(size / shards * 1.2))
    path = folder / "config.json"
    written = json.loads(path.read_text())
    if change:
        change(written)
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    return getattr(transformers, model_class).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()


def wrap_gemma3():
    """The text part of a model for texts and images: another prefix, and the configuration one level down."""
    source, folder = HERE / "gemma3", HERE / "gemma3-wrapped"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    text = json.loads((source / "config.json").read_text())
    for key in ("architectures", "eos_token_id", "bos_token_id", "transformers_version"):
        text.pop(key, None)
    outer = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
             "vision_config": {"model_type": "siglip_vision_model"}, "eos_token_id": [1, 106], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(outer, indent=2, sort_keys=True) + "\n")
    weights = {"language_model." + k: v for k, v in load_file(source / "model.safetensors").items()}
    weights["vision_tower.vision_model.post_layernorm.weight"] = torch.ones(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def main():
    expected, cases = {}, {}
    for name, (kind, settings, dtype, change, shards) in MODELS.items():
        step_by_step = name == "llama-dynamic"
        # Greedy continuations must not hang on the last bits: try seeds until every choice is clear.
        for seed in range(100, 140):
            model = make(name, kind, settings, dtype, change, shards, seed)
            torch.manual_seed(seed + 1000)
            sequences = [torch.randint(3, VOCABULARY, (length,)).tolist() for length in LENGTHS]
            prompt = torch.randint(3, VOCABULARY, (PROMPT,)).tolist()
            continuation, margin = greedy(model, prompt, step_by_step)
            if margin > 1e-3 and len(set(continuation)) > 8:
                break
        rows = [logits(model, ids, step_by_step) for ids in sequences]
        for index, row in enumerate(rows):
            expected[f"{name}.{index}"] = row.contiguous()
        cases[name] = {"sequences": sequences, "prompt": prompt, "continuation": continuation}
        print(f"{name}: seed {seed}, margin {margin:.4f}, largest logit {max(float(r.abs().max()) for r in rows):.2f}, "
              f"{len(set(continuation))} distinct tokens", flush=True)
    wrap_gemma3()
    cases["gemma3-wrapped"] = cases["gemma3"]
    for index in range(len(LENGTHS)):
        expected[f"gemma3-wrapped.{index}"] = expected[f"gemma3.{index}"].clone()
    save_file(expected, HERE / "expected.safetensors")
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
    (HERE / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
