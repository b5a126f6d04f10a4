"""Prompts: what rows ask, and the tokens that a model goes on from."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import Any

from trainer_worker.trainer.engine.chat import CHATML, ChatML, ChatTemplate, Hiding, JinjaTemplate
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.rows import (
    Message,
    RowKind,
    checked_messages,
    checked_text,
    jsonl_objects,
    parquet_objects,
    wrong,
)
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from tutelage.v1 import datasets_pb2

COLUMNS = ("prompt", "messages", "checks")
CHECKS_MAX = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """What an answer must pass: a checker, by its name, and what it looks for."""

    name: str
    argument: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """What row `number`, counted from 1 in its file, asks: a text to go on from, or a conversation to answer."""

    number: int
    text: str = ""
    messages: tuple[Message, ...] = ()
    checks: tuple[Check, ...] = ()


def read_prompts(
    path: pathlib.Path, *, format: "datasets_pb2.DatasetFormat.ValueType", kind: RowKind
) -> Iterator[Prompt]:
    """What each row of a file asks, in order. Of conversations, it is all up to the last turn of the user.

    Raises: UnusableData with the row and the field that is wrong, or if the rows hold no prompts.
    """
    parquet = format == datasets_pb2.DATASET_FORMAT_PARQUET
    objects = parquet_objects(path, columns=COLUMNS) if parquet else jsonl_objects(path)
    for number, values in enumerate(objects, start=1):
        if not isinstance(values, dict):
            raise wrong(number, "", "must be an object")
        yield prompt_of(number, values, kind)


def prompt_of(number: int, values: dict[str, Any], kind: RowKind) -> Prompt:
    """What one row asks. Raises: UnusableData."""
    if kind == datasets_pb2.ROW_KIND_MESSAGES or "prompt" not in values and "messages" in values:
        return Prompt(number, messages=asked(number, tuple(checked_messages(number, values.get("messages")))))
    if kind == datasets_pb2.ROW_KIND_TEXT:
        raise UnusableData("the rows are texts, and no prompts", help="Use rows with `prompt`, or conversations.")
    checks = tuple(checks_of(number, values.get("checks"))) if kind == datasets_pb2.ROW_KIND_CHECKS else ()
    prompt = values.get("prompt")
    if not isinstance(prompt, list):
        return Prompt(number, text=checked_text(number, "prompt", prompt), checks=checks)
    messages = tuple(checked_messages(number, prompt))
    if messages[-1]["role"] == "assistant":
        raise wrong(number, "prompt", "ends with a turn of the assistant: there is nothing to answer")
    return Prompt(number, messages=messages, checks=checks)


def asked(number: int, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """A conversation up to the last turn of the user. Raises: UnusableData if there is none."""
    places = [place for place, message in enumerate(messages) if message["role"] == "user"]
    if not places:
        raise wrong(number, "messages", "has no turn of the user: there is nothing to answer")
    return messages[: places[-1] + 1]


def checks_of(number: int, checks: Any) -> Iterator[Check]:
    if not isinstance(checks, list) or not 1 <= len(checks) <= CHECKS_MAX:
        raise wrong(number, "checks", f"must be a list of 1 to {CHECKS_MAX} checks")
    for place, check in enumerate(checks):
        field = f"checks[{place}]"
        if not isinstance(check, dict):
            raise wrong(number, field, "must be an object with `name` and `argument`")
        argument = check.get("argument")
        words = "" if argument is None else checked_text(number, f"{field}.argument", argument)
        yield Check(checked_text(number, f"{field}.name", check.get("name")), words)


class Asking:
    """Turns prompts into the tokens that a model goes on from, as training turned the beginnings of its rows."""

    def __init__(self, tokenizer: Tokenizer, *, chat_template: str = "") -> None:
        """`chat_template` is used in the place of the model's own, if it is given."""
        template = chat_template or tokenizer.chat_template
        self._tokenizer = tokenizer
        self._source = None if template == CHATML else template
        self._template: ChatTemplate | None = None
        self._hiding = Hiding(tokenizer.special_tokens)

    def close(self) -> None:
        if self._template is not None:
            self._template.close()

    def tokens(self, prompt: Prompt) -> list[int]:
        """Never none. Raises: UnusableData with the row on which the chat template fails."""
        if not prompt.messages:
            return self._tokenizer.encode_prompt(prompt.text)
        messages, hidden = self._hiding.hide(prompt.messages)
        try:
            said = self._opened().ask(messages)
        except UnusableData as error:
            raise UnusableData(f"row {prompt.number}: {error}", help=error.help) from error
        tokens: list[int] = self._tokenizer.encode_rendered([said], [hidden])[0].tokens.tolist()
        begin = self._tokenizer.beginning if self._source is None else ()
        return [*begin, *tokens] or [self._tokenizer.end_of_text]

    def turn_end(self) -> str:
        """What the template writes behind a turn of the assistant, without white space; nothing if it is not plain."""
        question: list[Message] = [{"role": "user", "content": "a"}]
        said = "b"
        try:
            begun = self._opened().ask(question) + said
            whole = self._opened().render([*question, {"role": "assistant", "content": said}], spans=False).text
        except UnusableData:
            return ""
        return whole.removeprefix(begun).strip() if whole.startswith(begun) else ""

    @functools.cached_property
    def turn_ends(self) -> tuple[tuple[bytes, ...], frozenset[int]]:
        """The texts and the tokens at which a turn is over, beside the end of the text."""
        end = self.turn_end()
        tokens = self._tokenizer.encode_rendered([end])[0].tokens.tolist() if end else []
        if not tokens:
            return (), frozenset()
        special = not self._tokenizer.token_bytes(tokens[0])
        return ((), frozenset(tokens[:1])) if special else ((end.encode(),), frozenset())

    def _opened(self) -> ChatTemplate:
        if self._template is None:
            words = {"bos_token": self._tokenizer.beginning_words, "eos_token": self._tokenizer.end_of_text_words}
            self._template = ChatML() if self._source is None else JinjaTemplate(self._source, **words)
        return self._template


def fitting_tokens(prompt: Prompt, asking: Asking, *, context_length: int, model: str) -> list[int]:
    tokens = asking.tokens(prompt)
    if len(tokens) > context_length:
        message = f"row {prompt.number}: the prompt has {len(tokens):,} tokens, and {model} sees {context_length:,}"
        raise UnusableData(message, help="Shorten the prompt, or choose a model with a longer context.")
    return tokens
