"""The server as the `openai` client sees it: whole and streamed answers, several at once, chats."""

import asyncio
import concurrent.futures
import time

import httpx
import openai
import pytest

from asking import LONG, MODEL, STORY, answers, by_choice, texts, tokens_of


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
    parameters = {"model": MODEL, "prompt": STORY, "max_tokens": 16, "seed": 12, "temperature": 1, "logprobs": 0}
    every = client.completions.create(n=5, **parameters)
    best = client.completions.create(n=2, best_of=5, **parameters)
    ranked = sorted(every.choices, key=lambda choice: -sum(choice.logprobs.token_logprobs))
    assert len({choice.text for choice in every.choices}) == 5
    likeliest = [choice.text for choice in ranked[:2]]
    assert likeliest != [choice.text for choice in every.choices[:2]], "another seed tells more"
    assert [choice.text for choice in best.choices] == likeliest
    assert best.usage.completion_tokens >= 5, "all candidates are computed"


def test_beam_search(client):
    def search(**more):
        return client.completions.create(
            model=MODEL, prompt=STORY, max_tokens=12, temperature=0, extra_body={"use_beam_search": True}, **more)

    beams = [choice.text for choice in search(n=4).choices]
    assert len(set(beams)) == 4 and beams == [choice.text for choice in search(n=4).choices]


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
