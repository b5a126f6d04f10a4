"""Whatever reviewers do, in any order: a set says what a count by hand of the ledger says."""

import collections
import contextlib
import pathlib
import shutil
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.errors import DomainError
from services.domain.judgements import Correction, DiscardReason, Judgement, Verdict
from services.domain.reviews import Review, Vote, VoteState
from services.storage.unit_of_work import SqlStorage
from tests.support.feedback import FeedbackBench
from tests.support.houses import make_bench
from tests.support.reviews import FIRST, SECOND, make_review_bench

SAID = [
    FIRST,
    SECOND,
    Judgement(verdict=Verdict.EQUAL),
    Judgement(verdict=Verdict.BOTH_BAD),
    Judgement(verdict=Verdict.PREFERS, preferred=0, correction=Correction(text="better", candidate=0)),
    Judgement(discard=DiscardReason.BAD_PROMPT),
]
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("vote"), st.integers(0, 2), st.sampled_from(SAID)),
        st.tuples(st.just("undo"), st.integers(0, 30)),
        st.tuples(st.just("retract"), st.integers(0, 30)),
    ),
    min_size=5,
    max_size=30,
)


def counted_by_hand(votes: list[Vote]) -> dict[str, str]:
    """Return which answer to each prompt more votes prefer than say anything else about the two."""
    said: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for vote in votes:
        if vote.state is not VoteState.SUBMITTED or vote.repeat:
            continue
        judgement = vote.judgement
        chosen = vote.candidates[judgement.preferred].text if judgement.preferred is not None else ""
        assert judgement.verdict is not None
        said[vote.prompt.text][chosen or judgement.verdict.value] += 1
    found = {}
    for prompt, counts in said.items():
        (best, most), *others = counts.most_common()
        if best.startswith("answer") and (not others or others[0][1] < most):
            found[prompt] = best
    return found


def do(feedback: FeedbackBench, review: Review, deed: Any) -> None:
    reviews = feedback.reviews
    match deed:
        case ("vote", int() as who, judgement):
            by = reviews.reviewer(("anna", "ben", "cleo")[who])
            for seat in reviews.take(by, review):
                reviews.vote(by, seat, judgement)
        case ("undo", int() as which):
            ledger = reviews.ledger(review)
            if ledger:
                vote = ledger[which % len(ledger)]
                by = reviews.reviewer(vote.reviewer.rpartition("/")[2].rstrip("0"))
                with contextlib.suppress(DomainError):
                    reviews.undo(by, vote)
        case ("retract", int() as which):
            ledger = reviews.ledger(review)
            if ledger:
                feedback.retract(ledger[which % len(ledger)])


@settings(max_examples=8)
@given(deeds=DEEDS)
def test_a_set_says_what_a_count_by_hand_says(sqlite_template: pathlib.Path, deeds: list[Any]) -> None:
    folder = pathlib.Path(tempfile.mkdtemp(dir=sqlite_template.parent))
    shutil.copy(sqlite_template, folder / "tutelage.db")
    storage = SqlStorage.at(f"sqlite:///{folder / 'tutelage.db'}")
    try:
        feedback = FeedbackBench(make_review_bench(make_bench(storage, artifacts_dir=folder / "artifacts")))
        review = feedback.reviews.with_items(4, overlap=3, repeat_share=0.3)
        feedback.thumb(99, up=True)  # so that there is always something to learn from
        for deed in deeds:
            do(feedback, review, deed)
        made = feedback.freeze(reviews=(review.name,))
        ledger = feedback.reviews.ledger(review)
        pairs = [row for row in feedback.rows(made) if row["kind"] == "pair" and row["chosen"] != "better"]
        assert {row["prompt"]: row["chosen"] for row in pairs if row["rejected"] != "better"} == counted_by_hand(ledger)
        live = [each.seq for each in ledger if each.state is VoteState.SUBMITTED and not each.repeat]
        assert len(feedback.members(made)) == len(live) + 1 == made.votes
        assert set(live) <= set(feedback.members(made))
    finally:
        storage.close()
        shutil.rmtree(folder)
