"""Makes cases.json: chat templates, conversations, and what transformers makes of them.

    pip install transformers==5.24.0 jinja2==3.1.6
    python make_chat.py

The templates, in templates/*.jinja, are written for this test in the styles of several families. Beside them stand small
snippets, one for each part of Jinja that templates use; an output of null means that transformers refuses.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Tells the weather.\n\"Now\" only; naïve <b>é</b> & 世界",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "enum": ["Köln", "東京"]}, "days": {"type": "integer", "default": 1},
        "exact": {"type": ["boolean", "null"], "default": None}, "limit": {"type": "number", "maximum": 1.5}},
        "required": ["city"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "", "parameters": {
    "type": "object", "properties": {}}}}
CONVERSATIONS = {
    "short": [("user", "Hello")],
    "system": [("system", "  Be brief.\n"), ("user", " Hi there \n"), ("assistant", "Hello.  "), ("user", "Ça va? 世界 😀")],
    "long": [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "<think>\nhm\n</think>\n\nd"), ("user", "e")],
    "assistantLast": [("user", "q"), ("assistant", "answer")],
    "wrongOrder": [("user", "a"), ("user", "b")],
    "assistantFirst": [("assistant", "a"), ("user", "b")],
    "unknownRole": [("narrator", "once"), ("user", "a")],
    "empty": [("user", ""), ("assistant", ""), ("user", "\t")],
    "systemOnly": [("system", "s")],
}
PARTS = [{"role": "user", "content": [{"type": "text", "text": "look "}, {"type": "image"}, {"type": "text", "text": "!"}]}]
CALLS = [
    {"role": "system", "content": "Use tools."},
    {"role": "user", "content": "Weather in Köln?"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_0001", "type": "function",
         "function": {"name": "weather", "arguments": {"city": "Köln", "days": 2, "exact": True, "limit": 0.1}}},
        {"id": "call_0002", "type": "function", "function": {"name": "clock", "arguments": "{\"zone\": \"CET\"}"}}]},
    {"role": "tool", "content": "{\"sun\": 1}", "tool_call_id": "call_0001", "name": "weather"},
    {"role": "tool", "content": "noon", "tool_call_id": "call_0002", "name": None},
    {"role": "assistant", "content": "Sunny.", "reasoning_content": "easy\n"},
    {"role": "user", "content": "Thanks"},
]
SNIPPETS = [
    # Output, white space.
    "{{ 1 }}\n", "a\n{% if true %}\n b\n{% endif %}\nc\n\n", "  {% if true %}x{% endif %}  y", "a {#- c -#} b",
    "a\n  {# c #}\nb", "{{- ' x ' -}}  y", "  {%+ if true %}x{% endif %}", "{% if true +%}\nx{% endif %}", "x\r\ny\rz\n",
    "a\n\t {%- if true -%} \n b {%- endif %} c", "x {{- 1 }} {{ 2 -}} y", "{{ 'a' }}\n{{ 'b' }}\n", "{# a\n b #}c",
    "{{ '}}' }}{{ \"%}\" }}", "  {{ 1 }}\n  {# x #}  \n{% set a = 1 %}\n\n{{ a }}", "{%- set x = 1 -%}   {{ x }}", "{", "{ {", "}}",
    # Literals and how they are written.
    "{{ true }} {{ None }} {{ false }}", "{{ [1, 'a', \"b'c\", 'q\"', none, true, 1.5, [], {}] }}", "{{ {'a': 1, 2: 'b'} }}",
    "{{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e20 }} {{ 1e-7 }} {{ 100000.0 * 10 ** 12 }} {{ 1.5e300 * 1e10 }}", "{{ (1, 2) }} {{ (1,) }} {{ () }} {{ (1) }} {{ (1, 2) == [1, 2] }}",
    "{{ 'a\\n\\t\\'\\\\ \\x41 \\u00e9 \\q' }}", "{{ 'a' 'b' }}", "{{ ['é', '\\n', '\\x00', '\u200b', '世'] }}", "{{ 1_000 }}",
    # Arithmetic.
    "{{ 7 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 4 / 2 }} {{ -7.5 // 2 }}",
    "{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ -2 ** 2 }} {{ 2 ** -1 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }}", "{{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none ~ true }}",
    "{{ [1] + [2] }} {{ 'ab' * 3 }} {{ [0] * 2 }} {{ 2 * 'x' }}", "{{ 1 + 'a' }}", "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ true + 1 }}", "{{ 1 + 2 ~ 3 }}",
    "{{ missing + 1 }}", "{{ 'x' ~ missing }}", "{{ 'a' - 'b' }}", "{{ +3 }} {{ - 3 | abs }} {{ -3 | abs }}",
    # Comparison and logic.
    "{{ 1 == 1.0 }} {{ 1 != 2 }} {{ 'a' < 'b' }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ true == 1 }} {{ none == false }}", "{{ 'é' == 'e\u0301' }}",
    "{{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ [1, 2] < [1, 3] }}", "{{ 1 < 'a' }}", "{{ not true }} {{ not not 1 }} {{ not '' and 1 }}",
    "{{ 0 or 'x' }} {{ '' and 'y' }}| {{ 'a' and 'b' }} {{ none or [] or 3 }}", "{{ 'a' in 'cat' }} {{ 'x' not in 'cat' }} {{ 1 in [1] }} {{ 'k' in {'k': 1} }} {{ '' in 'a' }}",
    "{{ 1 in missing }}", "{{ 1 in 'a' }}", "{{ missing == missing }} {{ missing == 1 }} {{ missing == none }}", "{{ 1 if true else 2 }} {{ 1 if false }}| {{ 1 if false else 2 if false else 3 }}",
    # Parts.
    "{{ 'héllo'[1] }} {{ 'abc'[-1] }} {{ 'abc'[1:] }} {{ 'abcdef'[::2] }} {{ 'abc'[::-1] }} {{ 'abcdef'[4:1:-1] }} {{ 'abc'[:-1] }} {{ 'abc'[5:] }}|",
    "{{ [1, 2, 3][0] }} {{ [1, 2, 3][-1] }} {{ [1, 2, 3][1:] }} {{ [1, 2, 3][:2] }} {{ [1, 2][9] }}| {{ [1,2,3][::-1] }}", "{{ {'a': {'b': 1}}.a.b }} {{ {'a': 1}['a'] }} {{ {'a': 1}.z }}|",
    "{{ missing }}|", "{{ missing.x }}", "{{ missing['x'] }}", "{{ {'items': 1}['items'] }} {{ {'items': 1}.items is defined }}", "{{ 'abc'.foo }}|", "{{ [[1, 2], [3]][0][1] }}", "{{ 'abc'['x'] }}|",
    "{{ messages[0]['role'] }} {{ messages[0].content }} {{ messages[-1].role }} {{ messages[0].name is defined }}", "{{ messages | length }} {{ messages[1:] | length }}", "{{ [1, 2].0 }}", "{{ none.x }}|", "{{ {1: 'a'}[1] }} {{ {true: 'b'}[1] }}",
    # Loops.
    "{% for i in [1, 2, 3] %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}", "{% for i in 'ab' %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in {'a': 1} %}{{ k }}{% endfor %}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% for i in missing %}x{% else %}none{% endfor %}",
    "{% for i in range(6) if i % 2 %}{{ i }}{{ loop.length }}{% endfor %}", "{% for i in [1, 2] %}{% for j in [3, 4] %}{{ i }}{{ j }}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for i in [1, 2, 3, 4] %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1, 2, 3] %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %}", "{% for i in [1,2,3] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for i in [3] + [4] %}{{ i }}{% endfor %}",
    "{% set x = 0 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(x=0, y=[]) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns.z is defined }}", "{% for i in [1] %}{{ loop.depth }}{% for j in [1] %}{{ loop.depth }}{% endfor %}{% endfor %}",
    "{% for (a, b) in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}", "{% for i in none %}{% endfor %}", "{% for i in [1,2,3] | reverse %}{{ i }}{% endfor %}", "{% for x in [1] %}{% endfor %}{{ x is defined }} {{ loop is defined }}", "{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }}",
    # Assignments, blocks, macros.
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]", "{% set x | upper | trim %} ab {% endset %}[{{ x }}]", "{% if false %}{% set y = 1 %}{% endif %}{{ y is defined }}", "{% if true %}{% set y = 1 %}{% endif %}{{ y }}", "{% set t = 1, 2 %}{{ t | length }}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=4, a=5) }} {{ m() }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% set g = 7 %}{% macro m() %}{{ g }}{% endmacro %}{{ m() ~ '!' }}", "{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(1) }}{{ y is defined }}", "{% macro m() %}a{% endmacro %}{{ m() | upper }}{{ m(1) }}",
    "{% generation %}text{{ 1 }}{% endgeneration %}|", "{% set x = 1 %}{% if x == 1 %}one{% elif x == 2 %}two{% else %}many{% endif %}", "{% if missing %}a{% elif [] %}b{% elif 0 %}c{% elif 'x' %}d{% endif %}", "{% set x.y = 1 %}", "{{ raise_exception('no: ' ~ 1) }}",
    # Methods.
    "[{{ ' a b '.strip() }}][{{ ' a '.lstrip() }}][{{ ' a '.rstrip() }}][{{ 'xxaxx'.strip('x') }}][{{ 'abc'.rstrip('cb') }}]", "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.split(none, 1) }} {{ ' a b c '.rsplit(none, 1) }}", "{{ 'a</t>b</t>c'.split('</t>')[-1] }} {{ 'x'.split('y')[0] }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.startswith(('x', 'a')) }}", "{{ 'aBc'.upper() }} {{ 'aBc'.lower() }} {{ 'ab cd'.title() }} {{ 'aB cD'.capitalize() }} {{ 'straße'.upper() }}", "{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab'.replace('', '-') }}", "{{ 'hello'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('z') }} {{ 'hello'.count('l') }} {{ 'a'.count('') }}",
    "{{ ','.join(['a', 'b']) }} {{ 'a\nb\r\nc'.splitlines() }}", "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }}", "{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ ''.isdigit() }} {{ 'aB'.islower() }} {{ 'AB1'.isupper() }}", "{{ 'pre-x'.removeprefix('pre-') }} {{ 'x.y'.removesuffix('.y') }} {{ 'x'.removesuffix('z') }}", "{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }}", "{{ 'a'.split('') }}", "{{ 1.strip() }}",
    # Filters.
    "[{{ ' a ' | trim }}] {{ 'xax' | trim('x') }} {{ 'a' | upper }} {{ 'A' | lower }} {{ 'aB cd-ef' | title }} {{ 'aB' | capitalize }}", "{{ [1, 2] | join(', ') }} {{ ['a', 'b'] | join }} {{ [{'n': 1}, {'n': 2}] | join('-', attribute='n') }}", "{{ missing | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ none | d('x') }} {{ missing | default }}|", "{{ 'abc' | length }} {{ {'a': 1} | count }} {{ missing | length }} {{ '世é' | length }}",
    "{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'a'] | sort }} {{ [1, 2] | sort(reverse=true) }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }}", "{{ [1, 2] | first }} {{ [1, 2] | last }} {{ [] | first }}| {{ 'ab' | first }} {{ 'ab' | list }}", "{{ [1, 1, 'a', 'A'] | unique | list }} {{ [1, 2] | sum }} {{ [1, 3, 2] | max }} {{ [2, 1] | min }}", "{{ '3' | int }} {{ 'x' | int }} {{ '2.5' | float }} {{ 3.9 | int }} {{ 'x' | int(7) }} {{ 2.5 | round }} {{ 2.345 | round(2) }} {{ -3 | abs }}",
    "{{ {'b': 1, 'a': 2} | dictsort }} {{ {'a': 1} | items | list }}", "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}", "{{ 'aab' | replace('a', 'x') }} {{ 'aab' | replace('a', 'x', 1) }} {{ 5 | string + '1' }} {{ '<a>' | safe }}", "{{ [{'r': 'a', 'n': 1}, {'r': 'b'}] | selectattr('r', 'equalto', 'a') | list }} {{ [{'n': 1}, {}] | selectattr('n') | list | length }} {{ [{'n': 1}, {}] | rejectattr('n', 'defined') | list }}",
    "{{ [{'r': {'s': 1}}] | map(attribute='r.s') | list }} {{ ['a', 'b'] | map('upper') | join(',') }} {{ [{}] | map(attribute='x', default=3) | list }}", "{{ [1, 2, 3, none] | select | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [1, 2] | reject('eq', 1) | list }}", "{{ {'a': [1, 2.0, true, none, 'é\"\\n<&>']} | tojson }}", "{{ {'b': [1, {}], 'a': []} | tojson(indent=2) }}", "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", "{{ 'é世😀' | tojson(ensure_ascii=true) }} {{ '\x7f' | tojson }} {{ '\\x01' | tojson }} {{ {1: 2} | tojson }}", "{{ missing | tojson }}", "{{ tools | tojson }}|{{ tools is none }}", "{{ 'one two-three' | wordcount }}", "{{ 3 | length }}", "{{ [1, 'a'] | sort }}", "{{ 'a' is odd }}", "{{ [{}] | map(attribute='r.s') | list }}",
    # Tests.
    "{{ 1 is defined }} {{ missing is defined }} {{ missing is undefined }} {{ none is none }} {{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ 1.5 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is boolean }} {{ 1 is true }}", "{{ {} is mapping }} {{ [] is iterable }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ [] is sequence }} {{ {} is sequence }} {{ [] is mapping }}", "{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 1 is lt 2 }} {{ 3 is ge 3 }} {{ 1 is in [1] }} {{ 1 is not in [1] }}", "{{ 1 is not none }} {{ missing is not defined }} {{ 'a' is not string }} {{ not 1 is none }}", "{{ 'ab' is lower }} {{ 'AB' is upper }} {{ none is sameas none }} {{ raise_exception is defined }} {{ namespace is defined }}", "{{ 1 is defined and missing is not defined or false }}", "{{ 'x' if 1 is none else 'y' }}",
]


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE({"<s>": 0, "</s>": 1, "<pad>": 2}, []))
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def main() -> None:
    made = tokenizer()

    def run(template: str, messages: list[dict], generation: bool, tools) -> str | None:
        try:
            return made.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=False,
                                            add_generation_prompt=generation, today="1 May 2030")
        except Exception as error:  # Whatever it is, ours has to refuse too.
            print(type(error).__name__, str(error)[:90], "<-", template[:60].replace("\n", " "))
            return None

    conversations = {name: [{"role": role, "content": content} for role, content in turns]
                     for name, turns in CONVERSATIONS.items()}
    conversations |= {"parts": PARTS, "calls": CALLS}
    cases = []
    for path in sorted((HERE / "templates").glob("*.jinja")):
        for name, messages in conversations.items():
            for generation in (True, False):
                for tools in (None, [WEATHER, CLOCK]):
                    if tools and name not in ("system", "calls", "short"):
                        continue
                    cases.append({"template": path.name, "conversation": name, "generation": generation,
                                  "tools": tools is not None,
                                  "output": run(path.read_text(), messages, generation, tools)})
    snippets = [{"template": text, "output": run(text, conversations["system"], True, None)} for text in SNIPPETS]
    # Conversations as text: the test must see numbers and the order of fields as they are.
    document = {"conversations": {name: json.dumps(turns, ensure_ascii=False) for name, turns in conversations.items()},
                "tools": json.dumps([WEATHER, CLOCK], ensure_ascii=False), "cases": cases, "snippets": snippets}
    (HERE / "cases.json").write_text(json.dumps(document, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
