"""Trains the default model and writes it as a Hugging Face directory.

    pip install torch==2.13.0 transformers==5.24.0 tokenizers==0.23.3 safetensors==0.8.0
    nice -n 19 python train.py --steps 600 ../../Sources/DefaultModel/Resources/default-model

Seeds are fixed; with the same versions, threads and processor the same numbers come out. It also writes
what the tests compare with: held-out.json (texts that were not trained on, and their perplexity) and greedy.json
(a prompt and a question, and what follows them).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import corpus

LENGTH, BATCH, VOCABULARY, CHARACTERS = 512, 8, 2048, 24_000_000
SPECIAL = [corpus.BEGIN, corpus.END, corpus.USER, corpus.ASSISTANT]
TEMPLATE = """{{- bos_token }}
{%- if messages and messages[0].role == 'system' %}
    {%- set preface = messages[0].content | trim + '\\n' %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set preface = '' %}
    {%- set turns = messages %}
{%- endif %}
{%- for turn in turns %}
    {%- if turn.role not in ['user', 'assistant'] %}
        {{- raise_exception('a role has to be user or assistant, and system in the beginning only') }}
    {%- endif %}
    {{- '<|' + turn.role + '|>' + (preface if loop.first else '') + turn.content | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}
"""


def train_tokenizer(text: list[str]) -> Tokenizer:
    result = Tokenizer(models.BPE())
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    result.decoder = decoders.ByteLevel()
    result.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    result.post_processor = processors.TemplateProcessing(
        single=f"{corpus.BEGIN} $A", special_tokens=[(corpus.BEGIN, result.token_to_id(corpus.BEGIN))])
    return result


def configuration() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=416, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, max_position_embeddings=LENGTH, tie_word_embeddings=True, bos_token_id=0,
        eos_token_id=1, pad_token_id=1, rms_norm_eps=1e-5)


def rate(step: int, steps: int) -> float:
    """Warms up for a twentieth of the steps, then falls along a cosine to a fiftieth."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def train(model: LlamaForCausalLM, ids: torch.Tensor, steps: int, saved: Path) -> list[dict]:
    """Runs the steps that `saved` does not hold yet; every fiftieth is kept there, so that a run may be broken off."""
    draw = torch.Generator().manual_seed(1)
    rows = ids[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)
    order = torch.cat([torch.randperm(len(rows), generator=draw) for _ in range(1 + steps * BATCH // len(rows))])
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=3e-3, betas=(0.9,
        0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    losses, mean, first, began = [], 0.0, 0, time.time()
    if saved.exists():
        state = torch.load(saved)
        if state.get("tokens") != len(ids):
            raise SystemExit(f"{saved} belongs to another text: the corpus or the documents have changed since")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first, mean, losses = state["step"], state["mean"], state["losses"]
    for step in range(first, steps):
        batch = rows[order[step * BATCH: (step + 1) * BATCH]]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=batch, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        mean = loss.item() if step == 0 else 0.95 * mean + 0.05 * loss.item()
        if step % 20 == 19:
            losses.append({"step": step + 1, "loss": round(mean, 4)})
            speed = (step + 1 - first) * BATCH * LENGTH / (time.time() - began)
            print(f"step {step + 1} loss {mean:.4f}, {speed:.0f} tokens/s", flush=True)
        if step % 50 == 49:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                        "schedule": schedule.state_dict(), "step": step + 1, "mean": mean, "losses": losses,
                        "tokens": len(ids)}, saved)
    return losses


@torch.no_grad()
def perplexity(model: LlamaForCausalLM, texts: list[list[int]]) -> float:
    """Over every token but the first of each text, in Float32."""
    total, count = 0.0, 0
    for ids in texts:
        batch = torch.tensor([ids])
        logits = model(input_ids=batch, use_cache=False).logits[0, :-1].double()
        total += torch.nn.functional.cross_entropy(logits, batch[0, 1:], reduction="sum").item()
        count += len(ids) - 1
    return math.exp(total / count)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--steps", type=int, default=600)
    arguments.add_argument("--saved", type=Path, default=Path("training.pt"))
    arguments.add_argument("folder", type=Path)
    given = arguments.parse_args()
    torch.manual_seed(0)
    # One thread: the sums are the same wherever it runs, and on a busy machine it is faster than two.
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)

    text = corpus.corpus(1, CHARACTERS)
    inner = train_tokenizer(text[: len(text) // 8])
    ids = torch.tensor([i for encoding in inner.encode_batch(text, add_special_tokens=False) for i in encoding.ids])
    print(f"{len(text)} texts, {sum(map(len, text))} characters, {len(ids)} tokens", flush=True)
    model = LlamaForCausalLM(configuration())
    print(f"{model.num_parameters()} parameters", flush=True)
    losses = train(model, ids, given.steps, given.saved)

    # What is kept is BFloat16; what is reported is of the kept weights.
    model = model.to(torch.bfloat16).float().eval()
    known = set(text)
    held = [t for t in corpus.corpus(2, 60_000, with_documents=False) if t not in known]
    encoded = [inner.encode(t, add_special_tokens=False).ids[:LENGTH] for t in held]
    held, encoded = zip(*[(t, e) for t, e in zip(held, encoded) if len(e) < LENGTH])
    measured = perplexity(model, list(encoded))
    print(f"held-out: {len(held)} texts, {sum(map(len, encoded))} tokens, perplexity {measured:.4f}", flush=True)

    prompt = "Once upon a time there was a little fox named Mia."
    start = inner.encode(prompt).ids
    out = model.generate(torch.tensor([start]), max_new_tokens=120, do_sample=False, eos_token_id=1, pad_token_id=1)
    continued = out[0, len(start):].tolist()
    print(prompt + inner.decode(continued), flush=True)

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=corpus.BEGIN, eos_token=corpus.END, pad_token=corpus.END,
        additional_special_tokens=[corpus.USER, corpus.ASSISTANT], model_max_length=LENGTH)
    model.to(torch.bfloat16).save_pretrained(given.folder)
    inner.save(str(given.folder / "tokenizer.json"), pretty=False)
    compact = dict(ensure_ascii=False, indent=1)

    def write(name: str, value) -> None:
        (given.folder / name).write_text(json.dumps(value, **compact) + "\n")

    write("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": corpus.BEGIN, "eos_token": corpus.END,
        "pad_token": corpus.END, "model_max_length": LENGTH, "chat_template": TEMPLATE})
    write("generation_config.json", {
        "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "do_sample": True, "temperature": 0.7, "top_p": 0.95})
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "What is flash?"}], chat_template=TEMPLATE,
                                         tokenize=False, add_generation_prompt=True)
    answer = inner.encode(chat, add_special_tokens=False).ids
    reply = model.float().generate(torch.tensor([answer]), max_new_tokens=60, do_sample=False, eos_token_id=1,
        pad_token_id=1)
    print(inner.decode(reply[0].tolist(), skip_special_tokens=False), flush=True)
    here = Path(__file__).resolve().parent
    fixtures = here.parents[1] / "Tests" / "Fixtures" / "default-model"
    fixtures.mkdir(parents=True, exist_ok=True)
    (fixtures / "held-out.json").write_text(json.dumps({"perplexity": measured, "texts": list(held)}, **compact) + "\n")
    (fixtures / "greedy.json").write_text(json.dumps(
        {"prompt": prompt, "ids": start, "continuation": continued, "text": inner.decode(continued), "chat": chat,
         "chatIds": answer, "reply": reply[0, len(answer):].tolist()}, **compact) + "\n")
    (here / "losses.json").write_text(json.dumps(losses) + "\n")


if __name__ == "__main__":
    main()
