"""`tutelage review start`: with lines, with a program, with a script, and with a person at a terminal."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import grpc
import pytest

from tests.unit.sdk.cli_runs import run, run_well
from tests.unit.sdk.service_double import KEY, ServiceDouble
from tutelage.cli._review_words import GONE, NEW, SAME, word_diff
from tutelage.v1 import feedback_pb2, reviews_pb2

PROGRAM = pathlib.Path(sys.executable).with_name("tutelage")
START = ("review", "start", "helpfulness")


@pytest.fixture(autouse=True)
def connected(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    service.add_items(4)
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def script(tmp_path: pathlib.Path, *lines: str) -> str:
    path = tmp_path / "votes.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_a_script_votes_and_says_that_it_is_one(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    votes = script(tmp_path, "# my votes", "b3 clearer", "", "A", "e", "n both are rude")
    result = run_well(*START, "--scripted", votes)
    assert "4 votes given" in result.stderr
    assert "nothing is left" not in result.stdout
    standing = [vote for _, vote in sorted(service.standing().items())]
    assert [(v.judgement.verdict, v.judgement.preferred, v.judgement.strength) for v in standing] == [
        (feedback_pb2.VERDICT_PREFERS, 1, 3),
        (feedback_pb2.VERDICT_PREFERS, 0, 4),
        (feedback_pb2.VERDICT_EQUAL, 0, 0),
        (feedback_pb2.VERDICT_BOTH_BAD, 0, 0),
    ]
    assert standing[0].judgement.rationale == "clearer"
    assert all(vote.scripted for vote in standing)


def test_somebody_without_a_terminal_reads_and_writes_lines(service: ServiceDouble) -> None:
    result = run_well(*START, input="bc a better answer\\nin two lines\ns\nx language I read no Danish\nz\nb\nq\n")
    assert "question 1" in result.stdout
    assert "the right answer to 1" in result.stdout
    standing = service.standing()
    assert standing[1].judgement.correction.text == "a better answer\nin two lines"
    assert standing[1].judgement.correction.candidate == 1
    assert standing[3].judgement.preferred == 1, "the discard was taken back"
    assert set(standing) == {1, 3}
    assert not any(vote.scripted for vote in standing.values())
    assert "come back with:  tutelage review start helpfulness" in result.stderr


def test_a_program_reads_items_and_writes_judgements(service: ServiceDouble) -> None:
    lines = ['{"preferred": 0, "strength": 2, "rationale": "x"}', '{"verdict": "equal"}', "{no", "e"]
    result = run(*START, "-o", "jsonl", input="".join(f"{line}\n" for line in lines))
    *items, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert [item["prompt"]["text"] for item in items] == ["question 1", "question 2", "question 3", "question 4"]
    assert len(items[0]["candidates"]) == 2
    assert summary["votes"] == 3
    assert "no JSON" in result.stderr
    assert result.exit_code == 1
    assert len(service.standing()) == 3


def test_a_discard_without_text_keeps_its_reason(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    run_well(*START, "--scripted", script(tmp_path, "x unsafe", "q"))
    (vote,) = service.standing().values()
    assert vote.state == feedback_pb2.VOTE_STATE_DISCARDED
    assert vote.judgement.discard == feedback_pb2.DISCARD_REASON_UNSAFE


@pytest.mark.parametrize("line", ["w", "5", "c the left answer to 1", '{"preferred": "both"}'])
def test_a_line_that_says_nothing_gives_no_vote(service: ServiceDouble, tmp_path: pathlib.Path, line: str) -> None:
    result = run(*START, "--scripted", script(tmp_path, line))
    assert result.exit_code == 1
    assert service.standing() == {}


def test_one_answer_is_rated(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.review.kind = reviews_pb2.REVIEW_KIND_SINGLE
    run_well(*START, "--scripted", script(tmp_path, "7 good", "+", "- rude"))
    judgements = [vote.judgement for _, vote in sorted(service.standing().items())]
    assert (judgements[0].rating, judgements[0].rationale) == (7, "good")
    assert [judgement.thumb for judgement in judgements[1:]] == [feedback_pb2.THUMB_UP, feedback_pb2.THUMB_DOWN]


def test_a_review_that_is_not_mine_is_named_with_those_that_are() -> None:
    result = run("review", "start", "helpfull")
    assert result.exit_code == 1
    assert "there are: helpfulness" in result.stderr


def test_words_are_compared() -> None:
    pieces = word_diff("the old  answer", "the new  answer, then")
    assert pieces == [(SAME, "the "), (GONE, "old"), (NEW, "new"), (SAME, "  answer"), (NEW, ", then")]
    for before, after in (("", "x"), ("a b", ""), ("same", "same"), ("x\n" * 5000, "y\n" + "x\n" * 5000)):
        found = word_diff(before, after)
        assert "".join(piece for kind, piece in found if kind != NEW) == before
        assert "".join(piece for kind, piece in found if kind != GONE) == after


class Typist:
    """A person at a terminal of 120 columns."""

    def __init__(self, *words: str, columns: int = 120, **variables: str) -> None:
        self.main, side = pty.openpty()
        import fcntl
        import struct
        import termios

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
