"""The page in a real browser.

With ZOO_SCREENSHOT=docs/images/server-page.png the page is pictured after an answer.
"""

import json
import os

import pytest

import browser as devtools

PATH = devtools.find()
pytestmark = pytest.mark.skipif(PATH is None, reason="no Chromium is installed, and $CHROMIUM names none")

# The relative luminance and the contrast of WCAG 2.
CONTRAST = """(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (item) => {
    for (; item; item = item.parentElement) {
      const color = parse(getComputedStyle(item).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const worst = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const item = walk.currentNode.parentElement;
    if (!walk.currentNode.nodeValue.trim() || !item.checkVisibility() || item.closest("script, :disabled")) continue;
    const pair = [light(parse(getComputedStyle(item).color)), light(ground(item))].sort((a, b) => b - a);
    worst.push([(pair[0] + .05) / (pair[1] + .05), walk.currentNode.nodeValue.trim()]);
  }
  return worst.sort((a, b) => a[0] - b[0])[0];
})()"""

# Notes how long the text of the last answer is, each time that it changes.
WATCH = """window.lengths = []; new MutationObserver(() => {
  const turns = document.querySelectorAll(".assistant span"), fresh = document.querySelector("#text .new");
  const text = turns.length ? turns[turns.length - 1].textContent : fresh ? fresh.textContent : "";
  if (window.lengths.at(-1) !== text.length) window.lengths.push(text.length);
}).observe(document.body, { subtree: true, childList: true, characterData: true });"""


@pytest.fixture(scope="module")
def chromium():
    browser = devtools.Browser(PATH)
    yield browser
    browser.close()


@pytest.fixture
def page(chromium, server):
    chromium.size(1280, 860)
    chromium.scheme("light")
    chromium.open(server.url + "/")
    chromium.run("sessionStorage.clear()")
    chromium.wait("document.getElementById('state').textContent === 'ready'")
    chromium.run(WATCH)
    yield chromium
    assert not chromium.complaints()
    foreign = [url for url in chromium.requested() if not url.startswith((server.url + "/", "data:"))]
    assert not foreign, "the page asks other hosts"


def idle(page):
    page.wait("!document.getElementById('send').disabled")


def ask(page, text):
    page.fill("message", text)
    page.press("Enter", text="\r")


def lengthen(page):
    """Makes the page ask for answers that only their length ends."""
    page.run("window.real = fetch; window.fetch = (path, options) => options && options.body"
             " ? real(path, { ...options, body: JSON.stringify({ ...JSON.parse(options.body), ignore_eos: true, n: 8 }) })"
             " : real(path, options)")


def soon(page, action):
    """Has the page itself do something once text comes: a busy browser may hear of it from outside when all is over."""
    page.run(f"new MutationObserver(() => {{ if (window.lengths.length > 3) {action} }})"
             ".observe(document.body, { subtree: true, childList: true, characterData: true })")


def test_a_chat_streams(page, server, client):
    page.run("document.getElementById('max_tokens').value = 200")
    ask(page, "Tell me a story about a fox.")
    page.wait("document.querySelectorAll('.assistant span').length === 1 && document.getElementById('send').disabled")
    idle(page)
    answer = page.run("document.querySelector('.assistant span').textContent")
    lengths = page.run("window.lengths")
    assert len(answer) > 20 and len(set(lengths)) >= 5 and lengths == sorted(lengths), "the text does not grow piece by piece"
    assert float(page.text("rate")) > 0
    assert 0 < float(page.text("ttft").removesuffix(" s")) < 60
    assert int(page.text("tokens")) > 5
    assert page.text("finish") in ("its end", "the limit of tokens")
    assert page.run("document.querySelector('.user span').textContent") == "Tell me a story about a fox."
    model = client.models.retrieve("default").model_extra["attention"]
    assert (page.text("prefill"), page.text("decode")) == (model["prefill"], model["decode"])
    page.wait("document.getElementById('pages').textContent === '0 of 4,096'")
    # The next turn carries what was said before.
    before = server.metric("vllm:prompt_tokens_total")
    ask(page, "And then?")
    page.wait("document.querySelectorAll('.assistant span').length === 2")
    idle(page)
    server.settle()
    alone = client.chat.completions.create(
        model="default", max_tokens=1, messages=[{"role": "user", "content": "And then?"}]).usage.prompt_tokens
    assert server.metric("vllm:prompt_tokens_total") - before - alone > alone
    if path := os.environ.get("ZOO_SCREENSHOT"):
        page.size(1280, 860, scale=1.5)
        page.run("document.activeElement.blur()")
        page.picture(path)


def test_settings_are_sent(page, server, client):
    for name, value in (("temperature", "0"), ("max_tokens", "5"), ("seed", "3"), ("system", "You are brief.")):
        page.fill(name, value)
    ask(page, "Who are you?")
    page.wait("document.getElementById('finish').textContent !== '–'")
    expected = client.chat.completions.create(
        model="default", temperature=0, max_tokens=5, messages=[
            {"role": "system", "content": "You are brief."}, {"role": "user", "content": "Who are you?"}])
    assert page.run("document.querySelector('.assistant span').textContent") == expected.choices[0].message.content
    assert page.text("tokens") == str(expected.usage.completion_tokens)


def test_stop(page, server):
    lengthen(page)
    page.fill("max_tokens", "480")
    page.click("tab-completion")
    page.fill("prompt", "Once upon a time")
    soon(page, "if (!document.getElementById('stop').disabled) document.getElementById('stop').click()")
    page.click("send")
    page.wait("document.getElementById('finish').textContent !== '–'")
    idle(page)
    server.settle(10)
    assert page.text("finish") == "you"
    assert page.run("document.querySelector('#text .new').textContent.length") > 0
    assert page.run("document.getElementById('error').hidden")


def test_stop_by_keyboard(page, server):
    """Escape stops; what has come stays."""
    lengthen(page)
    page.fill("max_tokens", "450")
    soon(page, "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }))")
    ask(page, "Tell me a story.")
    page.wait("document.getElementById('finish').textContent !== '–'")
    assert page.text("finish") == "you"
    idle(page)
    server.settle(10)
    assert page.run("document.querySelector('.assistant span').textContent.length") > 0


def test_completion_by_keyboard(page):
    page.run("document.getElementById('tab-chat').focus()")
    page.press("ArrowRight")
    assert page.run("document.activeElement.id") == "tab-completion"
    assert page.run("!document.getElementById('panel-completion').hidden && document.getElementById('panel-chat').hidden")
    page.fill("max_tokens", "40")
    page.fill("temperature", "0")
    page.fill("prompt", "Tell me")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, modifiers=2)
    page.wait("document.getElementById('finish').textContent !== '–'")
    assert page.text("text").startswith("Tell me") and len(page.text("text")) > 60


def test_text_is_never_markup(page):
    page.click("tab-completion")
    bad = "<img src=x onerror='window.bad = 1'><script>window.bad = 2</script><b>bold</b>"
    page.fill("prompt", bad)
    page.fill("max_tokens", "5")
    page.click("send")
    page.wait("document.getElementById('finish').textContent !== '–'")
    assert page.text("text").startswith(bad)
    assert page.run("document.querySelectorAll('#text *').length") == 2, "two spans and nothing else"
    page.click("tab-chat")
    ask(page, bad)
    page.wait("document.querySelector('.user span').textContent.startsWith('<img')")
    idle(page)
    # The model never says it: the page is handed a stream in which it does, cut within the markup.
    page.run("""{ const bad = %s; window.fetch = async (path) => new Response(new Blob([...bad.match(/.{1,7}/g).map((text) =>
      "data: " + JSON.stringify({ choices: [path.includes("chat") ? { delta: { content: text } } : { text }] }) + "\\n\\n"),
      "data: [DONE]\\n\\n"])) }""" % json.dumps(bad))
    ask(page, "Say it.")
    page.wait("document.querySelectorAll('.assistant span').length === 2")
    idle(page)
    assert page.run("[...document.querySelectorAll('.assistant span')].at(-1).textContent") == bad
    page.click("tab-completion")
    page.click("send")
    idle(page)
    page.wait(f"document.getElementById('text').textContent === {json.dumps(bad + bad)}")
    assert page.run("document.querySelectorAll('.turn span *, .turn b *, #text span *').length") == 0
    assert page.run("window.bad === undefined")


def test_errors_are_told(chromium, server):
    chromium.open(server.url + "/")
    chromium.wait("document.getElementById('state').textContent === 'ready'")
    chromium.fill("temperature", "9")
    ask(chromium, "Who are you?")
    chromium.wait("!document.getElementById('error').hidden")
    assert "temperature" in chromium.text("error")
    assert chromium.run("document.getElementById('message').value") == "Who are you?", "the question is lost"
    assert chromium.run("document.querySelectorAll('.turn').length") == 0
    chromium.fill("temperature", "1")
    chromium.fill("max_tokens", "3")
    ask(chromium, "Who are you?")
    idle(chromium)
    chromium.wait("document.getElementById('error').hidden")


def test_a_key(chromium, start):
    server = start("--api-key", "secret")
    chromium.open(server.url + "/")
    chromium.wait("document.getElementById('state').textContent === 'a key is needed'")
    ask(chromium, "Who are you?")
    chromium.wait("!document.getElementById('error').hidden")
    assert "key" in chromium.text("error")
    chromium.fill("key", "secret")
    chromium.press("Enter", text="\r")
    chromium.wait("document.getElementById('state').textContent === 'ready'")
    chromium.fill("max_tokens", "5")
    ask(chromium, "")
    chromium.fill("message", "Who are you?")
    chromium.press("Enter", text="\r")
    chromium.wait("document.getElementById('finish').textContent !== '–' && !document.getElementById('send').disabled")
    assert chromium.run("document.getElementById('error').hidden")
    assert chromium.run("sessionStorage.length") == 1 and chromium.run("localStorage.length") == 0
    assert chromium.run("document.cookie") == ""


def test_a_server_that_ends(chromium, start):
    server = start()
    chromium.open(server.url + "/")
    chromium.wait("document.getElementById('state').textContent === 'ready'")
    server.stop()
    chromium.wait("document.getElementById('state').textContent === 'not reachable'")
    ask(chromium, "Who are you?")
    chromium.wait("!document.getElementById('error').hidden")
    assert "cannot be reached" in chromium.text("error")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(page, scheme):
    page.scheme(scheme)
    ask(page, "Who are you?")
    page.wait("document.getElementById('finish').textContent !== '–'")
    for tab in ("tab-chat", "tab-completion"):
        page.click(tab)
        contrast, text = page.run(CONTRAST)
        assert contrast >= 4.5, f"{text!r} has a contrast of {contrast:.2f}"


def test_every_control_has_a_name(page):
    for tab in ("tab-chat", "tab-completion"):
        page.click(tab)
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        controls = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in (
            "button", "textbox", "combobox", "spinbutton", "tab", "tablist", "tabpanel", "meter", "log", "image", "region")]
        assert len(controls) > 10
        for node in controls:
            assert node.get("name", {}).get("value"), node["role"]
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_a_narrow_window(page):
    page.size(380, 700)
    assert page.run("document.documentElement.scrollWidth <= innerWidth"), "it does not fit the width of a phone"
