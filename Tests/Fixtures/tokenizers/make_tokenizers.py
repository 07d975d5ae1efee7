"""Makes unicode.json, texts.json, tokenizer.json and cases.json with Hugging Face's tokenizers.

    pip install tokenizers
    python make_tokenizers.py

unicode.json: what BERT's normaliser and pre-tokenizer do with every Unicode scalar, as ranges.
texts.json: random text, normalised and cut into words under four settings.
tokenizer.json: a small WordPiece with added tokens of every kind; cases.json: texts, their ids, and decoded text.
"""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HERE = Path(__file__).resolve().parent
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
SETTINGS = [
    dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=False),
    dict(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
    dict(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=True),
]


def ranges(values: list[int]) -> list[list[int]]:
    result: list[list[int]] = []
    for value in values:
        if result and result[-1][1] == value - 1:
            result[-1][1] = value
        else:
            result.append([value, value])
    return result


def classes() -> dict:
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    clean = normalizers.BertNormalizer(**{**off, "clean_text": True})
    ideographs = normalizers.BertNormalizer(**{**off, "handle_chinese_chars": True})
    accents = normalizers.BertNormalizer(**{**off, "strip_accents": True})
    split = pre_tokenizers.BertPreTokenizer()
    found: dict[str, list[int]] = {k: [] for k in ("removed", "space", "punctuation", "ideograph", "mark")}
    for value in SCALARS:
        text = chr(value)
        cleaned = clean.normalize_str(text)
        if cleaned == "":
            found["removed"].append(value)
        pieces = [word for word, _ in split.pre_tokenize_str("a" + text + "b")]
        if pieces == ["a", "b"]:
            found["space"].append(value)
        elif pieces != ["a" + text + "b"]:
            found["punctuation"].append(value)
        if ideographs.normalize_str(text) != text:
            found["ideograph"].append(value)
        if accents.normalize_str(text) == "":
            found["mark"].append(value)
    return {name: ranges(values) for name, values in found.items()}


def random_text(draw: random.Random) -> str:
    blocks = [(0x20, 0x7F), (0x20, 0x7F), (0, 0x20), (0x80, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0xE80),
              (0x1680, 0x2100), (0x2000, 0x2070), (0x3000, 0x3200), (0x4E00, 0xA000), (0xA000, 0xD7FF),
              (0xE000, 0x10000), (0x10000, 0x12000), (0x1D000, 0x1F700), (0x20000, 0x30000), (0xE0000, 0xE0200)]
    marks = [c for c in SCALARS if unicodedata.combining(chr(c))]
    text = ""
    for _ in range(draw.randint(1, 14)):
        low, high = draw.choice(blocks)
        value = draw.randrange(low, high)
        text += "" if 0xD800 <= value < 0xE000 else chr(value)
        if draw.random() < 0.25:
            text += "".join(chr(draw.choice(marks)) for _ in range(draw.randint(1, 3)))
    return text


def texts() -> list[dict]:
    draw = random.Random(20)
    result = []
    for index in range(240):
        setting = index % len(SETTINGS)
        text = random_text(draw)
        normalized = normalizers.BertNormalizer(**SETTINGS[setting]).normalize_str(text)
        words = [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalized)]
        result.append({"setting": setting, "text": text, "normalized": normalized, "words": words})
    return result


def small_tokenizer() -> Tokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["hello", "world", "un", "##aff", "##able", "the", "##ing", "play", "中", "é", "e\u0301", "k", "\u212a",
             "##\u0301", "日本", "don", "t", "s", "not", "it", "i", "m"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters),
              *".,!?'-#$()[]<>|", *words]
    vocabulary: dict[str, int] = {}
    for token in tokens:
        vocabulary.setdefault(token, len(vocabulary))
    result = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=12))
    result.normalizer = normalizers.BertNormalizer(strip_accents=False)
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    result.post_processor = processors.TemplateProcessing(
        single="[CLS]:3 $A:1 [SEP]:2", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    result.decoder = decoders.WordPiece()
    result.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", AddedToken("[MASK]", lstrip=True, special=True)])
    result.add_tokens([
        AddedToken("<right>", rstrip=True, normalized=False), AddedToken("whole", single_word=True, normalized=True),
        AddedToken("wholesale", normalized=True), AddedToken("<a>", normalized=False),
        AddedToken("<a><b>", normalized=False)])
    result.enable_truncation(max_length=9, direction="left")
    return result


CASES = [
    "", " ", "hello world", "Hello, WORLD!", "unaffable playing", "[CLS] hello [SEP]", "hello   [MASK]   world",
    "[MASK][MASK]", "hello <right>   world", "whole", "wholes whole! awhole whole_ whole", "WHOLE Wholesale wholesale",
    "<a><b><a>", "<a <a>>", "x<a>y<a><b>z", "中国 日本", "caf\u00e9 cafe\u0301", "K \u212a k", "e\u0301 \u00e9",
    "abcdefghijkl", "abcdefghijklm", "don't it's i'm not", "a b c d e f g h i j k l", "hello [UNK] \u2603 world",
    "( a ) . b , c ! d ?", "[SEP", "[[SEP]]", "whole\u0301", "\u00a0[MASK]\u3000x", "i do not play", "hello ' world",
]


def main() -> None:
    tokenizer = small_tokenizer()
    tokenizer.save(str(HERE / "tokenizer.json"), pretty=False)
    cases = []
    for text in CASES:
        cut = tokenizer.encode(text)
        tokenizer.no_truncation()
        full = tokenizer.encode(text)
        bare = tokenizer.encode(text, add_special_tokens=False)
        tokenizer.enable_truncation(max_length=9, direction="left")
        cases.append({
            "text": text, "ids": full.ids, "tokens": [tokenizer.id_to_token(i) for i in full.ids],
            "typeIds": full.type_ids, "truncated": cut.ids,
            "bare": bare.ids, "decoded": tokenizer.decode(full.ids),
            "decodedAll": tokenizer.decode(full.ids, skip_special_tokens=False)})
    for name, value in (("unicode", classes()), ("texts", texts()), ("cases", cases)):
        (HERE / f"{name}.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
