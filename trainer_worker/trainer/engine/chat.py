"""Conversations as text, by a chat template.

The template comes from whoever made the model or the job. It is rendered in a process of its own, which may do no more
than that: template_sandbox.py.
"""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol, Self

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.rows import Message

TEMPLATE_CHARACTERS_MAX = 100_000
SANDBOX = pathlib.Path(__file__).with_name("template_sandbox.py")

# What `ChatML` does, for those who read the model elsewhere.
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>\\n' }}{% endgeneration %}"
    "{% else %}"
    "{{ message['content'] + '<|im_end|>\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A conversation as text, and which of its characters the assistant says: [begin, end), in order."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()


class ChatTemplate(Protocol):
    """Something that renders conversations."""

    def render(self, messages: Sequence[Message], *, spans: bool = True) -> Rendered:
        """Raises: UnusableData if the template fails on the conversation; the message completes "row 5: "."""

    def ask(self, messages: Sequence[Message]) -> str:
        """The conversation up to where the assistant begins to speak. Raises: UnusableData."""

    def close(self) -> None: ...


class ChatML:
    """The format of most open chat models, for those that bring no template.

    Source: OpenAI, "Chat Markup Language", 2023.
    """

    def render(self, messages: Sequence[Message], *, spans: bool = True) -> Rendered:
        pieces: list[str] = []
        found: list[tuple[int, int]] = []
        length = 0
        for message in messages:
            head, said = f"<|im_start|>{message['role']}\n", f"{message['content']}<|im_end|>\n"
            if message["role"] == "assistant":
                found.append((length + len(head), length + len(head) + len(said)))
            length += len(head) + len(said)
            pieces += [head, said]
        return Rendered("".join(pieces), tuple(found) if spans else ())

    def ask(self, messages: Sequence[Message]) -> str:
        return f"{self.render(messages).text}<|im_start|>assistant\n"

    def close(self) -> None:
        """Nothing is open."""


class JinjaTemplate:
    """A template in the syntax of Hugging Face, in a process that is started with it and ends with `close`."""

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        """Raises: UnusableData if it is too long, or no template."""
        if len(source) > TEMPLATE_CHARACTERS_MAX:
            raise UnusableData(f"the chat template has {len(source):,} characters, not {TEMPLATE_CHARACTERS_MAX:,}")
        command = [sys.executable, "-I", "-X", "utf8", str(SANDBOX)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
        try:
            self._ask({"template": source, "variables": {"bos_token": bos_token, "eos_token": eos_token}})
        except UnusableData:
            self.close()
            raise

    def render(self, messages: Sequence[Message], *, spans: bool = True) -> Rendered:
        answer = self._ask({"messages": list(messages), "spans": spans})
        return Rendered(answer["text"], tuple((begin, end) for begin, end in answer.get("spans", ())))

    def ask(self, messages: Sequence[Message]) -> str:
        return str(self._ask({"messages": list(messages), "asks": True})["text"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._answer_to(json.dumps(question).encode() + b"\n")
        if "error" in answer:
            raise UnusableData(f"the chat template {answer['error']}", help="Correct the chat template.")
        return answer

    def _answer_to(self, line: bytes) -> dict[str, Any]:
        to, from_ = required(self._process.stdin), required(self._process.stdout)
        try:
            to.write(line)
            to.flush()
            answer = from_.readline()
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            return {"error": "took too long or too much memory, and was stopped"}
        found: dict[str, Any] = json.loads(answer)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def required(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


class Hiding:
    """Keeps what people write from becoming special tokens, which only a template makes."""

    def __init__(self, words: Iterable[str]) -> None:
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def hide(self, messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
        """The messages with a character for private use in the place of each of the words, and what it stands for."""
        written = [value for message in messages for key, value in message.items() if key != "role"]
        found = {word for text in texts_in(written) for word in self._pattern.findall(text)}
        if not found:
            return list(messages), {}
        said = json.dumps(list(messages), ensure_ascii=False)
        free = (chr(code) for code in range(0xF0000, 0xFFFFD) if chr(code) not in said)
        character_of = dict(zip(sorted(found), free, strict=False))

        def without(match: re.Match[str]) -> str:
            return character_of[match[0]]

        changed = [
            {key: value if key == "role" else self._replaced(value, without) for key, value in message.items()}
            for message in messages
        ]
        return changed, {character: word for word, character in character_of.items()}

    def _replaced(self, value: Any, without: Callable[[re.Match[str]], str]) -> Any:
        match value:
            case str():
                return self._pattern.sub(without, value)
            case list():
                return [self._replaced(item, without) for item in value]
            case dict():
                return {self._pattern.sub(without, key): self._replaced(item, without) for key, item in value.items()}
        return value


def texts_in(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from texts_in(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from texts_in(item)
