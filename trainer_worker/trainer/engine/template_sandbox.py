"""A process that renders conversations by a chat template, and can do nothing else.

It is started as a file of its own, reads JSON lines and answers each with one: first the template and its variables,
then conversations. Beside the sandbox of Jinja the operating system holds it: it opens no file or connection, starts no
process, and has little memory and time. A template that runs away ends this process and no other.
"""

import datetime
import json
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jinja2.debug  # noqa: F401 # see `load_all`
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension
from jinja2.nodes import CallBlock, Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES_MAX = 1 << 30
SECONDS_MAX = 5  # of the processor, for one conversation with all its beginnings
CHARACTERS_MAX = 1 << 20
GROWTH_MAX = 8  # rendered characters for one of the conversation

# Characters for private use, which mark places in a rendered text; others are taken where a conversation holds them.
PRIVATE = range(0x10FFFD, 0x10F000, -1)

# Templates that write the date of today would make other text every day.
TODAY = datetime.datetime(2024, 7, 26)

Message = dict[str, Any]
Span = tuple[int, int]


class Refused(Exception):
    """The template cannot render the conversation."""


class Generation(Extension):
    """`{% generation %}`: what stands between is said by the assistant."""

    tags = {"generation"}
    marks = ("", "")

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_marked")
        return CallBlock(call, [], [], body).set_lineno(line)

    def _marked(self, caller: Callable[[], str]) -> str:
        begin, end = self.marks
        return f"{begin}{caller()}{end}"


class Sandbox:
    """One template."""

    def __init__(self, template: str, variables: dict[str, Any]) -> None:
        self._environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
        )
        self._environment.filters["tojson"] = to_json
        self._environment.globals |= {"raise_exception": raise_exception, "strftime_now": TODAY.strftime}
        self._generation: Any = self._environment.extensions[f"{Generation.__module__}.Generation"]
        self._template = self._environment.from_string(template)
        self._variables = {"tools": None, "documents": None} | variables
        self._characters_max = CHARACTERS_MAX

    def answer(self, messages: list[Message], *, spans: bool) -> dict[str, Any]:
        """The rendered text and, if asked for, which of its characters are the assistant's."""
        said = json.dumps(messages, ensure_ascii=False)
        self._characters_max = CHARACTERS_MAX + GROWTH_MAX * len(said)
        begin, end = unused(said, count=2)
        if not spans:
            return {"text": self.render(messages)}
        self._generation.marks = (begin, end)
        text = self.render(messages)
        self._generation.marks = ("", "")
        if begin in text:
            text, found = unmarked(text, begin, end)
            return {"text": text, "spans": found}
        turns = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        return {"text": text, "spans": [self.turn(messages, place, text, (begin, end)) for place in turns]}

    def render(self, messages: list[Message], *, add_generation_prompt: bool = False) -> str:
        pieces, characters = [], 0
        context = self._variables | {"messages": messages, "add_generation_prompt": add_generation_prompt}
        for piece in self._template.generate(context):
            pieces.append(piece)
            characters += len(piece)
            if characters > self._characters_max:
                raise Refused(f"makes more than {self._characters_max:,} characters of one conversation")
        return "".join(pieces)

    def turn(self, messages: list[Message], place: int, whole: str, marks: tuple[str, str]) -> Span:
        """Where a turn of the assistant stands in the rendered conversation: from what it is asked to go on from, to
        its end.

        A conversation that stops earlier usually renders as the beginning of the whole one. Templates that render
        earlier turns otherwise are asked again with marks around what the assistant says.
        """
        before = self.attempt(messages[:place], add_generation_prompt=True)
        after = self.attempt(messages[: place + 1])
        begin = len(before) if before and whole.startswith(before) else None
        end = len(after) if after and whole.startswith(after) else None
        if begin is None or end is None or begin > end:
            begin, end = self.marked_turn(messages, place, whole, marks, begin)
        return begin, end

    def marked_turn(
        self, messages: list[Message], place: int, whole: str, marks: tuple[str, str], begin: int | None
    ) -> Span:
        said = messages[place] | {"content": f"{marks[0]}{messages[place]['content']}{marks[1]}"}
        marked = self.attempt([*messages[:place], said, *messages[place + 1 :]])
        head, _, rest = marked.partition(marks[0])
        _, found, tail = marked.partition(marks[1])
        if begin is None and rest and whole.startswith(head):
            begin = len(head)
        end = len(whole) - len(tail)
        if begin is None or not found or not whole.endswith(tail) or end < begin:
            raise Refused(
                f"does not show which characters are of message {place + 1}, by the assistant; "
                "put {% generation %} and {% endgeneration %} around them"
            )
        closing = self.attempt([*messages[:place], said]).partition(marks[1])[2]
        return begin, end + common_length(closing, tail)

    def attempt(self, messages: list[Message], *, add_generation_prompt: bool = False) -> str:
        """The text of a part of a conversation; nothing if the template wants it whole."""
        try:
            return self.render(messages, add_generation_prompt=add_generation_prompt)
        except SecurityError:
            raise
        except (TemplateError, TypeError, ValueError, IndexError, KeyError):
            return ""


def raise_exception(message: str) -> None:
    raise TemplateError(str(message))


def to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def unused(text: str, *, count: int) -> list[str]:
    return [mark for mark in map(chr, PRIVATE) if mark not in text][:count]


def unmarked(text: str, begin: str, end: str) -> tuple[str, list[Span]]:
    """The text without its marks, and where they stood."""
    spans: list[Span] = []
    head, *rest = text.split(begin)
    pieces, length = [head.replace(end, "")], len(head.replace(end, ""))
    for piece in rest:
        said, _, others = piece.partition(end)
        spans.append((length, length + len(said)))
        pieces += [said, others.replace(end, "")]
        length += len(pieces[-1]) + len(said)
    return "".join(pieces), spans


def common_length(one: str, other: str) -> int:
    limit = min(len(one), len(other))
    return next((place for place in range(limit) if one[place] != other[place]), limit)


def load_all() -> None:
    """Makes Python load what it would load at the first use, when no file can be opened any more."""
    Sandbox("{{ 'é\\n' | trim | tojson }}{{ strftime_now('%B') }}{{ '%s' | format('{}'.format(1)) }}", {}).answer(
        [], spans=True
    )
    try:
        Sandbox("{{ raise_exception('') }}", {}).render([])
    except TemplateError:
        return


def confine() -> None:
    """From here on: no file, no connection, no process, little memory."""
    for what, most in (
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(what, (most, most))
        except ValueError:
            if sys.platform == "linux":  # macOS has no limit on memory
                raise


def allow_time() -> None:
    """The process ends when it has used up the time of one conversation."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + SECONDS_MAX
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def answers() -> Iterator[dict[str, Any]]:
    allow_time()
    first = json.loads(sys.stdin.readline())
    sandbox: Sandbox | None = None
    try:
        sandbox = Sandbox(first["template"], first["variables"])
        yield {}
    except Exception as error:  # whatever a template brings about is its own fault
        yield {"error": why(error)}
    while sandbox and (line := sys.stdin.readline()):
        allow_time()
        try:
            asked = json.loads(line)
            if asked.get("asks"):
                yield {"text": sandbox.render(asked["messages"], add_generation_prompt=True)}
            else:
                yield sandbox.answer(asked["messages"], spans=asked["spans"])
        except Exception as error:
            yield {"error": why(error)}


def why(error: Exception) -> str:
    match error:
        case Refused():
            return str(error)
        case SecurityError():
            return f"tries what it may not: {error}"
        case MemoryError():
            return f"needs more than {MEMORY_BYTES_MAX:,} bytes of memory"
        case RecursionError():
            return "calls itself without end"
        case TemplateError():
            line = getattr(error, "lineno", None)
            return f"fails: {error.message or type(error).__name__}" + (f" (line {line})" if line else "")
    return f"fails: {type(error).__name__}: {error}"


def main() -> None:
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogatepass")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    load_all()
    confine()
    for answer in answers():
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
