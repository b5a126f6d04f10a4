"""Freezing: the set is the ledger at that moment, whole or not there at all, and never changes."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

import artifacts
from services.datasets.delete_dataset import delete_dataset
from services.datasets.expire_uploads import collect_dataset_files, expire_uploads
from services.domain.conflicts import ConflictPolicy
from services.domain.datasets import DatasetFormat, RowKind, SignalCounts
from services.domain.errors import (
    AlreadyExists,
    InvalidField,
    LimitReached,
    NotFound,
    RequestIdReused,
    Unavailable,
    WrongState,
)
from services.domain.judgements import Correction, DiscardReason, Verdict
from services.domain.pages import PageRequest
from services.domain.requests import NO_REQUEST_KEY
from services.domain.reviews import Vote
from services.feedback import gathering
from services.feedback.get_feedback_set import get_feedback_set
from services.feedback.list_feedback_sets import list_feedback_sets
from services.storage.tables.datasets import dataset, upload
from services.storage.tables.feedback import feedback_set, feedback_set_vote
from services.storage.tables.reviews import vote, vote_change
from services.storage.unit_of_work import SqlUnitOfWork
from tests.support.feedback import FeedbackBench, a_request
from tests.support.houses import A_TIME, add_dataset, add_project
from tests.support.reviews import SECOND


class HookedStore:
    """A store that does something after it has stored something."""

    def __init__(self, store: artifacts.Store, after_put: Callable[[], object]) -> None:
        self._store = store
        self._after_put = after_put

    def put(self, key: str, data: Any) -> artifacts.Stored:
        stored = self._store.put(key, data)
        self._after_put()
        return stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def hooked(feedback: FeedbackBench, after_put: Callable[[], object]) -> FeedbackBench:
    """Return the same bench, with a store that does something between the bytes of a set and its commit."""
    store: Any = HookedStore(feedback.house.store, after_put)
    house = dataclasses.replace(feedback.house, store=store)
    bench = dataclasses.replace(feedback.bench, house=house)
    return FeedbackBench(dataclasses.replace(feedback.reviews, bench=bench))


def counts(feedback: FeedbackBench) -> dict[str, int]:
    tables = (feedback_set, feedback_set_vote, dataset, upload)
    with feedback.bench.storage.engine.connect() as connection:
        query = sa.select(sa.func.count())
        return {table.name: connection.execute(query.select_from(table)).scalar_one() for table in tables}


def stored(feedback: FeedbackBench) -> list[str]:
    return sorted(feedback.house.store.keys("datasets/"))


def live(feedback: FeedbackBench) -> list[Vote]:
    """Return what counts, read in another way than sets are made."""
    with feedback.house.storage.read() as uow:
        votes = uow.votes.read("own", after=0, count_max=10_000)
    return [each for each in votes if not each.repeat]


def test_a_set_is_a_dataset_whose_hash_is_that_of_its_rows(feedback: FeedbackBench) -> None:
    sent = [feedback.prefer(number) for number in range(20)]
    made = feedback.freeze()
    found, data = feedback.dataset(made), feedback.data(made)
    assert (made.name, made.dataset) == ("projects/own/feedbackSets/prefs", found.name)
    assert made.sha256 == found.sha256 == hashlib.sha256(data).hexdigest()
    assert (found.format, found.row_kind, found.size_bytes) == (DatasetFormat.JSONL, RowKind.FEEDBACK, len(data))
    assert (made.votes, made.reviewers, made.scripted_votes, made.items_left_out) == (20, 1, 0, 0)
    assert made.train.pairs + made.validation.pairs == 20 == found.rows
    assert (found.split.train_rows, found.split.validation_rows) == (made.train.rows, made.validation.rows)
    assert data[: found.split.train_bytes].count(b"\n") == made.train.rows
    assert {each for row in feedback.rows(made) for each in row["votes"]} == {each.uid for each in sent}
    assert feedback.members(made) == [each.seq for each in sent]


def test_what_is_kept_of_a_set_is_what_was_returned(feedback: FeedbackBench) -> None:
    review = feedback.reviews.with_items(3)
    feedback.reviews.vote_on_all(feedback.reviews.reviewer("anna"), review)
    feedback.thumb(7, up=True, scripted=True)
    made = feedback.freeze(
        reviews=(review.name,), policy=ConflictPolicy.WEIGHTED, validation_share=0.5, good_rating=8, bad_rating=2
    )
    assert get_feedback_set(feedback.house, caller=feedback.bench.caller, name=made.name) == made
    assert (made.reviews, made.sources) == (("projects/own/reviews/helpfulness",), ("app",))
    assert (made.votes, made.scripted_votes, made.reviewers) == (4, 1, 2)
    assert made.settings.scale.good_rating == 8
    assert made.creator == feedback.bench.caller.api_key


def test_training_rows_come_first_and_no_prompt_is_on_both_sides(feedback: FeedbackBench) -> None:
    for number in range(30):
        feedback.prefer(number)
        feedback.thumb(number, up=number % 2 == 0)
    made = feedback.freeze(validation_share=0.3)
    rows = feedback.rows(made)
    train, held = rows[: made.train.rows], rows[made.train.rows :]
    assert len(held) == made.validation.rows > 0
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in held}
    for part in (train, held):
        order = [(hashlib.sha256(f'"{row["prompt"]}"'.encode()).hexdigest(), row["kind"]) for row in part]
        assert order == sorted(order)
    kinds = SignalCounts(
        **{f"{kind}s": sum(row["kind"] == kind for row in train) for kind in ("pair", "label", "example")}
    )
    assert made.train == kinds


def test_freezing_the_same_votes_again_gives_the_same_hash(feedback: FeedbackBench) -> None:
    for number in range(10):
        feedback.prefer(number)
    first, second = feedback.freeze("first"), feedback.freeze("second")
    assert first.sha256 == second.sha256
    feedback.prefer(11)
    assert feedback.freeze("third").sha256 != first.sha256
    assert feedback.data(first) == feedback.data(second), "a later vote changes no set"


def test_the_set_is_what_counts_at_that_moment(feedback: FeedbackBench) -> None:
    """Discarded, withdrawn, retracted votes and silent repetitions are in the ledger and not in the set."""
    review = feedback.reviews.with_items(6, overlap=2, repeat_share=0.5)
    anna, ben = feedback.reviews.reviewer("anna"), feedback.reviews.reviewer("ben")
    feedback.reviews.vote_on_all(anna, review)
    for seat in feedback.reviews.take(ben, review, seats=4):
        feedback.reviews.undo(ben, feedback.reviews.vote(ben, seat, SECOND))
    feedback.submit("prompt", "text", discard=DiscardReason.LANGUAGE)
    retracted = feedback.prefer(1)
    feedback.prefer(2)
    feedback.retract(retracted)
    made = feedback.freeze(reviews=(review.name,))
    assert feedback.members(made) == [each.seq for each in live(feedback)]
    assert retracted.seq not in feedback.members(made)
    before = feedback.data(made)
    feedback.retract(next(each for each in live(feedback) if each.seq == feedback.members(made)[0]))
    assert feedback.data(made) == before
    assert get_feedback_set(feedback.house, caller=feedback.bench.caller, name=made.name).retracted_votes == 1


def test_a_choice_of_what_was_shown_swapped_is_the_right_pair(feedback: FeedbackBench) -> None:
    review = feedback.reviews.with_items(12)
    anna = feedback.reviews.reviewer("anna")
    chosen, orders = {}, set()
    while seats := feedback.reviews.take(anna, review):
        (seat,) = seats
        orders.add(seat.shown_order)
        feedback.reviews.vote(anna, seat, SECOND)
        chosen[seat.prompt.text] = seat.candidates[1]
    assert orders == {(0, 1), (1, 0)}
    made = feedback.freeze(reviews=(review.name,), sources=())
    assert {row["prompt"]: row["chosen"] for row in feedback.rows(made)} == chosen


def test_only_the_reviews_and_sources_that_are_named_are_in_it(feedback: FeedbackBench) -> None:
    reviewer = feedback.reviews.reviewer("anna")
    one, two = feedback.reviews.with_items(2), feedback.reviews.with_items(2, review_id="other")
    of_one = feedback.reviews.vote_on_all(reviewer, one)
    feedback.reviews.vote_on_all(reviewer, two)
    from_app, _ = feedback.prefer(1), feedback.prefer(2, source="elsewhere")
    made = feedback.freeze(reviews=(one.name,))
    assert made.votes == len(of_one) + 1
    assert from_app.seq in feedback.members(made)


def test_votes_of_another_project_are_never_in_it(feedback: FeedbackBench) -> None:
    """Both call their application `app`."""
    bench = dataclasses.replace(feedback.bench, caller=add_project(feedback.house, "foreign"))
    foreign = FeedbackBench(dataclasses.replace(feedback.reviews, bench=bench))
    theirs, ours = foreign.prefer(1), feedback.prefer(1)
    assert feedback.members(feedback.freeze()) == [ours.seq]
    assert foreign.members(foreign.freeze()) == [theirs.seq]


def test_without_a_usable_vote_it_is_refused_with_what_there_is(feedback: FeedbackBench) -> None:
    feedback.submit("a", "x", "y", verdict=Verdict.EQUAL)
    feedback.submit("b", "x", "y", verdict=Verdict.EQUAL)
    feedback.submit("c", "x", rating=5)
    feedback.submit("d", "x", discard=DiscardReason.UNSAFE)
    feedback.retract(feedback.prefer(1))
    before = counts(feedback), stored(feedback)
    with pytest.raises(WrongState) as error:
        feedback.freeze()
    assert "3 votes (rating: 1, tie: 2)" in error.value.message
    assert "discarded: 1, retracted: 1" in error.value.message
    assert error.value.metadata == {"state": "NOTHING_USABLE", "rating": "1", "tie": "2"}
    with pytest.raises(WrongState, match="there is no vote that counts"):
        feedback.freeze(sources=("nobody",))
    assert (counts(feedback), stored(feedback)) == before


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"set_id": "Not An Id"}, "feedback_set_id"),
        ({"sources": ()}, "reviews"),
        ({"sources": ("No",)}, "sources[0]"),
        ({"sources": tuple(f"s{number}" for number in range(101))}, "sources"),
        ({"validation_share": 0.7}, "validation_share"),
        ({"good_rating": 1}, "good_rating"),
        ({"good_rating": 5, "bad_rating": 6}, "bad_rating"),
    ],
)
def test_a_wrong_field_is_named(feedback: FeedbackBench, draft: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as error:
        feedback.freeze(**draft)
    assert field in [each.field for each in error.value.violations]


def test_a_review_that_is_not_there_is_refused(feedback: FeedbackBench) -> None:
    feedback.reviews.with_items(1)
    with pytest.raises(NotFound, match=r"reviews\[0\].*did you mean 'helpfulness'"):
        feedback.freeze(reviews=("projects/-/reviews/helpfulnes",))


def test_repeating_a_request_returns_the_same_set_though_votes_have_come(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    request = a_request()
    made = feedback.freeze(request=request)
    feedback.prefer(2)
    assert feedback.freeze(request=request) == made
    assert counts(feedback)["feedback_set"] == 1
    with pytest.raises(RequestIdReused):
        feedback.freeze(request=dataclasses.replace(request, body_sha256="other"))


def test_a_set_and_a_dataset_share_their_ids(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    with pytest.raises(AlreadyExists):
        feedback.freeze("plays")
    feedback.freeze("prefs")
    with pytest.raises(AlreadyExists):
        feedback.freeze("prefs")
    with pytest.raises(AlreadyExists):
        add_dataset(feedback.house, "own", id="prefs")


def test_an_id_that_is_taken_meanwhile_leaves_nothing_behind(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    with pytest.raises(AlreadyExists):
        hooked(feedback, lambda: add_dataset(feedback.house, "own", id="prefs")).freeze()
    found = counts(feedback)
    assert (found["feedback_set"], found["feedback_set_vote"], found["upload"]) == (0, 0, 0)
    assert len(stored(feedback)) == found["dataset"]


def test_the_set_of_a_request_that_came_in_between_is_returned(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    request, other = a_request(), []
    made = hooked(feedback, lambda: other.append(feedback.freeze("prefs", request=request))).freeze(
        "prefs", request=request
    )
    assert [made] == other
    assert (counts(feedback)["feedback_set"], counts(feedback)["upload"]) == (1, 0)
    assert f"datasets/{made.uid}/text" in stored(feedback)
    assert len(stored(feedback)) == counts(feedback)["dataset"]


def test_a_vote_that_is_retracted_meanwhile_is_not_in_the_set(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    late = feedback.prefer(2)
    told = []
    once = iter([lambda: told.append(feedback.retract(late))])
    made = hooked(feedback, lambda: next(once, lambda: None)()).freeze()
    assert late.seq not in feedback.members(made)
    assert (made.votes, told[0].feedback_sets) == (1, ())
    assert counts(feedback)["upload"] == 0
    assert len(stored(feedback)) == counts(feedback)["dataset"]


def test_who_takes_back_votes_faster_than_they_are_read_is_told_to_wait(feedback: FeedbackBench) -> None:
    votes = [feedback.prefer(number) for number in range(9)]
    with pytest.raises(Unavailable):
        hooked(feedback, lambda: feedback.retract(votes.pop())).freeze()
    assert counts(feedback)["feedback_set"] == counts(feedback)["upload"] == 0


class Killed(BaseException):
    """What nobody catches, as the end of the process."""


def test_a_call_that_dies_before_its_commit_leaves_what_is_collected_later(
    feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise Killed

    feedback.prefer(1)
    monkeypatch.setattr("services.feedback.freezing._withdraw", lambda *_: None)
    with pytest.raises(Killed):
        hooked(feedback, die).freeze()
    before = stored(feedback)
    assert (counts(feedback)["feedback_set"], counts(feedback)["upload"]) == (0, 1)
    collect_dataset_files(feedback.house)
    assert stored(feedback) == before, "its call may still be running"
    with feedback.bench.storage.engine.begin() as connection:
        connection.execute(sa.update(upload).values(expire_time=A_TIME))
    expire_uploads(feedback.house)
    collect_dataset_files(feedback.house)
    assert len(stored(feedback)) == len(before) - 1 == counts(feedback)["dataset"]
    assert feedback.freeze().votes == 1


def test_a_set_whose_commit_is_not_answered_keeps_its_rows(
    feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    feedback.prefer(1)
    commit, commits = SqlUnitOfWork.commit, itertools.count(1)

    def commit_and_lose_the_second_answer(uow: SqlUnitOfWork) -> None:
        commit(uow)
        if next(commits) == 2:
            raise Unavailable("the database has closed the connection", retry_after_s=1.0)

    monkeypatch.setattr(SqlUnitOfWork, "commit", commit_and_lose_the_second_answer)
    request = a_request()
    with pytest.raises(Unavailable):
        feedback.freeze(request=request)
    made = feedback.freeze(request=request)
    assert hashlib.sha256(feedback.data(made)).hexdigest() == made.sha256


def test_nobody_collects_the_rows_before_their_commit(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    made = hooked(feedback, lambda: collect_dataset_files(feedback.house)).freeze()
    assert hashlib.sha256(feedback.data(made)).hexdigest() == made.sha256
    collect_dataset_files(feedback.house)
    assert feedback.data(made)


def test_a_set_is_not_deleted_as_a_dataset(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    made = feedback.freeze()
    with pytest.raises(WrongState, match="is a feedback set"):
        delete_dataset(feedback.house, caller=feedback.bench.caller, name=made.dataset, request=NO_REQUEST_KEY)
    assert feedback.data(made)


@pytest.mark.parametrize("table", [vote, vote_change, feedback_set, feedback_set_vote], ids=lambda table: table.name)
@pytest.mark.parametrize("deed", [sa.delete, sa.update])
def test_neither_ledger_nor_sets_can_be_changed(feedback: FeedbackBench, table: sa.Table, deed: Any) -> None:
    feedback.retract(feedback.prefer(1))
    feedback.prefer(2)
    feedback.freeze()
    column = next(iter(table.columns))
    statement = sa.delete(table) if deed is sa.delete else sa.update(table).values({column.name: column})
    with (
        pytest.raises(sa.exc.DBAPIError, match="are never changed"),
        feedback.bench.storage.engine.begin() as connection,
    ):
        connection.execute(statement)


def test_sets_are_listed_newest_first_and_only_those_of_the_project(feedback: FeedbackBench) -> None:
    feedback.prefer(1)
    made = [feedback.freeze(f"set-{number}") for number in range(3)]
    caller = feedback.bench.caller
    first, token = list_feedback_sets(feedback.house, caller=caller, parent="projects/-", page=PageRequest(size=2))
    rest, end = list_feedback_sets(
        feedback.house, caller=caller, parent="projects/-", page=PageRequest(size=2, token=token)
    )
    assert [*first, *rest] == made[::-1]
    assert end == ""
    foreign = add_project(feedback.house, "foreign")
    assert list_feedback_sets(feedback.house, caller=foreign, parent="projects/-", page=PageRequest()) == ((), "")
    with pytest.raises(NotFound):
        get_feedback_set(feedback.house, caller=foreign, name=made[0].name)
    with pytest.raises(NotFound, match="did you mean 'set-"):
        get_feedback_set(feedback.house, caller=caller, name="projects/-/feedbackSets/set-9")


def test_too_many_votes_are_refused(feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "FROZEN_VOTES_MAX", 2)
    for number in range(3):
        feedback.prefer(number)
    with pytest.raises(LimitReached):
        feedback.freeze()


def test_votes_are_read_in_several_pieces(feedback: FeedbackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        feedback.prefer(number % 3, better=number % 2)
        feedback.submit(f"prompt {number}", "x", correction=Correction(text="y"))
    whole = feedback.freeze("whole")
    monkeypatch.setattr(gathering, "_VOTES_AT_ONCE", 3)
    assert feedback.freeze("pieces").sha256 == whole.sha256
