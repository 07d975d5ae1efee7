"""What is refused, to whom, and with which error of the `openai` client."""

import asyncio
import re

import httpx
import openai
import pytest

from asking import MODEL, STORY
from wire import once


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
