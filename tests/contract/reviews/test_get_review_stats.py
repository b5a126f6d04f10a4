"""What the votes of a review say, from the ledger on."""

import dataclasses

import pytest

from services.api.translation import to_message
from services.domain.errors import NotFound
from services.domain.judgements import Judgement, Verdict
from services.domain.reviews import VoteState
from services.reviews.get_review_stats import get_review_stats
from services.reviews.set_gold_answer import set_gold_answer
from tests.support.houses import Bench, add_project
from tests.support.reviews import FIRST, SECOND, make_review_bench
from tutelage.v1 import reviews_pb2


def shown_first(place: int) -> Judgement:
    return Judgement(verdict=Verdict.PREFERS, preferred=place)


def test_stats_follow_the_ledger(bench: Bench) -> None:
    reviews = make_review_bench(bench)
    review = reviews.with_items(6, overlap=2)
    anna, bert = reviews.reviewer("anna"), reviews.reviewer("bert")
    reviews.vote_on_all(anna, review, FIRST)
    reviews.vote_on_all(bert, review, FIRST)
    found = get_review_stats(reviews.house, caller=bench.caller, name=review.name)
    assert found.first_share is not None and found.first_share.value == 1.0
    assert found.raw_agreement is not None and found.krippendorff_alpha is not None
    assert [(each.reviewer, each.votes) for each in found.reviewers] == sorted(
        (each.api_key, 6) for each in (anna, bert)
    )
    assert found.progress is not None and found.progress.votes == 12
    assert found.versions == ()  # one version only


def test_votes_that_do_not_count_are_left_out(bench: Bench) -> None:
    reviews = make_review_bench(bench)
    review = reviews.with_items(4)
    anna = reviews.reviewer("anna")
    votes = reviews.vote_on_all(anna, review, FIRST)
    reviews.undo(anna, votes[0])
    with reviews.house.storage.write() as uow:
        time = uow.now()
        uow.votes.change(votes[1].uid, state=VoteState.RETRACTED, actor="somebody", reason="spam", time=time)
        uow.commit()
    found = get_review_stats(reviews.house, caller=bench.caller, name=review.name)
    assert found.reviewers[0].votes == 2


def test_gold_items_judge_reviewers(bench: Bench) -> None:
    reviews = make_review_bench(bench)
    review = reviews.with_items(1)
    anna = reviews.reviewer("anna")
    (seat,) = reviews.take(anna, review)
    reviews.vote(anna, seat, SECOND)
    chosen = seat.shown_order[1]
    caller = reviews.caller("SetGoldAnswer")
    for gold, accuracy in ((chosen, 1.0), (1 - chosen, 0.0)):
        set_gold_answer(reviews.house, caller=caller, name=reviews.items(review)[0].name, gold=shown_first(gold))
        found = get_review_stats(reviews.house, caller=bench.caller, name=review.name)
        assert (found.gold_accuracy, found.reviewers[0].gold_votes) == (accuracy, 1)


def test_the_answer_has_every_field(bench: Bench) -> None:
    reviews = make_review_bench(bench)
    review = reviews.with_items(3)
    reviews.vote_on_all(reviews.reviewer("anna"), review, FIRST)
    found = get_review_stats(reviews.house, caller=bench.caller, name=review.name)
    message = to_message(found, reviews_pb2.ReviewStats)
    assert message.reviewers[0].votes == 3 and message.first_share.value == 1.0
    assert not message.HasField("krippendorff_alpha") and message.progress.votes == 3
    names = {field.name for field in dataclasses.fields(found)}
    assert names == set(reviews_pb2.ReviewStats.DESCRIPTOR.fields_by_name)


def test_a_stranger_learns_nothing(bench: Bench) -> None:
    reviews = make_review_bench(bench)
    review = reviews.with_items(1)
    stranger = add_project(reviews.house, "foreign")
    with pytest.raises(NotFound):
        get_review_stats(reviews.house, caller=stranger, name=review.name)
