"""The reviewer's tool: nothing is lost, nothing is doubled, whatever happens to the line and to the process."""

import json
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tests.unit.sdk.service_double_reviews import refusal
from tutelage.cli._review_desk import Desk
from tutelage.cli._review_journal import SUBMIT, BusyJournal, Decision, Journal, journal_path
from tutelage.cli._review_sender import Sender
from tutelage.cli._review_terminal import Terminal
from tutelage.v1 import feedback_pb2, reviews_pb2


@pytest.fixture
def client(service: ServiceDouble) -> Iterator[tutelage.Client]:
    service.add_items(12)
    with tutelage.Client(address=service.address, api_key=KEY, retry_s=0.01) as blocking:
        yield blocking


class Sitting:
    """A reviewer at work: the journal, the sender and the desk of one process."""

    def __init__(self, client: tutelage.Client, path: pathlib.Path, *, works: bool = True) -> None:
        self.journal = Journal(path)
        (opened,) = client.reviews.list_open()
        self.sender = Sender(client, opened.name, self.journal)
        self.desk = Desk(self.sender, opened)
        if works:
            self.sender._thread.start()

    def __enter__(self) -> "Sitting":
        return self

    def __exit__(self, *error: object) -> None:
        if self.sender._thread.is_alive():
            self.sender.leave()
        self.journal.__exit__()

    def give(self, candidate: int) -> None:
        """Prefers a candidate of the next item."""
        assert self.desk.open_next(timeout_s=10)
        assert self.desk.prefer(candidate) == ""
        assert self.desk.submit() == ""

    def die(self) -> None:
        """Ends as `kill -9` ends: nothing is said, nothing is tidied up."""
        if self.sender._thread.is_alive():
            self.sender.leave()
        self.journal._file.close()
        self.journal._lock.close()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "state" / "journal.jsonl"


def test_every_item_gets_one_vote(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        for _ in range(12):
            sitting.give(1)
        assert not sitting.desk.open_next(timeout_s=10)
        assert sitting.sender.ended == "nothing is left for you"
    assert set(service.standing()) == set(range(1, 13))
    assert {vote.judgement.preferred for vote in service.standing().values()} == {1}
    assert len(service.requests("TakeSeats")) < 12


def test_no_more_than_ten_seats_are_held(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        sitting.give(0)
        assert sitting.desk.open_next(timeout_s=10)
        assert len(service.seats) <= 6
    assert all(request.seats <= 10 for request in service.requests("TakeSeats"))


def test_a_vote_whose_answer_was_lost_is_given_once(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path
) -> None:
    service.lost_answers = 3
    with Sitting(client, path) as sitting:
        for _ in range(5):
            sitting.give(0)
    assert len(service.standing()) == 5
    assert len(service.requests("SubmitVote")) >= 8


def test_a_cut_line_holds_nobody_up(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    cut = threading.Event()

    def answer(request: Any, context: Any) -> Any:
        if cut.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
        return ServiceDouble.SubmitVote(service, request, context)

    service.answers["SubmitVote"] = answer
    with Sitting(client, path) as sitting:
        sitting.give(0)
        assert sitting.sender.flush(timeout_s=10)
        cut.set()
        for _ in range(4):
            sitting.give(1)
        assert sitting.sender.unsent() == 4
        with sitting.sender.changed:
            assert sitting.sender.changed.wait_for(lambda: sitting.sender.trouble, timeout=10)
        assert len(service.standing()) == 1
        cut.clear()
        assert sitting.sender.flush(timeout_s=20)
        assert sitting.sender.trouble == ""
    assert len(service.standing()) == 5


def test_votes_that_were_not_sent_are_sent_by_the_next_process(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path
) -> None:
    """Also one that the service has already, and whose answer the dead process never saw."""
    with Sitting(client, path) as first:
        first.give(0)
        assert first.sender.flush(timeout_s=10)
    dead = Sitting(client, path, works=False)
    seats = list(service.seats)
    dead.sender.send(Decision(kind="submit", subject=seats[0], judgement={"preferred": 1}))
    dead.sender.send(Decision(kind="submit", subject=seats[1], judgement={"verdict": "equal"}))
    dead.sender._call(dead.journal.pending[0])
    dead.die()
    with path.open("ab") as file:
        file.write(b'{"decision": {"kind": "sub')
    with Sitting(client, path) as second:
        assert second.sender.flush(timeout_s=10)
    assert len(service.standing()) == 3
    assert path.read_bytes().endswith(b"\n")


def test_what_was_begun_is_there_again(client: tutelage.Client, path: pathlib.Path) -> None:
    first = Sitting(client, path)
    assert first.desk.open_next(timeout_s=10)
    first.desk.prefer(1)
    first.desk.explain("shorter, and right")
    begun = first.desk.subject
    first.die()
    with Sitting(client, path) as second:
        assert second.desk.open_next(timeout_s=10)
        assert second.desk.subject == begun
        assert second.desk.judgement == {"preferred": 1, "rationale": "shorter, and right"}


def test_undo_and_redo(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        desk = sitting.desk
        sitting.give(0)
        sitting.give(1)
        assert sitting.sender.flush(timeout_s=10)
        assert desk.open_next(timeout_s=10)
        desk.prefer(0)
        assert "taken back" in desk.undo()
        assert "taken back" in desk.undo()
        assert desk.undo() == "there is nothing to undo"
        assert desk.judgement == {"preferred": 0}
        assert desk.redo() == ""
        assert desk.open_next(timeout_s=10)
        assert desk.redo() == ""
        assert desk.redo() == "there is nothing to redo"
        assert desk.open_next(timeout_s=10)
        assert desk.judgement == {"preferred": 0}, "the item that was begun waits with what was said of it"
        assert sitting.sender.flush(timeout_s=10)
    assert [vote.judgement.preferred for _, vote in sorted(service.standing().items())] == [0, 1]
    assert len(service.votes) == 4


def test_a_vote_that_was_never_sent_is_taken_back_without_a_call(client: tutelage.Client, path: pathlib.Path) -> None:
    with Sitting(client, path) as first:
        assert first.desk.open_next(timeout_s=10)
    with Sitting(client, path, works=False) as sitting:
        sitting.sender._look_for_seats()
        sitting.give(0)
        assert "taken back" in sitting.desk.undo()
        assert sitting.sender.unsent() == 0
        assert sitting.desk.judgement == {"preferred": 0}
        assert sitting.desk.prefer(1) == "" and sitting.desk.submit() == ""
        assert [decision.judgement for decision in sitting.journal.pending] == [{"preferred": 1}]


def test_a_vote_of_yesterday_is_taken_back(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    with Sitting(client, path) as yesterday:
        yesterday.give(0)
        yesterday.give(1)
    with Sitting(client, path) as today:
        today.desk.undo()
        assert today.desk.judgement == {"preferred": 1}
        today.desk.call("equal")
        assert today.desk.submit() == ""
        assert today.sender.flush(timeout_s=10)
    standing = service.standing()
    assert standing[2].judgement.verdict == feedback_pb2.VERDICT_EQUAL
    assert len(service.votes) == 3


def test_without_a_line_older_votes_stay(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    service.fail("ListOwnVotes", *[failure(grpc.StatusCode.UNAVAILABLE, "the line is cut")] * 9)
    with Sitting(client, path) as sitting:
        assert "cannot be looked up now" in sitting.desk.undo()
        sitting.give(0)
        assert "taken back" in sitting.desk.undo()


def test_a_full_disk_gives_no_vote(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sitting(client, path) as sitting:
        assert sitting.desk.open_next(timeout_s=10)
        sitting.desk.prefer(0)
        with monkeypatch.context() as patched:
            patched.setattr(sitting.journal, "_append", full_disk)
            with pytest.raises(OSError, match="No space left"):
                sitting.desk.submit()
        assert sitting.sender.unsent() == 0
    assert service.standing() == {}


def full_disk(record: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_skipped_item_comes_again(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        assert sitting.desk.open_next(timeout_s=10)
        assert "comes again" in sitting.desk.skip()
        for _ in range(12):
            sitting.give(0)
        assert not sitting.desk.open_next(timeout_s=10)
    assert set(service.standing()) == set(range(1, 13))


def test_seats_whose_lease_has_ended_are_let_go(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path
) -> None:
    with Sitting(client, path, works=False) as sitting:
        sender = sitting.sender
        sender._look_for_seats()
        assert len(sender.seats) == 6
        first = sender.seats[0].name
        del service.seats[first]
        service.waiting.clear()
        sender._look_for_seats()
        assert len(sender.seats) == 5 and first not in {seat.name for seat in sender.seats}
        full = tutelage.TakeSeatsResponse(seats=tuple(sender.seats)[:2], items_left=5)
        sender._take(full, drawing=False, is_all=False)
        assert len(sender.seats) == 5, "an answer that is full may leave some out"


def test_a_lost_seat_is_told(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        assert sitting.desk.open_next(timeout_s=10)
        lost = service.seats.pop(sitting.desk.subject)
        assert lost is not None
        sitting.give(0)
        assert sitting.sender.flush(timeout_s=10)
        assert sitting.desk.hear_refusals() == ["your submit was not taken: somebody else has the seat"]
        assert sitting.desk.given == 0
        sitting.give(1)
    assert len(service.standing()) == 1


def test_a_vote_that_can_be_mended_comes_back(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path
) -> None:
    service.fail("SubmitVote", failure(grpc.StatusCode.INVALID_ARGUMENT, "judgement.rationale: is too long"))
    with Sitting(client, path) as sitting:
        sitting.give(1)
        assert sitting.sender.flush(timeout_s=10)
        assert "too long" in sitting.desk.hear_refusals()[0]
        assert sitting.desk.judgement == {"preferred": 1}
        assert sitting.desk.submit() == ""
        assert sitting.sender.flush(timeout_s=10)
    assert len(service.standing()) == 1


def test_words_that_cannot_be_sent_hold_up_no_other_vote(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path
) -> None:
    with Sitting(client, path, works=False) as sitting:
        sitting.sender.send(Decision(kind=SUBMIT, subject="helpfulness/items/1/seats/1", judgement={"no": "such word"}))
        sitting.sender._thread.start()
        sitting.give(1)
        assert sitting.sender.flush(timeout_s=10)
        assert ["cannot be sent" in told for told in sitting.desk.hear_refusals()] == [True]
    assert len(service.standing()) == 1


def test_a_broken_service_loses_no_vote(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    service.fail("SubmitVote", *[failure(grpc.StatusCode.INTERNAL, "an internal error", reason="INTERNAL")] * 2)
    with Sitting(client, path) as sitting:
        sitting.give(1)
        assert sitting.sender.flush(timeout_s=20)
        assert sitting.desk.hear_refusals() == []
    assert len(service.standing()) == 1


def test_a_closed_review_says_so(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    def closed(request: Any, context: Any) -> Any:
        context.abort_with_status(refusal(grpc.StatusCode.FAILED_PRECONDITION, "the review is closed", "WRONG_STATE"))

    service.answers["TakeSeats"] = closed
    with Sitting(client, path) as sitting:
        assert not sitting.desk.open_next(timeout_s=10)
        assert sitting.sender.ended == "the review is closed"


def test_items_that_are_still_drawn_are_waited_for(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path
) -> None:
    service.waiting.clear()
    service.review.drawing = True
    with Sitting(client, path) as sitting:
        assert not sitting.desk.open_next(timeout_s=0.2)
        assert sitting.sender.ended == ""
        service.add_items(1)
        service.review.drawing = False
        sitting.give(0)
        assert not sitting.desk.open_next(timeout_s=10)
    assert len(service.standing()) == 1


def test_two_processes_do_not_share_a_journal(client: tutelage.Client, path: pathlib.Path) -> None:
    with Sitting(client, path), pytest.raises(BusyJournal, match="another terminal"):
        Journal(path)


def test_a_journal_is_private_and_does_not_grow(client: tutelage.Client, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        for _ in range(5):
            sitting.give(0)
        assert sitting.sender.flush(timeout_s=10)
    Journal(path).__exit__()
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o077 == 0


def test_the_name_of_a_new_journal_is_synced_too(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    with Journal(path):
        assert synced[-1] == path.parent.stat().st_ino


def test_only_the_latest_drafts_are_kept(path: pathlib.Path) -> None:
    with Journal(path) as journal:
        for number in range(50):
            journal.draft(f"seat {number}", {"preferred": 0})
    with Journal(path) as journal:
        assert list(journal.drafts) == [f"seat {number}" for number in range(30, 50)]


def test_reviewers_and_reviews_have_journals_of_their_own(tmp_path: pathlib.Path) -> None:
    base = {"address": "a:1", "api_key": "tut_one_secret", "review": "r"}
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    paths = {journal_path(**{**base, **other}, environment=environment) for other in ({}, {"api_key": "tut_two_x"})}
    paths |= {
        journal_path(**{**base, **other}, environment=environment) for other in ({"review": "s"}, {"address": "b"})
    }
    assert len(paths) == 4
    assert all(path.is_relative_to(tmp_path) and "secret" not in str(path) for path in paths)


@pytest.mark.parametrize(
    ("kind", "acts", "judgement"),
    [
        ("PAIR", [("prefer", 0), ("digit", 3)], {"preferred": 0, "strength": 3}),
        ("PAIR", [("call", "both_bad"), ("explain", "rude")], {"verdict": "both_bad", "rationale": "rude"}),
        ("PAIR", [("call", "equal"), ("prefer", 1)], {"preferred": 1}),
        ("PAIR", [("prefer", 1), ("correct", 1, "better")], {"preferred": 1, "correction": "better", "corrected": 1}),
        ("SINGLE", [("thumb", -1), ("digit", 7)], {"score": 7}),
        ("SINGLE", [("digit", 7), ("thumb", 1)], {"rating": 1}),
        ("RANKING", [("digit", 2), ("digit", 1)], {"ranking": [1, 0]}),
        ("RANKING", [("digit", 2), ("digit", 1), ("next_question",), ("digit", 2), ("digit", 1)], {"ranking": [0]}),
    ],
)
def test_what_is_said_becomes_a_judgement(
    client: tutelage.Client, service: ServiceDouble, path: pathlib.Path, kind: str, acts: Any, judgement: Any
) -> None:
    service.review.kind = reviews_pb2.ReviewKind.Value(f"REVIEW_KIND_{kind}")
    with Sitting(client, path) as sitting:
        assert sitting.desk.open_next(timeout_s=10)
        for name, *arguments in acts:
            assert getattr(sitting.desk, name)(*arguments) == ""
        assert sitting.desk.judgement == judgement


@pytest.mark.parametrize(("typed", "corrected"), [("b", 1), ("A", 0), ("C", None), ("\u00b2", None), ("", None)])
def test_of_answers_that_are_equal_one_is_asked_for(
    client: tutelage.Client, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, typed: str, corrected: int | None
) -> None:
    monkeypatch.setattr("tutelage.cli._review_terminal.ask", lambda what, before: typed)
    monkeypatch.setattr("tutelage.cli._review_terminal.edit", lambda text: "better")
    with Sitting(client, path) as sitting:
        assert sitting.desk.open_next(timeout_s=10)
        sitting.desk.call("equal")
        assert Terminal(sitting.desk)._correct() == ""
        assert sitting.desk.judgement.get("corrected") == corrected


def test_what_is_missing_or_wrong_is_said(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    service.review.rubric.add(key="polite", description="Is it polite?")
    with Sitting(client, path) as sitting:
        desk = sitting.desk
        assert desk.open_next(timeout_s=10)
        assert "choose first" in desk.submit()
        assert "choose first" in desk.digit(1)
        assert "equals the answer" in desk.correct(0, "the left answer to 1")
        desk.prefer(0)
        assert "polite" in desk.submit()
        desk.digit(2)
        assert desk.focus == "polite"
        assert desk.digit(9) == ""
        assert "is none of" in desk.discard("boring")
        assert desk.submit() == ""
        assert sitting.sender.flush(timeout_s=10)
    assert dict(service.standing()[1].judgement.rubric) == {"polite": 9}


def test_time_away_is_not_time_spent(client: tutelage.Client, service: ServiceDouble, path: pathlib.Path) -> None:
    now = [0.0]
    with Sitting(client, path) as sitting:
        sitting.desk.clock = lambda: now[0]
        assert sitting.desk.open_next(timeout_s=10)
        now[0] = 7.0
        sitting.desk.prefer(0)
        now[0] = 7000.0
        assert sitting.desk.submit() == ""
        assert sitting.sender.flush(timeout_s=10)
    assert service.standing()[1].active_seconds == 67.0


def test_every_record_of_a_journal_is_json(client: tutelage.Client, path: pathlib.Path) -> None:
    with Sitting(client, path) as sitting:
        sitting.give(0)
        assert sitting.sender.flush(timeout_s=10)
        records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [next(iter(record)) for record in records] == ["draft", "decision", "answer"]
