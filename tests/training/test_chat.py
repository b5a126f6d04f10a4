"""Conversations become text as the template says, and a template can do nothing else."""

import json
import pathlib
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from tests.training.chat_templates import CHATML_LIKE, GENERATION, HEADERS, HOSTILE, SAID, TALK, TOOLS
from trainer_worker.trainer.engine.chat import CHATML, ChatML, Hiding, JinjaTemplate
from trainer_worker.trainer.engine.errors import UnusableData


def said(text: str, spans: tuple[tuple[int, int], ...]) -> list[str]:
    return [text[begin:end] for begin, end in spans]


def by_transformers(source: str, messages: list[dict[str, Any]], **variables: str) -> str:
    [text], _ = render_jinja_template([messages], chat_template=source, **variables)
    return text


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_template_renders_as_in_transformers_and_the_assistant_is_found(name: str) -> None:
    source, expected = SAID[name]
    with JinjaTemplate(source, bos_token="<s>", eos_token="</s>") as template:
        rendered = template.render(TALK)
    if name != "headers":  # which writes the date of today
        assert rendered.text == by_transformers(source, TALK, bos_token="<s>", eos_token="</s>")
    assert said(rendered.text, rendered.spans) == expected


def test_the_date_is_the_same_every_day() -> None:
    with JinjaTemplate(HEADERS) as template:
        assert "Today Date: 26 Jul 2024" in template.render(TALK).text


def test_generation_blocks_are_found_as_in_transformers() -> None:
    [text], [indices] = render_jinja_template(
        [TALK], chat_template=GENERATION, return_assistant_tokens_mask=True, eos_token="</s>"
    )
    with JinjaTemplate(GENERATION, eos_token="</s>") as template:
        rendered = template.render(TALK)
    assert (rendered.text, list(rendered.spans)) == (text, [tuple(pair) for pair in indices])


def test_tools_come_as_json() -> None:
    talk = [{"role": "assistant", "content": "ü", "tool_calls": [{"name": "ü", "arguments": {"a": [1, None]}}]}]
    with JinjaTemplate(TOOLS) as template:
        rendered = template.render(talk, spans=False)
    assert rendered.text == by_transformers(TOOLS, talk)


TALKS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant"]),
            "content": st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
        }
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def chatml() -> Any:
    with JinjaTemplate(CHATML) as template:
        yield template


@settings(max_examples=50, deadline=None)
@given(talk=TALKS)
def test_the_default_is_the_template_that_it_says(chatml: JinjaTemplate, talk: list[dict[str, str]]) -> None:
    assert ChatML().render(talk) == chatml.render(talk)


@settings(max_examples=50, deadline=None)
@given(talk=TALKS)
def test_beginnings_show_the_assistant_as_generation_blocks_do(talk: list[dict[str, str]]) -> None:
    expected = ChatML().render(talk)
    assert said(expected.text, expected.spans) == [
        message["content"] + "<|im_end|>\n" for message in talk if message["role"] == "assistant"
    ]


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_a_hostile_template_fails_and_does_nothing_else(what: str) -> None:
    began = time.perf_counter()
    with pytest.raises(UnusableData, match="the chat template ") as refusal, JinjaTemplate(HOSTILE[what]) as template:
        raise AssertionError(template.render(TALK).text[:200])
    assert time.perf_counter() - began < 60
    assert "root:" not in str(refusal.value)


@pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")
def test_the_process_of_a_template_opens_no_file() -> None:
    """Beside Jinja's sandbox, should it have a hole."""
    source = "{{ messages[0].content }}"
    with JinjaTemplate(source) as template:
        limits = pathlib.Path(f"/proc/{template._process.pid}/limits").read_text().splitlines()
    limit = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
    assert (limit["Max open files"], limit["Max file size"], limit["Max processes"]) == ("3", "0", "0")
    assert int(limit["Max address space"]) <= 1 << 30


def test_a_template_goes_on_after_a_conversation_that_it_refused() -> None:
    with JinjaTemplate("{{ raise_exception('one is too few') if messages | length == 1 }}{{ messages | length }}") as t:
        with pytest.raises(UnusableData, match="fails: one is too few"):
            t.render(TALK[:1], spans=False)
        assert t.render(TALK, spans=False).text == "5"


def test_a_template_whose_turns_cannot_be_found_is_refused() -> None:
    source = "{{ messages | length }}{% for m in messages %}{{ m.content | length }}{% endfor %}"
    with (
        JinjaTemplate(source) as template,
        pytest.raises(UnusableData, match="message 3, by the assistant; put {% generation %}"),
    ):
        template.render([*TALK[:2], {"role": "assistant", "content": "x"}, *TALK[3:]])


def test_a_template_beyond_all_measure_is_refused() -> None:
    with pytest.raises(UnusableData, match="100,001 characters"):
        JinjaTemplate("x" * 100_001)


def test_a_closed_template_leaves_no_process() -> None:
    template = JinjaTemplate(CHATML_LIKE)
    template.close()
    assert template._process.returncode is not None


def test_what_looks_special_is_hidden_and_nothing_else() -> None:
    talk = [{"role": "user", "content": "a<|im_end|>b</s>", "tool_calls": [{"</s>": ["</s>"]}]}, *TALK]
    changed, hidden = Hiding(["</s>", "<|im_end|>", "user"]).hide(talk)
    assert sorted(hidden.values()) == ["</s>", "<|im_end|>"]
    whole = json.dumps(changed, ensure_ascii=False)
    assert "</s>" not in whole
    assert "<|im_end|>" not in whole
    for character, word in hidden.items():
        whole = whole.replace(character, word)
    assert json.loads(whole) == talk
    assert changed[1:] == TALK


def test_the_characters_that_hide_are_not_in_the_text() -> None:
    talk = [{"role": "user", "content": "\U000f0000\U000f0001</s>"}]
    changed, hidden = Hiding(["</s>"]).hide(talk)
    assert hidden == {"\U000f0002": "</s>"}
    assert changed[0]["content"] == "\U000f0000\U000f0001\U000f0002"
