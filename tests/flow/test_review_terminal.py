"""The reviewer's tool at a terminal: real keys, a real process, and nothing lost when it is killed."""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import grpc
import pytest

from tests.unit.sdk.service_double import KEY, ServiceDouble

PROGRAM = pathlib.Path(sys.executable).with_name("tutelage")
START = ("review", "start", "helpfulness")


@pytest.fixture
def service() -> Iterator[ServiceDouble]:
    """A running service with four items to judge."""
    with ServiceDouble() as double:
        double.add_items(4)
        yield double


@pytest.fixture(autouse=True)
def connected(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Lets the program find the service, and no profile or journal of the person who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Typist:
    """A person at a terminal of 120 columns."""

    def __init__(self, *words: str, columns: int = 120, **variables: str) -> None:
        self.main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm", **variables}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [PROGRAM, *words], stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True
        )
        os.close(side)
        self.seen = ""

    def type(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def sees(self, words: str, *, limit_s: float = 30.0) -> str:
        """Waits until words are on the screen, and forgets what came up to them."""
        until = time.monotonic() + limit_s
        while True:
            plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen)
            if words in plain:
                self.seen = ""
                return plain
            left_s = until - time.monotonic()
            assert left_s > 0, f"no {words!r} in {plain[-2000:]!r}"
            ready, _, _ = select.select([self.main], [], [], left_s)
            try:
                self.seen += os.read(self.main, 65536).decode("utf-8", "replace") if ready else ""
            except OSError:  # the program has ended, and its terminal with it
                assert words in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen), self.seen[-2000:]

    def ends(self) -> int:
        code = self.process.wait(timeout=30)
        os.close(self.main)
        return code


@pytest.fixture
def typist() -> Iterator[Typist]:
    person = Typist(*START, EDITOR="", VISUAL="")
    yield person
    if person.process.poll() is None:
        person.process.kill()
        person.ends()


def test_a_person_at_a_terminal(typist: Typist, service: ServiceDouble) -> None:
    first = typist.sees("which is better?")
    line = next(line for line in first.splitlines() if "the left answer to 1" in line)
    assert "the right answer to 1" in line, "side by side"
    typist.type("b3\r")
    typist.sees("question 2")
    typist.type("ar")
    typist.sees("why:")
    typist.type("kind\n")
    typist.sees("kind")
    typist.type("\r")
    typist.sees("question 3")
    typist.type("?")
    typist.sees("any key goes back")
    typist.type(" zZ")
    typist.sees("question 3")
    typist.type("s")
    typist.sees("question 4")
    typist.type("n")
    typist.sees("why:")
    typist.type("rude\n")
    typist.sees("both bad")
    typist.type("\rq")
    typist.sees("3 votes given")
    assert typist.ends() == 0
    standing = service.standing()
    assert {number: vote.judgement.rationale for number, vote in standing.items()} == {1: "", 2: "kind", 4: "rude"}
    assert standing[1].judgement.strength == 3


def test_a_kill_in_the_middle_loses_nothing(typist: Typist, service: ServiceDouble) -> None:
    cut = {"on": True}

    def answer(request: object, context: grpc.ServicerContext) -> object:
        if cut["on"]:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
        return ServiceDouble.SubmitVote(service, request, context)

    service.answers["SubmitVote"] = answer
    typist.sees("which is better?")
    typist.type("b\r")
    typist.sees("question 2")
    typist.type("e\r")
    typist.sees("question 3")
    typist.sees("no line: 2 on this disk")
    typist.type("a")
    typist.sees("how much better?")
    typist.process.send_signal(signal.SIGKILL)
    assert typist.ends() == -signal.SIGKILL
    assert service.standing() == {}
    cut["on"] = False
    again = Typist(*START)
    text = again.sees("which is better? A")
    assert "question 3" in text
    again.type("\rq")
    again.sees("1 votes given")
    assert again.ends() == 0
    assert [vote.judgement.preferred for _, vote in sorted(service.standing().items())] == [1, 0, 0]


def test_keys_are_not_meant_for_an_item_that_was_not_shown(typist: Typist, service: ServiceDouble) -> None:
    typist.sees("which is better?")
    typist.type("b\ra\r")
    typist.sees("question 2")
    typist.type("\r")
    typist.sees("choose first")
    typist.type("qq")
    typist.sees("1 votes given")
    assert typist.ends() == 0
    assert set(service.standing()) == {1}


def test_a_narrow_terminal_stacks_answers(service: ServiceDouble) -> None:
    person = Typist(*START, columns=60)
    text = person.sees("which is better?")
    assert not any("the left answer to 1" in line and "the right" in line for line in text.splitlines())
    person.type("q")
    assert person.ends() == 0


def test_an_editor_corrects(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "written in an editor\\n" > "$1"\n')
    editor.chmod(0o755)
    person = Typist(*START, EDITOR=str(editor), VISUAL="")
    person.sees("which is better?")
    person.type("ac")
    person.sees("your correction of A")
    person.type("\rq")
    person.sees("1 votes given")
    assert person.ends() == 0
    assert service.standing()[1].judgement.correction.text == "written in an editor"
