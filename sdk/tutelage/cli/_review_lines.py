"""The review tool without a terminal: an item is printed, a line is read.

A line is the keys of one item and, after a blank, a text: `b3 clearer` prefers B clearly, because it is clearer; `c
better words` corrects; `x language` discards; `s` skips; `z` takes the last vote back; `q` quits. A line that begins
with `{` is a judgement in JSON, in the words of `client.reviews.submit_vote`. Blank lines and lines
that begin with `#` say nothing.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from tutelage.cli._output import clean, print_json_line, say, show
from tutelage.cli._review_desk import DISCARDS, Desk
from tutelage.cli._review_page import answer_name, question_of
from tutelage.cli.review_items import prompt_text

# A script waits this long for a service that is away; what it decided is on disk.
LOOK_S, PATIENCE_S = 0.5, 60.0
ACTS = "szZxqg?"
CHOICES = {"a": ("prefer", 0), "b": ("prefer", 1), "e": ("call", "equal"), "n": ("call", "both_bad")}


class Lines:
    """Reads lines until there are no more, the reviewer quits, or nothing is left."""

    def __init__(self, desk: Desk, lines: Iterator[str], *, output: str, quiet: bool) -> None:
        self.desk = desk
        self.lines = lines
        self.output = output
        self.quiet = quiet
        self.problems = 0

    def run(self) -> None:
        """Works through the lines."""
        shown: Any = None
        while self._wait_for_item():
            if self.desk.seat is not shown:
                self._show_item()
                shown = self.desk.seat
            line = next((line.strip("\r\n") for line in self.lines if is_said(line)), None)
            if line is None or not self._take(line):
                return

    def _wait_for_item(self) -> bool:
        """Waits until there is an item; says whether there is one."""
        sender, since = self.desk.sender, time.monotonic()
        trouble = ""
        while not self.desk.open_next(timeout_s=LOOK_S):
            self._tell_refusals()
            if sender.trouble and sender.trouble != trouble:
                trouble = sender.trouble
                say(f"waiting: {trouble}")
            if not sender.trouble:
                since = time.monotonic()
            if sender.ended or time.monotonic() - since > PATIENCE_S:
                say(sender.ended or "gave up waiting; what was decided is on this disk")
                return False
        self._tell_refusals()
        return self.desk.seat is not None or self._wait_for_item()

    def _tell_refusals(self) -> None:
        for told in self.desk.hear_refusals():
            self._complain(told)

    def _complain(self, told: str) -> None:
        self.problems += 1
        say(told)

    def _show_item(self) -> None:
        """Prints an item: for a person, or as JSON for a program."""
        seat = self.desk.seat
        assert seat is not None
        if self.output == "jsonl":
            print_json_line(seat.to_dict())
        elif not self.quiet:
            show(f"\n── {prompt_text(seat.prompt)}")
            for number, text in enumerate(seat.candidates):
                show(f"── {answer_name(self.desk, number)}\n{text}")
            show("── " + "   ".join(question_of(self.desk, name) for name in self.desk.questions()))

    def _take(self, line: str) -> bool:
        """Does what a line says; returns whether to go on."""
        if line.startswith("{"):
            self._give_json(line)
            return True
        keys, _, text = line.partition(" ")
        if keys in ("q", "Q"):
            return False
        if keys and all(key in ACTS for key in keys):
            self._act(keys, text)
            return True
        told = self._judge(keys, text) or self.desk.submit()
        if told:
            self._complain(f"{line!r}: {told}")
        return True

    def _act(self, keys: str, text: str) -> None:
        """Does what changes the order of things."""
        for key in keys:
            if key == "x":
                told = self._discard(text)
            elif key in "g?":
                told = self.desk.review.guidelines or "there are no guidelines" if key == "g" else __doc__ or ""
            else:
                told = {"s": self.desk.skip, "z": self.desk.undo, "Z": self.desk.redo}[key]()
            if told:
                say(told)

    def _discard(self, text: str) -> str:
        """Discards the item; the first word is the reason, what follows says more."""
        reason, _, why = text.strip().partition(" ")
        return (self.desk.explain(why) if why else "") or self.desk.discard(reason or DISCARDS[0])

    def _judge(self, keys: str, text: str) -> str:
        """Says what the keys say; the text is the correction after `c`, else why. A line says all of its item."""
        self.desk.begin_anew()
        for key in keys:
            if told := self._press(key):
                return told
        if "c" in keys:
            said, seat = self.desk.judgement, self.desk.seat
            assert seat is not None
            return self.desk.correct(said.get("preferred", 0), text.replace("\\n", "\n"))
        return self.desk.explain(text) if text else ""

    def _press(self, key: str) -> str:
        """Does what one key says."""
        desk = self.desk
        if key in "cr":
            return ""
        if key.isdigit() and key != "0":
            return desk.digit(int(key))
        if key in "+-":
            return desk.thumb(1 if key == "+" else -1)
        if key.lower() not in CHOICES:
            return f"{key!r} is no key; `?` on a line shows them"
        method, argument = CHOICES[key.lower()]
        strongly = {"strongly": True} if key in "AB" else {}
        return str(getattr(desk, method)(argument, **strongly))

    def _give_json(self, line: str) -> None:
        """Gives a judgement that is written in JSON."""
        try:
            self.desk.judgement = judgement_in(line)
        except ValueError as error:
            self._complain(f"{clean(line)[:100]}: {clean(str(error))}")
            return
        if told := self.desk.submit():
            self._complain(told)


def judgement_in(line: str) -> dict[str, Any]:
    """Returns the words of a judgement in JSON. Raises: ValueError for what is none, or none that can be sent."""
    import tutelage
    from tutelage._sync.reviews import judgement_of

    try:
        judgement: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error
    if "correction" in judgement:
        judgement.setdefault("corrected", judgement.get("preferred", 0))
    try:
        judgement_of(judgement)
    except (TypeError, ValueError, tutelage.InvalidArgument) as error:
        raise ValueError(f"no judgement: {error}") from error
    return judgement


def is_said(line: str) -> bool:
    """Says whether a line says something."""
    return bool(line.strip()) and not line.startswith("#")


def lines_of(path: str | None) -> Iterator[str]:
    """Yields the lines of a file, or of standard input."""
    with click.open_file(path or "-", encoding="utf-8") as file:
        yield from file
