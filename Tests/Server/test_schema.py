"""Requests made from the server's own description, right ones and wrong ones.

ZOO_SCHEMA_CASES is their number, 300 by default; a thorough run:

    ZOO_SCHEMA_CASES=2000 python -m pytest Tests/Server/test_schema.py
"""

import collections
import json
import os
import re

import httpx
import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

CASES = int(os.environ.get("ZOO_SCHEMA_CASES", "300"))
# Parts of the whole: where there is more to say there are more cases.
SHARES = {
    "POST /v1/completions": 9, "POST /v1/chat/completions": 9, "POST /v1/embeddings": 2, "POST /tokenize": 3,
    "POST /detokenize": 2, "GET /v1/models/{id}": 1,
}
MODES = {"right": GenerationMode.POSITIVE, "wrong": GenerationMode.NEGATIVE}
GENERATING = {"POST /v1/completions": ("prompt", "CompletionChunk"), "POST /v1/chat/completions": ("messages", "ChatCompletionChunk")}
counted = collections.Counter()
load_all_checks()


@pytest.fixture(scope="module")
def api(shared):
    # Streams are read to their end.
    config = schemathesis.Config.from_dict({"max-stream-events": 100_000})
    return schemathesis.openapi.from_dict(httpx.get(shared.url + "/openapi.json").json(), config=config)


def operation(api, label):
    return next(found for result in api.get_all_operations() if (found := result.ok()).label == label)


def tamed(case, label):
    """A right request that is short to answer: fields keep within what they may be."""
    body = case.body
    if label not in GENERATING or not isinstance(body, dict):
        return case
    # A random name is no model's; one in four stays, to be refused.
    if len(str(body.get("model"))) % 4:
        body.pop("model", None)
    for name, most in (("max_tokens", 6), ("max_completion_tokens", 6), ("min_tokens", 2), ("n", 3), ("best_of", 4)):
        if isinstance(body.get(name), (int, float)):
            body[name] = min(body[name], most)
    if "chat" in label:
        body.setdefault("max_tokens", 4)
        for number, message in enumerate(body["messages"]):
            # The model's template knows these alone.
            message["role"] = ["user", "assistant"][number % 2]
    return case


def check_events(api, response, chunk):
    """Every event of a stream follows its schema, and the last is [DONE]."""
    components = api.raw_schema["components"]
    events = response.content.decode().removesuffix("\n\n").split("\n\n")
    events = [event for event in events if not event.startswith(":")]
    assert events[-1] == "data: [DONE]"
    schema = {"$ref": f"#/components/schemas/{chunk}", "components": components}
    for event in events[:-1]:
        jsonschema_rs.validate(schema, json.loads(event.removeprefix("data: ")))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", SHARES)
def test_requests(api, server, label, mode):
    count = max(1, round(CASES * SHARES[label] / sum(SHARES.values()) / 2))
    answers = collections.Counter()

    @hypothesis.settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink])
    @hypothesis.given(case=operation(api, label).as_strategy(generation_mode=MODES[mode]))
    def run(case):
        if mode == "right":
            tamed(case, label)
        response = case.call(base_url=server.url, timeout=60)
        answers[response.status_code] += 1
        counted["cases"] += 1
        excluded = [CHECKS.get_one("positive_data_acceptance")]
        if response.headers.get("content-type") == ["text/event-stream"]:
            check_events(api, response, GENERATING[label][1])
            excluded.append(CHECKS.get_one("response_schema_conformance"))
        case.validate_response(response, excluded_checks=excluded)
        assert re.fullmatch("[!-~]{1,128}", response.headers["x-request-id"][0])
        if mode == "right":
            # What is right by the schema may still ask for what is not there: a token, a length, a model.
            assert response.status_code in (200, 400, 404), response.content

    try:
        run()
    except hypothesis.errors.Unsatisfiable:
        # Nothing is wrong where anything goes.
        assert mode == "wrong" and label == "GET /v1/models/{id}"
        return
    print(f"{label}, {mode}: {dict(answers)}")
    if mode == "right":
        assert answers[200] or label in ("POST /v1/embeddings", "GET /v1/models/{id}"), answers


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/version", "/v1/models", "/openapi.json"])
def test_requests_without_a_body(api, server, path):
    case = operation(api, f"GET {path}").Case()
    response = case.call(base_url=server.url)
    assert response.status_code == 200
    assert re.fullmatch("[!-~]{1,128}", response.headers["x-request-id"][0])
    case.validate_response(response, excluded_checks=[CHECKS.get_one("positive_data_acceptance")])


def test_that_enough_was_asked():
    assert counted["cases"] >= 0.8 * CASES, counted
