"""Makes lines.json, <family>.json, ids.bin, samples.json and stages.json with Hugging Face's tokenizers.

    pip install tokenizers==0.23.3
    python make_bpe.py

lines.json: text in many scripts, made from word lists, ranges of Unicode and code; some of it is broken on purpose.
<family>.json: small tokenizers, trained on these lines, each with the stages of a family of models.
ids.bin: for each family and line three hashes (FNV-1a, 64 bits, little-endian): of the ids as 32-bit words, of the decoded
text with and without special tokens; then the same text hashes for sequences of random ids.
samples.json: ids of some lines in full.
stages.json: single normalizers and pre-tokenizers on some lines.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

HERE = Path(__file__).resolve().parent
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PUNCTUATED = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
              r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = {
    "latin": "the of attention model river naïve café façade Übermut straße garçon señor Ångström œuvre łódź žluťoučký "
             "kůň İstanbul ılık København smørrebrød don't it's we'll I'M they'VE 'twas o'clock HTTPServer iPhone",
    "cyrillic": "привет мир внимание ёлка съезд їжак Київ Љубав река модель",
    "greek": "προσοχή κόσμος ΣΊΣΥΦΟΣ λόγος ἀρχή ποταμός",
    "arabic": "مرحبا بالعالم انتباه نَهْر ﷺ ١٢٣ کتاب",
    "hebrew": "שָׁלוֹם עולם תשומת לב נהר",
    "devanagari": "नमस्ते दुनिया ध्यान नदी क्षत्रिय १२३",
    "thai": "สวัสดี ชาวโลก ความสนใจ แม่น้ำ ๑๒๓",
    "han": "注意 世界 河流 模型 你好 漢字 龍 𠮷野家",
    "kana": "こんにちは カタカナ ｶﾀｶﾅ がぎぐ か\u3099 プログラム",
    "hangul": "안녕하세요 세계 주의 강 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "emoji": "😀 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ❤️ 🇩🇪 🧑🏿‍🚀 ☃",
    "marks": "e\u0301 a\u0323\u0307 o\u0307\u0323 Z\u0351\u036b\u0343 q\u0300\u0301\u0302 \u0301 \u212b ﬁ ½ ² Ⅷ ™ ①",
    "digits": "0 7 42 1234 3.14159 1,000,000 0x1F 2026-11-25 ⅔ 12345678901234567890",
    "code": "def f(x): return x**2 for(i=0;i<n;++i){a[i]+=b;} #include<vector> \\frac{1}{2} https://a.b/c?d=e&f=g "
            "<html><br/> snake_case camelCase SELECT * FROM t; === != -> :: // /* */",
}
SPACES = [" ", " ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2003", "\u200b",
          "\u2028", "\x85", "", ""]
ODD = ["\x00", "\x1b", "\x7f", "\ufffd", "\ufeff", "\u200d", "\u202e", "\u017f", "'\u017f", "'S", "\ue000", "\uffff",
       "\U0010ffff", "\U000e0041", "\u1c89", "\U0001e5d0", "\U000323b0", "▁", "▁▁", "Ġ", "<0x41>", "<s>", "</s>",
       "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", " <mask> ", "<tool>", "<|", "word", "swordfish",
       "\u00c4", "<bos>", "<pad>"]
SPECIAL = {"gpt2": ["<|endoftext|>"], "opt": ["<s>", "<pad>", "</s>", "<unk>"]}


def lines(count: int) -> list[str]:
    draw = random.Random(6)
    lists = [words.split() for words in WORDS.values()]
    result = ["", " ", "  ", "\n", "a", " a", "a ", "▁", "\u0301"]
    while len(result) < count:
        kind = draw.random()
        chosen = lists if kind < 0.3 else [draw.choice(lists)]
        text = draw.choice(SPACES) if draw.random() < 0.3 else ""
        for _ in range(draw.randint(1, 9)):
            chance = draw.random()
            if chance < 0.08:
                text += draw.choice(ODD)
            elif chance < 0.12:
                value = draw.randrange(draw.choice([0x80, 0x800, 0x3000, 0x10000, 0x110000]))
                text += "" if 0xD800 <= value < 0xE000 else chr(value)
            else:
                word = draw.choice(draw.choice(chosen))
                text += word.upper() if draw.random() < 0.1 else word
            text += draw.choice(SPACES)
        result.append(text)
    result += ["a" * 300, " " * 300 + "x", "ab" * 150 + "\n" * 90, "é" * 200, "世" * 120, "😀" * 80, "'" * 100]
    return result


def byte_level(text: list[str], name: str, split, *, normalizer=None, ignore_merges=False, size=900) -> Tokenizer:
    result = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        result.normalizer = normalizer
    result.pre_tokenizer = split
    result.decoder = decoders.ByteLevel()
    result.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL.get(name, []), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    result.train_from_iterator(text, trainer)
    return result


def pieces(text: list[str], *, normalizer=None, split=None, fallback=True, fuse=True, alphabet=150) -> Tokenizer:
    """SentencePiece's way: characters, most of which the vocabulary does not know."""
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    if normalizer:
        learner.normalizer = normalizer
    if split:
        learner.pre_tokenizer = split
    learner.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=700, limit_alphabet=alphabet, special_tokens=["<unk>"], show_progress=False, max_token_length=12))
    learned = json.loads(learner.to_str())["model"]
    vocabulary: dict[str, int] = {}
    first = ["<unk>", "<s>", "</s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if fallback else [])
    for token in first + sorted(learned["vocab"], key=learned["vocab"].get):
        vocabulary.setdefault(token, len(vocabulary))
    merges = [tuple(pair) for pair in learned["merges"]]
    result = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=fuse, byte_fallback=fallback))
    if normalizer:
        result.normalizer = normalizer
    if split:
        result.pre_tokenizer = split
    result.add_special_tokens(["<unk>", "<s>", "</s>"])
    return result


def template(tokenizer: Tokenizer, *tokens: str):
    single = " ".join(f"{token}:0" for token in tokens) + " $A:0"
    return processors.TemplateProcessing(
        single=single, special_tokens=[(token, tokenizer.token_to_id(token)) for token in tokens])


def families(text: list[str]) -> dict[str, Tokenizer]:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def cut(*patterns: str):
        return pre_tokenizers.Sequence([*(pre_tokenizers.Split(Regex(p), "isolated") for p in patterns), plain])

    made: dict[str, Tokenizer] = {}
    made["gpt2"] = byte_level(text, "gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False))
    made["opt"] = byte_level(text, "opt", pre_tokenizers.ByteLevel(add_prefix_space=False), size=700)
    made["opt"].post_processor = template(made["opt"], "</s>")
    roberta = byte_level(text, "opt", pre_tokenizers.ByteLevel(add_prefix_space=True), size=600)
    roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    roberta.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    made["roberta"] = roberta
    llama3 = byte_level(text, "llama3", cut(LLAMA3), ignore_merges=True)
    llama3.add_special_tokens(["<|begin_of_text|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    llama3.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True), template(llama3, "<|begin_of_text|>")])
    made["llama3"] = llama3
    qwen = byte_level(text, "qwen2", cut(QWEN2), normalizer=normalizers.NFC())
    qwen.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    qwen.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("word", single_word=True),
                     AddedToken("\u00c4", normalized=True), AddedToken("a b", rstrip=True)])
    made["qwen2"] = qwen
    made["nemo"] = byte_level(text, "nemo", cut(CASED), ignore_merges=True)
    made["deepseek"] = byte_level(text, "deepseek", cut(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", PUNCTUATED))
    spaces = normalizers.Replace(" ", "▁")
    llama2 = pieces(text, normalizer=normalizers.Sequence([normalizers.Prepend("▁"), spaces]))
    llama2.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    llama2.post_processor = template(llama2, "<s>")
    made["llama2"] = llama2
    mistral = pieces(text, split=pre_tokenizers.Metaspace(prepend_scheme="first", split=False))
    mistral.decoder = llama2.decoder
    mistral.post_processor = template(mistral, "<s>")
    made["mistral"] = mistral
    gemma = pieces(text, normalizer=spaces, split=pre_tokenizers.Split(" ", "merged_with_previous"), alphabet=300)
    gemma.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    gemma.add_special_tokens(["<pad>", "<bos>", "<|im_start|>"])
    gemma.add_tokens([AddedToken(t, normalized=False) for t in ("\n", "\n\n", "▁▁", "▁▁▁", "<tool>")])
    gemma.post_processor = template(gemma, "<bos>")
    made["gemma"] = gemma
    old = pieces(text, split=pre_tokenizers.Metaspace(), fallback=False, fuse=False)
    old.decoder = decoders.Metaspace()
    made["metaspace"] = old
    suffixed = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", continuing_subword_prefix="@@"))
    suffixed.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    suffixed.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)])
    suffixed.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=900, limit_alphabet=120, special_tokens=["<unk>"], end_of_word_suffix="</w>",
        continuing_subword_prefix="@@", show_progress=False))
    made["suffixed"] = suffixed
    return made


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def random_ids(size: int, count: int) -> list[list[int]]:
    """The same numbers as the test draws: a multiplicative generator (Lehmer, 1951; Park and Miller's constant)."""
    state = 42
    result = []
    for _ in range(count):
        ids = []
        for _ in range(24):
            state = state * 48271 % 0x7FFFFFFF
            ids.append(state % size)
        result.append(ids)
    return result


def stages(text: list[str]) -> list[dict]:
    split = pre_tokenizers.Split
    cutters = [pre_tokenizers.Whitespace(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(),
               pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation(),
               pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.BertPreTokenizer(),
               pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.ByteLevel(), split("'", "removed")]
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            cutters.append(split(Regex(r"\s|\p{P}"), behavior, invert))
            cutters.append(split(" ", behavior, invert))
    patterns = [r"(?<=[a-z])(?=[A-Z])|\d+", r"(?<!\p{L})'\w+", r"\w+?\b", r"a|ab|abc", r"(?i)gröser|[a-c]+", r"^.|.$",
                r"(?>\p{Lu}+)\p{Ll}", r"\p{L}++\s?", r"(?:\p{Lu}\p{Ll}+){1,2}", r"[^\W\d_]+", r"\P{L}{2,}", r"\p{^N}\p{N}",
                r"[\]\-a]+|\x{4e16}", r"(?:'(?i:[sdmt]|ll|ve|re))", r"\p{Mn}+|\p{Sc}|\p{Cn}", r"\S{3,5}?", r"(a|b)*c|[\S\n]"]
    cutters += [split(Regex(p), "isolated") for p in patterns]
    result = []
    for cutter in cutters:
        some = [line for line in text if len(line) < 200][::60]
        result.append({"kind": "pre_tokenizer", "json": cutter.__getstate__().decode(), "texts": some,
                       "results": ["\x1f".join(w for w, _ in cutter.pre_tokenize_str(line)) for line in some]})
    every = [chr(c) for c in range(1, 0x32000) if not 0xD800 <= c < 0xE000]
    n = normalizers
    for stage in (n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.StripAccents(), n.Strip(),
                  n.Replace(Regex(r"\s+"), "_"), n.Replace("a", "bb"), n.Prepend("x")):
        some = text[::60]
        scalars = [stage.normalize_str(c) for c in every]
        result.append({"kind": "normalizer", "json": stage.__getstate__().decode(), "texts": some,
                       "results": [stage.normalize_str(line) for line in some],
                       "everyScalar": str(fnv("\x00".join(scalars).encode()))})
    return result


def main() -> None:
    text = lines(2200)
    made = families(text)
    packed = bytearray()
    samples = {}
    for name, tokenizer in made.items():
        document = json.loads(tokenizer.to_str())
        if name in ("gpt2", "llama2"):
            # Files of old versions hold merges as strings.
            document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
        (HERE / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")
        encoded = [tokenizer.encode(line).ids for line in text]
        drawn = random_ids(tokenizer.get_vocab_size(), 300)
        for ids in encoded:
            packed += struct.pack("<Q", fnv(struct.pack(f"<{len(ids)}I", *ids)))
        for ids in encoded + drawn:
            for skips in (True, False):
                packed += struct.pack("<Q", fnv(tokenizer.decode(ids, skip_special_tokens=skips).encode()))
        samples[name] = encoded[::50]
    (HERE / "ids.bin").write_bytes(packed)
    compact = dict(separators=(",", ":"), ensure_ascii=False)
    (HERE / "lines.json").write_text(json.dumps(text, **compact) + "\n")
    (HERE / "samples.json").write_text(json.dumps(samples, **compact) + "\n")
    (HERE / "stages.json").write_text(json.dumps(stages(text), **compact) + "\n")


if __name__ == "__main__":
    main()
