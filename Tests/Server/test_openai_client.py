"""The server as the `openai` client sees it."""

import asyncio
import concurrent.futures
import math
import re
import time

import httpx
import openai
import pytest

from wire import once

MODEL = "default"
STORY = "Once upon a time"
# The model continues it greedily for more than sixty tokens.
TALE = "Tell me"
LONG = "Once upon a time there was a small bird who lived in a tall tree near the river. " * 4


def texts(stream):
    """The texts of a completion's stream, by choice, and why each ended."""
    found, reasons = {}, {}
    for chunk in stream:
        for choice in chunk.choices:
            found[choice.index] = found.get(choice.index, "") + choice.text
            if choice.finish_reason:
                assert choice.index not in reasons, "a choice ended twice"
                reasons[choice.index] = choice.finish_reason
    return found, reasons


def answers(stream):
    """The same of a chat's stream."""
    found, reasons = {}, {}
    for chunk in stream:
        for choice in chunk.choices:
            found[choice.index] = found.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                assert choice.index not in reasons, "a choice ended twice"
                reasons[choice.index] = choice.finish_reason
    return found, reasons


def tokens_of(server, text, **more):
    response = server.post("/tokenize", {"prompt": text, **more})
    assert response.status_code == 200, response.text
    return response.json()["tokens"]


def by_choice(response):
    return {choice.index: choice.text for choice in response.choices}


# Models and tokens


def test_models(server, client):
    models = client.models.list().data
    assert [model.id for model in models] == [MODEL]
    model = client.models.retrieve(MODEL)
    assert model.object == "model" and model.model_extra["max_model_len"] == 512
    assert model.model_extra["attention"].keys() == {"prefill", "decode"}
    assert all(model.model_extra["attention"].values())
    with pytest.raises(openai.NotFoundError) as info:
        client.models.retrieve("another")
    assert info.value.code == "model_not_found"


def test_tokens_and_back(server):
    for text in [STORY, "naïve 日本語 🦊 ‍ \n\t", "", " "]:
        answer = server.post("/tokenize", {"prompt": text, "add_special_tokens": False}).json()
        assert answer["count"] == len(answer["tokens"]) and answer["max_model_len"] == 512
        assert answer["token_strs"] is None
        assert server.post("/detokenize", {"tokens": answer["tokens"]}).json() == {"prompt": text}
    framed, bare = tokens_of(server, STORY), tokens_of(server, STORY, add_special_tokens=False)
    assert framed[-len(bare):] == bare
    named = server.post("/tokenize", {"prompt": STORY, "return_token_strs": True}).json()
    assert len(named["token_strs"]) == named["count"]


def test_tokens_of_a_conversation(server, client):
    messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Who are you?"}]
    tokens = server.post("/tokenize", {"messages": messages}).json()["tokens"]
    chat = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4, temperature=0)
    assert chat.usage.prompt_tokens == len(tokens)
    completion = client.completions.create(model=MODEL, prompt=tokens, max_tokens=4, temperature=0)
    assert completion.choices[0].text == chat.choices[0].message.content


# Whole and streamed


PARAMETERS = [
    {"temperature": 0},
    {"temperature": 1, "seed": 7},
    {"temperature": 1.5, "seed": 8, "top_p": 0.8, "extra_body": {"top_k": 40, "min_p": 0.01}},
    {"temperature": 1, "seed": 9, "n": 3},
    {"temperature": 0.8, "seed": 10, "presence_penalty": 1, "frequency_penalty": 0.5,
     "extra_body": {"repetition_penalty": 1.2}},
]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=lambda value: "-".join(value))
def test_a_streamed_completion_is_the_whole_one(client, parameters):
    parameters = {"model": MODEL, "prompt": STORY, "max_tokens": 40, **parameters}
    whole = client.completions.create(**parameters)
    found, reasons = texts(client.completions.create(stream=True, **parameters))
    assert found == by_choice(whole)
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert sorted(found) == list(range(parameters.get("n", 1)))


@pytest.mark.parametrize("parameters", PARAMETERS, ids=lambda value: "-".join(value))
def test_a_streamed_chat_is_the_whole_one(client, parameters):
    messages = [{"role": "user", "content": "Tell me a story about a fox."}]
    parameters = {"model": MODEL, "messages": messages, "max_completion_tokens": 40, **parameters}
    whole = client.chat.completions.create(**parameters)
    found, reasons = answers(client.chat.completions.create(stream=True, **parameters))
    assert found == {choice.index: choice.message.content for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert all(choice.message.role == "assistant" for choice in whole.choices)


def test_text_comes_while_it_is_generated(server, client):
    """Not all at the end: the first piece comes when most tokens are yet to be generated."""
    begin = server.metric("vllm:generation_tokens_total")
    stream = client.completions.create(
        model=MODEL, prompt=STORY, max_tokens=450, temperature=0, stream=True, extra_body={"ignore_eos": True})
    times = [time.monotonic() for chunk in stream if chunk.choices and chunk.choices[0].text]
    server.settle()
    assert server.metric("vllm:generation_tokens_total") - begin == 450
    assert len(times) > 300
    assert times[len(times) // 2] - times[0] > 0.25 * (times[-1] - times[0]), "the pieces came in one heap"


def test_shapes_of_a_chats_chunks(client):
    chunks = list(client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Who are you?"}], max_tokens=8, temperature=0, stream=True,
        stream_options={"include_usage": True}))
    first, *middle, end, usage = chunks
    assert first.choices[0].delta.role == "assistant" and first.choices[0].delta.content == ""
    assert first.choices[0].finish_reason is None
    for chunk in middle:
        assert chunk.choices[0].delta.role is None and chunk.choices[0].finish_reason is None
    assert end.choices[0].delta.model_fields_set == set() and end.choices[0].finish_reason in ("stop", "length")
    assert usage.choices == [] and usage.usage.completion_tokens <= 8
    for chunk in [first, *middle, end]:
        assert "usage" in chunk.model_fields_set and chunk.usage is None
    assert len({(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks}) == 1
    assert chunks[0].system_fingerprint and chunks[0].object == "chat.completion.chunk"


def test_without_include_usage_no_chunk_has_it(client):
    for chunk in client.completions.create(model=MODEL, prompt=STORY, max_tokens=3, stream=True):
        assert chunk.usage is None and len(chunk.choices) == 1


def test_usage_counts_tokens(server, client):
    prompt = tokens_of(server, STORY)
    whole = client.completions.create(
        model=MODEL, prompt=[STORY, STORY + ","], max_tokens=5, n=2, extra_body={"ignore_eos": True})
    assert whole.usage.prompt_tokens == len(prompt) + len(tokens_of(server, STORY + ","))
    assert whole.usage.completion_tokens == 20
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 20
    stream = client.completions.create(
        model=MODEL, prompt=[STORY, STORY + ","], max_tokens=5, n=2, stream=True,
        stream_options={"include_usage": True}, extra_body={"ignore_eos": True})
    usages = [chunk.usage for chunk in stream if chunk.usage]
    assert [usage.model_dump(exclude={"prompt_tokens_details"}) for usage in usages] == [
        whole.usage.model_dump(exclude={"prompt_tokens_details"})]


def test_a_prompts_keys_are_found_again(client):
    def cached(**extra):
        usage = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": LONG}], max_tokens=2, extra_body=extra).usage
        return usage.prompt_tokens_details.cached_tokens

    salt = f"salt {time.time()}"
    assert cached(cache_salt=salt) == 0
    assert cached(cache_salt=salt) >= 48
    assert cached(cache_salt=salt + "!") == 0, "another salt must not see what is cached"


EXTREMES = [
    {"temperature": 5e-324}, {"temperature": 1e-30}, {"top_p": 5e-324}, {"min_p": 1}, {"min_p": 5e-324},
    {"top_k": 2**63 - 1}, {"seed": -2**63}, {"seed": 2**63 - 1}, {"priority": -2**62},
    {"repetition_penalty": 5e-324}, {"repetition_penalty": 1e-38}, {"repetition_penalty": 1.7e308},
    {"repetition_penalty": 5e-324, "temperature": 0}, {"repetition_penalty": 5e-324, "presence_penalty": 2},
    {"logit_bias": {"5": 100, "6": 100}, "temperature": 5e-324}, {"logit_bias": {str(token): -100 for token in range(2048)}},
    {"max_tokens": 2**63 - 1, "prompt": [5] * 500}, {"max_tokens": 2**63 - 1, "min_tokens": 2**63 - 1, "prompt": [5] * 500},
]


@pytest.mark.parametrize("fields", EXTREMES, ids=lambda value: str(value)[:50])
def test_values_at_the_edge(start, fields):
    """What lies within the ranges is answered, and ends nobody's server."""
    server = start()
    response = server.post("/v1/completions", {"prompt": STORY, "max_tokens": 6, "logprobs": 2, **fields})
    assert response.status_code == 200, response.text
    assert server.process.poll() is None


# Several prompts and continuations


def test_prompts_as_texts_and_tokens(server, client):
    prompts = [STORY, "The fox", "日本"]
    alone = [client.completions.create(model=MODEL, prompt=prompt, max_tokens=12, temperature=0).choices[0].text
             for prompt in prompts]
    lists = [tokens_of(server, prompt) for prompt in prompts]
    for batch in (prompts, lists):
        together = client.completions.create(model=MODEL, prompt=batch, max_tokens=12, temperature=0)
        assert by_choice(together) == dict(enumerate(alone))
        assert texts(client.completions.create(
            model=MODEL, prompt=batch, max_tokens=12, temperature=0, stream=True))[0] == dict(enumerate(alone))
    one = client.completions.create(model=MODEL, prompt=lists[0], max_tokens=12, temperature=0)
    assert one.choices[0].text == alone[0]


def test_choices_go_prompt_by_prompt(client):
    together = client.completions.create(
        model=MODEL, prompt=[STORY, "The fox"], n=2, seed=3, max_tokens=12, echo=True)
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    begins = [choice.text.startswith(STORY) for choice in together.choices]
    assert begins == [True, True, False, False]
    assert together.choices[0].text != together.choices[1].text


def test_best_of_returns_the_likeliest(client):
    parameters = {"model": MODEL, "prompt": STORY, "max_tokens": 16, "seed": 11, "temperature": 1, "logprobs": 0}
    every = client.completions.create(n=5, **parameters)
    best = client.completions.create(n=2, best_of=5, **parameters)
    ranked = sorted(every.choices, key=lambda choice: -sum(choice.logprobs.token_logprobs))
    assert len({choice.text for choice in every.choices}) == 5
    assert [choice.text for choice in best.choices] == [choice.text for choice in ranked[:2]]
    assert best.usage.completion_tokens >= 5, "all candidates are computed"


def test_beam_search(client):
    def search(**more):
        return client.completions.create(
            model=MODEL, prompt=STORY, max_tokens=12, temperature=0, extra_body={"use_beam_search": True}, **more)

    beams = [choice.text for choice in search(n=4).choices]
    assert len(set(beams)) == 4 and beams == [choice.text for choice in search(n=4).choices]


# Text


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


# Chats


def test_a_systems_message_counts(client):
    def ask(*messages, **more):
        return client.chat.completions.create(
            model=MODEL, messages=messages, temperature=0, max_tokens=16, **more)

    user = {"role": "user", "content": "Who are you?"}
    alone, with_system = ask(user), ask({"role": "system", "content": "You are brief."}, user)
    assert with_system.usage.prompt_tokens > alone.usage.prompt_tokens
    parts = ask({"role": "user", "content": [{"type": "text", "text": "Who are you?"}]})
    assert parts.choices[0].message.content == alone.choices[0].message.content
    assert parts.usage.prompt_tokens == alone.usage.prompt_tokens
    longer = ask(user, {"role": "assistant", "content": "A zoo."}, {"role": "user", "content": "Of what?"})
    assert longer.usage.prompt_tokens > alone.usage.prompt_tokens
    bare = ask(user, extra_body={"add_generation_prompt": False})
    assert bare.usage.prompt_tokens == alone.usage.prompt_tokens - 1


def test_max_completion_tokens(client):
    def ask(**limits):
        return client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Tell me a story."}],
            extra_body={"ignore_eos": True}, **limits)

    for limits in ({"max_completion_tokens": 7}, {"max_tokens": 7}, {"max_completion_tokens": 7, "max_tokens": 9}):
        answer = ask(**limits)
        assert answer.usage.completion_tokens == 7 and answer.choices[0].finish_reason == "length"
    endless = ask()
    assert endless.usage.total_tokens == 512, "without a limit the model's length is one"


def test_harmless_fields(client):
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Who are you?", "name": "ada"}], max_tokens=2, user="ada",
        tools=[], response_format={"type": "text"}, extra_body={"of_tomorrow": {"a": [1]}, "stop": None, "top_k": None})
    assert answer.usage.completion_tokens <= 2


def test_request_ids(server, client):
    raw = client.completions.with_raw_response.create(
        model=MODEL, prompt=STORY, max_tokens=1, extra_headers={"X-Request-Id": "mine~!{}"})
    assert raw.headers["x-request-id"] == "mine~!{}"
    own = [httpx.get(server.url + "/version", headers={"X-Request-Id": bad}).headers["x-request-id"]
           for bad in ("", "a b", "x" * 129)]
    assert len(set(own)) == 3 and not {"", "a b", "x" * 129} & set(own)


# Repeatability


def test_seeds_repeat_under_load(server, client):
    def draw(seed, prompt=STORY, temperature=1.0):
        return client.completions.create(
            model=MODEL, prompt=prompt, max_tokens=32, seed=seed, temperature=temperature).choices[0].text

    alone = {seed: draw(seed) for seed in range(12)}
    greedy = draw(0, temperature=0)
    assert len(set(alone.values())) > 8
    with concurrent.futures.ThreadPoolExecutor(36) as pool:
        others = [pool.submit(draw, 100 + number, f"Number {number} " * 20) for number in range(12)]
        again = {seed: pool.submit(draw, seed) for seed in alone}
        same = [pool.submit(draw, 0, temperature=0) for _ in range(12)]
        assert {seed: text.result() for seed, text in again.items()} == alone
        assert {text.result() for text in same} == {greedy}
        assert all(other.result() for other in others)
    drawn = {client.completions.create(model=MODEL, prompt=STORY, max_tokens=32).choices[0].text for _ in range(4)}
    assert len(drawn) > 1, "without a seed answers differ"


def test_many_clients_at_once(server):
    async def main():
        async with server.async_client() as client:
            async def one(number):
                stream = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": f"Tell me story {number}."}], max_tokens=24,
                    seed=number, stream=True, stream_options={"include_usage": True})
                usage = None
                async for chunk in stream:
                    usage = chunk.usage or usage
                return usage.completion_tokens

            return await asyncio.gather(*(one(number) for number in range(64)))

    assert all(1 <= count <= 24 for count in asyncio.run(main()))


# Errors


COMPLETIONS = [
    ("temperature", {"temperature": 2.5}),
    ("temperature", {"temperature": -1}),
    ("temperature", {"temperature": "hot"}),
    ("top_p", {"top_p": 0}),
    ("top_p", {"top_p": 1.1}),
    ("n", {"n": 0}),
    ("n", {"n": 129}),
    ("n", {"n": 2, "temperature": 0}),
    ("n", {"n": 1.5}),
    ("best_of", {"n": 3, "best_of": 2}),
    (("best_of", "stream"), {"n": 1, "best_of": 2, "stream": True}),
    ("max_tokens", {"max_tokens": 0}),
    ("max_tokens", {"max_tokens": -3}),
    ("logprobs", {"logprobs": 21}),
    ("logprobs", {"logprobs": -1}),
    ("stop", {"stop": ""}),
    ("stop", {"stop": ["a", ""]}),
    ("stop", {"stop": 3}),
    ("presence_penalty", {"presence_penalty": 2.1}),
    ("frequency_penalty", {"frequency_penalty": -2.1}),
    ("repetition_penalty", {"repetition_penalty": 0}),
    ("top_k", {"top_k": -2}),
    ("min_p", {"min_p": 1.5}),
    ("min_tokens", {"min_tokens": 20, "max_tokens": 10}),
    ("bad_words", {"bad_words": [""]}),
    ("allowed_token_ids", {"allowed_token_ids": []}),
    ("allowed_token_ids", {"allowed_token_ids": [99999]}),
    ("stop_token_ids", {"stop_token_ids": [-1]}),
    ("logit_bias", {"logit_bias": {"word": 1}}),
    ("logit_bias", {"logit_bias": {"99999": 1}}),
    ("logit_bias", {"logit_bias": [1]}),
    ("prompt_logprobs", {"prompt_logprobs": 21}),
    ("logprobs", {"echo": True, "logprobs": 1, "stream": True}),
    ("suffix", {"suffix": "the end"}),
    ("stream_options", {"stream_options": {"include_usage": True}}),
    ("stream", {"stream": "yes"}),
    ("echo", {"echo": 1}),
    ("seed", {"seed": 0.5}),
    ("user", {"user": 7}),
    ("model", {"model": 7}),
    ("prompt", {"prompt": []}),
    ("prompt", {"prompt": [[]]}),
    ("prompt", {"prompt": [1, "two"]}),
    ("prompt", {"prompt": {"text": "a"}}),
    ("prompt", {"prompt": [99999]}),
    ("prompt", {"prompt": [-1]}),
    ("prompt", {"prompt": [5] * 512}),
    ("prompt", {"prompt": None}),
]


@pytest.mark.parametrize("param, fields", COMPLETIONS, ids=lambda value: str(value)[:40])
def test_refused_completions(client, param, fields):
    body = {"model": MODEL, "prompt": STORY, **fields}
    with pytest.raises(openai.BadRequestError) as info:
        client.post("/completions", body=body, cast_to=object)
    assert info.value.type == "invalid_request_error" and info.value.param in ([param] if isinstance(param, str) else param)
    assert re.search(r"\w", info.value.body["message"])


USER = [{"role": "user", "content": "Who are you?"}]
CHATS = [
    ("messages", {"messages": []}),
    ("messages", {"messages": None}),
    ("messages", {"messages": "Hello"}),
    ("messages", {"messages": [{"content": "Hello"}]}),
    ("messages", {"messages": [{"role": "wizard", "content": "Hello"}]}),
    ("messages", {"messages": [{"role": "user", "content": 3}]}),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}]}),
    ("messages", {"messages": [{"role": "user", "content": "word " * 600}]}),
    ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    ("functions", {"functions": [{"name": "f"}]}),
    ("response_format", {"response_format": {"type": "json_object"}}),
    ("response_format", {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}),
    ("max_tokens", {"max_tokens": 0}),
    ("max_completion_tokens", {"max_completion_tokens": 0}),
    ("top_logprobs", {"top_logprobs": 2}),
    ("top_logprobs", {"top_logprobs": 21, "logprobs": True}),
    ("logprobs", {"logprobs": 2}),
    ("n", {"n": 0}),
    ("temperature", {"temperature": 3}),
]


@pytest.mark.parametrize("param, fields", CHATS, ids=lambda value: str(value)[:40])
def test_refused_chats(client, param, fields):
    with pytest.raises(openai.BadRequestError) as info:
        client.post("/chat/completions", body={"model": MODEL, "messages": USER, **fields}, cast_to=object)
    assert info.value.type == "invalid_request_error" and info.value.param == param
    assert re.search(r"\w", info.value.body["message"])


def test_a_prompt_that_just_fits(client):
    fits = client.completions.create(model=MODEL, prompt=[5] * 511, max_tokens=50, temperature=0)
    assert fits.usage.completion_tokens == 1 and fits.choices[0].finish_reason in ("length", "stop")


def test_unknown_models_and_paths(server, client):
    for ask in (lambda: client.completions.create(model="another", prompt=STORY),
                lambda: client.chat.completions.create(model="another", messages=USER)):
        with pytest.raises(openai.NotFoundError) as info:
            ask()
        assert info.value.code == "model_not_found" and info.value.type == "invalid_request_error"
    for path in ("/v1/nowhere", "/v2/models", "//", "/v1/models/"):
        response = httpx.get(server.url + path)
        assert response.status_code == 404 and response.json()["error"]["message"]


def test_embeddings_need_an_encoder(client):
    with pytest.raises(openai.BadRequestError) as info:
        client.embeddings.create(model=MODEL, input="A sentence")
    assert info.value.code == "unsupported_model"


def test_keys(start, tmp_path):
    file = tmp_path / "keys"
    file.write_text("third\n\nfourth\n")
    server = start("--api-key", "first", "--api-key", "second", "--api-key-file", file)
    for key in ("first", "second", "third", "fourth"):
        assert server.client(key).models.list().data
    for key in ("fifth", "firs", "firstt", "FIRST"):
        with pytest.raises(openai.AuthenticationError) as info:
            server.client(key).completions.create(model=MODEL, prompt=STORY)
        assert info.value.code == "invalid_api_key" and info.value.type == "authentication_error"
        assert info.value.response.headers["www-authenticate"] == "Bearer"
    for path in ("/v1/models", "/v1/models/default", "/metrics", "/version", "/openapi.json"):
        assert httpx.get(server.url + path).status_code == 401, path
        for wrong in ("", "Bearer", "Bearer ", "Basic first", "first", "Bearer first second", "Bearer \xff"):
            assert once(server, "GET", path, None, f"Authorization: {wrong}").status == 401, (path, wrong)
    for path in ("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/tokenize", "/detokenize"):
        # Whoever has no key learns nothing about the body.
        assert server.post(path, {"prompt": 3}).status_code == 401, path
    assert httpx.get(server.url + "/health").status_code == 200
    assert httpx.get(server.url + "/").status_code == 200
    assert server.process.poll() is None
    assert "first" not in server.errors() and "fifth" not in server.errors(), "a key must not be logged"


def test_another_name(start):
    server = start("--served-model-name", "tiny/llama")
    client = server.client()
    assert [model.id for model in client.models.list().data] == ["tiny/llama"]
    assert client.models.retrieve("tiny/llama").id == "tiny/llama"
    assert client.completions.create(model="tiny/llama", prompt=STORY, max_tokens=2).model == "tiny/llama"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model=MODEL, prompt=STORY, max_tokens=2)


def test_a_full_queue(start):
    server = start("--max-queue", "2", "--max-num-seqs", "1")

    async def main():
        async with server.async_client() as client:
            async def one(number):
                try:
                    stream = await client.completions.create(
                        model=MODEL, prompt=STORY, max_tokens=400, seed=number, stream=True,
                        extra_body={"ignore_eos": True})
                    return len([chunk async for chunk in stream])
                except openai.RateLimitError as error:
                    return error

            return await asyncio.gather(*(one(number) for number in range(24)))

    results = asyncio.run(main())
    refused = [result for result in results if isinstance(result, openai.RateLimitError)]
    served = [result for result in results if not isinstance(result, openai.RateLimitError)]
    assert refused and served and all(served)
    for error in refused:
        assert error.type == "rate_limit_error" and int(error.response.headers["retry-after"]) >= 1
    server.settle()
    # A refused client that waits as it is told gets in.
    assert server.client().completions.create(model=MODEL, prompt=STORY, max_tokens=2).choices


def test_several_prompts_are_refused_together(start):
    """A request of more prompts than the queue holds leaves none of them behind."""
    server = start("--max-queue", "2", "--max-num-seqs", "1")
    with pytest.raises((openai.RateLimitError, openai.BadRequestError)):
        server.client().completions.create(model=MODEL, prompt=[STORY] * 32, max_tokens=200)
    server.settle(5)


def test_a_pool_that_is_too_small(start):
    server = start("--page-count", "8", "--max-model-len", "128")
    with pytest.raises(openai.BadRequestError) as info:
        server.client().completions.create(model=MODEL, prompt=STORY, n=32, max_tokens=100)
    assert info.value.type == "invalid_request_error"
    assert server.client().completions.create(model=MODEL, prompt=STORY, max_tokens=20).choices


# Cancelling


@pytest.mark.parametrize("n", [1, 8])
def test_a_stream_that_is_dropped(server, client, n):
    begin = server.metric("vllm:generation_tokens_total")
    # Long enough that the end is not reached before the drop is seen.
    streams = [client.completions.create(
        model=MODEL, prompt=STORY, n=n, max_tokens=490, stream=True, extra_body={"ignore_eos": True})
        for _ in range(8)]
    for stream in streams:
        for _, _ in zip(range(3), stream, strict=False):
            pass
    assert server.metric("vllm:num_requests_running") > 0
    for stream in streams:
        stream.close()
    server.settle(10)
    assert server.metric("vllm:generation_tokens_total") - begin < 8 * n * 490, "nothing was cut short"
    assert client.completions.create(model=MODEL, prompt=STORY, max_tokens=2).choices


def test_a_whole_answer_that_nobody_awaits(server):
    """A client that goes away while its answer is computed ends it."""
    begin = server.metric("vllm:generation_tokens_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url + "/v1/completions", timeout=0.3, json={
            "model": MODEL, "prompt": STORY, "n": 64, "max_tokens": 490, "ignore_eos": True})
    server.settle(10)
    assert server.metric("vllm:generation_tokens_total") - begin < 64 * 490, "nothing was cut short"


# Metrics


def test_metrics(server, client):
    def counters():
        return {name: server.metric(name) for name in (
            "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total",
            "vllm:time_to_first_token_seconds_count", "vllm:e2e_request_latency_seconds_count",
            "vllm:inter_token_latency_seconds_count", "vllm:request_time_per_output_token_seconds_count",
            "vllm:request_queue_time_seconds_count", "vllm:prefix_cache_queries_total")}

    client.completions.create(model=MODEL, prompt=STORY, max_tokens=1)
    server.settle()
    before = counters()
    answer = client.completions.create(model=MODEL, prompt=STORY, max_tokens=9, extra_body={"ignore_eos": True})
    server.settle()
    after = counters()
    grown = {name: after[name] - before[name] for name in after}
    assert grown["vllm:prompt_tokens_total"] == answer.usage.prompt_tokens
    assert grown["vllm:generation_tokens_total"] == 9
    for name in ("vllm:request_success_total", "vllm:time_to_first_token_seconds_count",
                 "vllm:e2e_request_latency_seconds_count", "vllm:request_time_per_output_token_seconds_count",
                 "vllm:request_queue_time_seconds_count"):
        assert grown[name] == 1, name
    assert grown["vllm:inter_token_latency_seconds_count"] == 8
    assert grown["vllm:prefix_cache_queries_total"] == answer.usage.prompt_tokens
    assert server.metric("zoo:kv_cache_pages_total") == 4096
    assert server.metric("vllm:kv_cache_usage_perc") == 0
    assert server.metric("vllm:request_success_total", finished_reason="length") > 0
    model = client.models.retrieve(MODEL).model_extra["attention"]
    for phase, operator in model.items():
        assert server.metric("zoo:attention_operator_info", phase=phase, operator=operator) == 1


def test_metrics_are_well_formed(server):
    text = httpx.get(server.url + "/metrics").text
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    helped = set(re.findall(r"^# HELP (\S+) ", text, re.M))
    seen = {}
    for name, labels, value in server.samples():
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        family = family if types.get(family) == "histogram" else name
        assert family in types and family in helped, name
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, f"{key} is there twice"
        seen[key] = value
    for family in (name for name, kind in types.items() if kind == "histogram"):
        series = {}
        for (name, labels), value in seen.items():
            if name == family + "_bucket":
                others = tuple(label for label in labels if label[0] != "le")
                series.setdefault(others, []).append((float(dict(labels)["le"]), value))
        assert series, family
        for others, buckets in series.items():
            buckets.sort()
            assert buckets[-1][0] == math.inf and buckets[-1][1] == seen[(family + "_count", others)]
            assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert text.endswith("\n")
