"""`tutelage review start`: with lines, with a program, with a script, and with a person at a terminal."""

import json
import pathlib
import sys

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


@pytest.mark.parametrize(
    "line",
    [
        '{"preferred": 0, "comment": "x"}',
        '{"preferred": 0, "active_seconds": 3}',
        '{"verdict": "better"}',
        '{"preferred": 0, "rubric": 5}',
        '{"preferred": 99999999999}',
        '{"preferred": 0, "correction": 7}',
        '{"preferred": 0, "correction": "x", "corrected": 9}',
        '{"preferred": 0, "correction": "x", "corrected": "B"}',
        '{"preferred": "B", "correction": "x"}',
        '{"rubric": ' + "[" * 100_000,
    ],
)
def test_json_that_is_no_judgement_is_told_and_holds_nothing_up(service: ServiceDouble, line: str) -> None:
    result = run(*START, "-o", "jsonl", input=f"{line}\n" + 4 * '{"verdict": "equal"}\n')
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert {vote.judgement.verdict for vote in service.standing().values()} == {feedback_pb2.VERDICT_EQUAL}
    assert len(service.standing()) == 4


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


def test_a_line_says_all_of_its_item(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.review.kind = reviews_pb2.REVIEW_KIND_RANKING
    assert run(*START, "--scripted", script(tmp_path, "2", "21 in this order")).exit_code == 1
    (vote,) = service.standing().values()
    assert list(vote.judgement.ranking) == [1, 0]


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
    assert pieces == [(SAME, "the "), (GONE, "old  "), (NEW, "new  "), (SAME, "answer"), (NEW, ", then")]
    for before, after in (("", "x"), ("a b", ""), ("same", "same"), ("x\n" * 5000, "y\n" + "x\n" * 5000)):
        found = word_diff(before, after)
        assert "".join(piece for kind, piece in found if kind != NEW) == before
        assert "".join(piece for kind, piece in found if kind != GONE) == after
