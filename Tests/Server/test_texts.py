"""What stands in a text and beside it: echoes, likelihoods, stops, biases, special tokens."""

import math
import re

from asking import MODEL, STORY, TALE, texts, tokens_of


def test_echo(server, client):
    whole = client.completions.create(model=MODEL, prompt=STORY, max_tokens=8, temperature=0)
    echoed = client.completions.create(model=MODEL, prompt=STORY, max_tokens=8, temperature=0, echo=True)
    assert echoed.choices[0].text == STORY + whole.choices[0].text
    found, _ = texts(client.completions.create(
        model=MODEL, prompt=STORY, max_tokens=8, temperature=0, echo=True, stream=True))
    assert found[0] == echoed.choices[0].text
    bare = client.completions.create(model=MODEL, prompt=tokens_of(server, STORY), max_tokens=8, temperature=0, echo=True)
    assert bare.choices[0].text == echoed.choices[0].text


def test_echo_alone(server, client):
    """A prompt with its likelihoods and no continuation: what evaluations ask for."""
    answer = client.completions.create(model=MODEL, prompt=STORY, max_tokens=0, echo=True, logprobs=1)
    choice = answer.choices[0]
    assert choice.text == STORY and answer.usage.completion_tokens == 0
    assert len(choice.logprobs.tokens) == len(tokens_of(server, STORY))
    assert choice.logprobs.token_logprobs[0] is None and all(value < 0 for value in choice.logprobs.token_logprobs[1:])


def test_logprobs_of_a_completion(client):
    parameters = {"model": MODEL, "prompt": TALE, "max_tokens": 12, "temperature": 0, "logprobs": 4}
    whole = client.completions.create(**parameters).choices[0]
    logprobs = whole.logprobs
    assert len(logprobs.tokens) == 12 == len(logprobs.token_logprobs) == len(logprobs.top_logprobs)
    assert "".join(logprobs.tokens) == whole.text
    for offset, token, logprob, top in zip(
            logprobs.text_offset, logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert whole.text[offset:offset + len(token)] == token
        # Different tokens may have one text.
        assert 1 <= len(top) <= 5 and math.isclose(top[token], logprob, abs_tol=1e-5)
        assert math.isclose(max(top.values()), logprob, abs_tol=1e-5), "greedy takes the likeliest"
        assert sum(map(math.exp, top.values())) <= 1.0001
    streamed = {"tokens": [], "token_logprobs": [], "text_offset": [], "top_logprobs": []}
    for chunk in client.completions.create(stream=True, **parameters):
        if chunk.choices[0].logprobs:
            for name, values in streamed.items():
                values += getattr(chunk.choices[0].logprobs, name)
    assert streamed["tokens"] == logprobs.tokens and streamed["token_logprobs"] == logprobs.token_logprobs
    assert streamed["text_offset"] == logprobs.text_offset and streamed["top_logprobs"] == logprobs.top_logprobs


def test_logprobs_of_an_echo(client):
    parameters = {"model": MODEL, "prompt": TALE, "max_tokens": 6, "temperature": 0, "logprobs": 0}
    bare = client.completions.create(**parameters).choices[0]
    echoed = client.completions.create(echo=True, **parameters).choices[0]
    logprobs = echoed.logprobs
    # The first token frames the prompt, and is not in its text.
    assert "".join(logprobs.tokens[1:]) == echoed.text
    offset = 0
    for token, place in zip(logprobs.tokens, logprobs.text_offset, strict=True):
        assert place == offset
        offset += len(token)
    assert logprobs.token_logprobs[0] is None and None not in logprobs.token_logprobs[1:]
    assert logprobs.token_logprobs[-6:] == bare.logprobs.token_logprobs


def test_logprobs_of_a_chat(client):
    parameters = {"model": MODEL, "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 12,
                  "temperature": 0.9, "seed": 4, "logprobs": True, "top_logprobs": 3}
    whole = client.chat.completions.create(**parameters).choices[0]
    content = whole.logprobs.content
    assert b"".join(bytes(token.bytes) for token in content).decode().startswith(whole.message.content)
    for token in content:
        assert len(token.top_logprobs) in (3, 4) and token.logprob <= 0
        values = [top.logprob for top in token.top_logprobs[:3]]
        assert values == sorted(values, reverse=True)
        assert bytes(token.bytes).decode(errors="replace") == token.token
    streamed = []
    for chunk in client.chat.completions.create(stream=True, **parameters):
        for choice in chunk.choices:
            if choice.logprobs and choice.logprobs.content:
                streamed += choice.logprobs.content
    assert [(token.token, token.logprob) for token in streamed] == [(token.token, token.logprob) for token in content]
    assert math.isclose(sum(token.logprob for token in streamed), sum(token.logprob for token in content))
    none = client.chat.completions.create(**{**parameters, "logprobs": False, "top_logprobs": None}).choices[0]
    assert none.logprobs is None and none.message.content == whole.message.content


def test_logprobs_of_the_prompt(server, client):
    tokens = tokens_of(server, STORY)
    answer = client.completions.create(
        model=MODEL, prompt=STORY, max_tokens=1, extra_body={"prompt_logprobs": 2}).choices[0]
    entries = answer.model_extra["prompt_logprobs"]
    assert len(entries) == len(tokens) and entries[0] is None
    for token, entry in zip(tokens[1:], entries[1:], strict=True):
        assert str(token) in entry and 2 <= len(entry) <= 3
        ranks = {value["rank"] for value in entry.values()}
        assert {1, 2} <= ranks and all(value["logprob"] <= 0 for value in entry.values())


def test_stop_texts(client):
    parameters = {"model": MODEL, "prompt": TALE, "max_tokens": 60, "temperature": 0}
    free = client.completions.create(logprobs=0, **parameters).choices[0]
    tokens = free.logprobs.tokens
    # The end of one token and the beginning of the next.
    at = next(place for place in range(8, len(tokens)) if len(tokens[place]) > 2 and len(tokens[place + 1]) > 2)
    stop = tokens[at][-2:] + tokens[at + 1][:2]
    before = free.text[:free.text.index(stop)]
    assert before and before != free.text
    for given in (stop, ["never found", stop], [stop, free.text[-6:]]):
        whole = client.completions.create(stop=given, **parameters).choices[0]
        assert (whole.text, whole.finish_reason) == (before, "stop")
        assert whole.model_extra["stop_reason"] == stop
        found, reasons = texts(client.completions.create(stop=given, stream=True, **parameters))
        assert (found, reasons) == ({0: before}, {0: "stop"})
    kept = client.completions.create(stop=stop, extra_body={"include_stop_str_in_output": True}, **parameters)
    assert kept.choices[0].text == before + stop


def test_stop_tokens_and_lengths(server, client):
    parameters = {"model": MODEL, "prompt": TALE, "temperature": 0}
    free = client.completions.create(max_tokens=20, **parameters).choices[0].text
    tokens = tokens_of(server, free, add_special_tokens=False)
    stop = tokens[10]
    stopped = client.completions.create(max_tokens=20, extra_body={"stop_token_ids": [stop]}, **parameters)
    first = tokens.index(stop)
    assert stopped.choices[0].finish_reason == "stop" and stopped.choices[0].model_extra["stop_reason"] == stop
    assert stopped.usage.completion_tokens == first + 1
    later = client.completions.create(
        max_tokens=20, extra_body={"stop_token_ids": [stop], "min_tokens": first + 2}, **parameters)
    assert later.usage.completion_tokens > first + 1


def test_special_tokens(client):
    parameters = {"model": MODEL, "messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0,
                  "max_tokens": 60}
    plain = client.chat.completions.create(**parameters)
    assert plain.choices[0].finish_reason == "stop", "the greedy answer is short"
    shown = client.chat.completions.create(
        extra_body={"skip_special_tokens": False, "ignore_eos": True}, **parameters).choices[0]
    assert shown.finish_reason == "length" and "<|end|>" in shown.message.content
    assert "<|" not in plain.choices[0].message.content


def test_bias_forces_and_forbids(server, client):
    word = tokens_of(server, " the", add_special_tokens=False)[0]
    parameters = {"model": MODEL, "prompt": STORY, "max_tokens": 5}
    forced = client.completions.create(logit_bias={str(word): 100}, seed=1, **parameters).choices[0].text
    assert forced == server.post("/detokenize", {"tokens": [word] * 5}).json()["prompt"]
    greedy = client.completions.create(temperature=0, **parameters).choices[0].text
    first = tokens_of(server, greedy, add_special_tokens=False)[0]
    without = client.completions.create(temperature=0, logit_bias={str(first): -100}, **parameters).choices[0].text
    assert tokens_of(server, without, add_special_tokens=False)[0] != first


def test_allowed_and_bad(server, client):
    words = [tokens_of(server, word, add_special_tokens=False)[0] for word in (" the", " a", " fox")]
    parameters = {"model": MODEL, "prompt": STORY, "max_tokens": 12, "seed": 5}
    allowed = client.completions.create(extra_body={"allowed_token_ids": words}, **parameters)
    assert set(tokens_of(server, allowed.choices[0].text, add_special_tokens=False)) <= set(words)
    greedy = client.completions.create(model=MODEL, prompt=TALE, max_tokens=30, temperature=0).choices[0].text
    # As in vLLM a word is forbidden behind a blank too where both have as many tokens.
    bad = next(word for word in re.findall(r" [a-z]{3,}", greedy) if len(
        {len(tokens_of(server, text, add_special_tokens=False)) for text in (word, word[1:])}) == 1)
    without = client.completions.create(
        model=MODEL, prompt=TALE, max_tokens=30, temperature=0, extra_body={"bad_words": [bad.strip()]})
    assert not re.search(rf"\b{bad.strip()}\b", without.choices[0].text)


def test_special_tokens_of_a_prompt(server, client):
    """Whether a prompt is framed shows in how many tokens it has."""
    framed, bare = (len(tokens_of(server, STORY, add_special_tokens=on)) for on in (True, False))
    for on, count in ((True, framed), (False, bare)):
        usage = client.completions.create(
            model=MODEL, prompt=STORY, max_tokens=1, extra_body={"add_special_tokens": on}).usage
        assert usage.prompt_tokens == count


def test_characters_of_several_tokens(server, client):
    """Tokens of single bytes: what a stream gives is the whole text, each character uncut."""
    foxes = tokens_of(server, "🦊日é", add_special_tokens=False)
    assert len(foxes) > 3
    parameters = {"model": MODEL, "prompt": "🦊日é", "max_tokens": 60, "seed": 6, "temperature": 2,
                  "extra_body": {"allowed_token_ids": sorted(set(foxes)), "ignore_eos": True}}
    whole = client.completions.create(**parameters).choices[0].text
    found, _ = texts(client.completions.create(stream=True, **parameters))
    assert found[0] == whole and any(ord(character) > 127 for character in whole)
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Say 🦊日é \u202e\x00 \\ \" /"}], max_tokens=4)
    assert answer.choices[0].finish_reason
