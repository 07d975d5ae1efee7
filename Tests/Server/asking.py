"""What tests that ask for texts share."""

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
