"""Reviews: made with their job or not at all, and shown with how far they have come."""

import dataclasses
import uuid

import pytest

from services.domain.drawing import DrawDraft
from services.domain.errors import AlreadyExists, InvalidField, NotFound, RequestIdReused, WrongState
from services.domain.judgements import Judgement, ReviewKind, Thumb, Verdict
from services.domain.pages import PageRequest
from services.domain.projects import Role
from services.domain.requests import RequestKey
from services.domain.review_resolution import ReviewDraft
from services.domain.reviews import ReviewItem, ReviewState, RubricQuestion
from services.reviews.create_review import create_review
from services.reviews.get_review import get_review
from services.reviews.list_open_reviews import list_open_reviews
from services.reviews.list_review_items import list_review_items
from services.reviews.list_reviews import list_reviews
from services.reviews.set_gold_answer import set_gold_answer
from services.reviews.update_review import update_review
from tests.support.houses import add_project
from tests.support.reviews import FIRST, ReviewBench

A_REQUEST = RequestKey(request_id=str(uuid.UUID(int=7)), body_sha256="a" * 64)


def test_a_review_comes_with_a_job_that_draws(reviews: ReviewBench) -> None:
    review = reviews.create(guidelines="# Be kind")
    job = reviews.bench.job(review.job_uid)
    assert (job.kind, job.spec) == ("draw", review.draw)
    assert (review.kind, review.state, review.overlap) == (ReviewKind.PAIR, ReviewState.DRAWING, 1)
    assert get_review(reviews.house, caller=reviews.bench.caller, name=review.name) == review


def test_a_refused_review_leaves_no_job_behind(reviews: ReviewBench) -> None:
    reviews.create()
    with reviews.house.storage.read() as uow:
        before = uow.jobs.count_ahead(reviews.bench.job(reviews.create("second").job_uid))
    with pytest.raises(AlreadyExists):
        reviews.create()
    with reviews.house.storage.read() as uow:
        assert uow.jobs.count_ahead(reviews.bench.job(reviews.create("third").job_uid)) == before + 1


def test_a_repeated_request_is_the_same_review(reviews: ReviewBench) -> None:
    draft = ReviewDraft(draw=DrawDraft(models=(reviews.model,), prompts=reviews.prompts.name))
    caller = reviews.caller("CreateReview")
    made = [
        create_review(reviews.house, caller=caller, parent="projects/-", draft=draft, request=A_REQUEST)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    other = dataclasses.replace(A_REQUEST, body_sha256="b" * 64)
    with pytest.raises(RequestIdReused):
        create_review(reviews.house, caller=caller, parent="projects/-", draft=draft, request=other)


def test_every_wrong_field_is_named(reviews: ReviewBench) -> None:
    rubric = (RubricQuestion(key="Loud"), RubricQuestion(key="a"), RubricQuestion(key="a", description="x" * 501))
    with pytest.raises(InvalidField) as refusal:
        reviews.create(overlap=21, repeat_share=0.6, seat_seconds=5, guidelines="\0", rubric=rubric)
    assert [each.field for each in refusal.value.violations] == [
        "review.overlap",
        "review.repeat_share",
        "review.seat_seconds",
        "review.guidelines",
        "review.rubric[0].key",
        "review.rubric[2].key",
        "review.rubric[2].description",
    ]


@pytest.mark.parametrize(
    ("kind", "samples", "field"),
    [
        (ReviewKind.PAIR, 1, "review.kind"),
        (ReviewKind.PAIR, 3, "review.draw.samples"),
        (ReviewKind.RANKING, 2, "review.kind"),
        (ReviewKind.RANKING, 12, "review.kind"),
    ],
)
def test_what_is_asked_must_fit_what_is_drawn(reviews: ReviewBench, kind: ReviewKind, samples: int, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        reviews.create(kind=kind, samples=samples)
    assert [each.field for each in refusal.value.violations] == [field]


def test_reviewers_are_keys_that_may_vote(reviews: ReviewBench) -> None:
    anna, viewer = reviews.reviewer("anna"), reviews.reviewer("viewer", role=Role.VIEWER)
    wrong = ("projects/-/apiKeys/nobody", viewer.api_key, anna.api_key)
    with pytest.raises(InvalidField) as refusal:
        reviews.create(reviewers=wrong)
    assert [each.field for each in refusal.value.violations] == ["review.reviewers[0]", "review.reviewers[1]"]
    with pytest.raises(InvalidField, match="must be at least 2"):
        reviews.create(reviewers=(anna.api_key,), overlap=2)
    short = f"projects/-/apiKeys/{anna.key.id}"
    assert reviews.create(reviewers=(short, anna.api_key)).reviewers == (anna.api_key,)


def test_a_dataset_without_prompts_is_refused(reviews: ReviewBench) -> None:
    draw = DrawDraft(models=(reviews.model,), prompts="projects/-/datasets/plays")
    with pytest.raises(WrongState, match="holds no prompts"):
        reviews.create(draw=draw)


def test_the_state_follows_the_job(reviews: ReviewBench) -> None:
    def state(name: str) -> ReviewState:
        return get_review(reviews.house, caller=reviews.bench.caller, name=name).state

    drawn, empty, broken = reviews.with_items(1), reviews.create("empty"), reviews.create("broken")
    assert [state(each.name) for each in (drawn, empty)] == [ReviewState.DRAWING] * 2
    reviews.end_job(drawn, "FAILED")
    reviews.end_job(empty, "SUCCEEDED")
    reviews.end_job(broken, "CANCELLED")
    found = [state(each.name) for each in (drawn, empty, broken)]
    assert found == [ReviewState.OPEN, ReviewState.OPEN, ReviewState.FAILED]
    update_review(reviews.house, caller=reviews.caller("UpdateReview"), name=broken.name, closed=True)
    assert state(broken.name) is ReviewState.CLOSED


def test_answers_told_again_change_nothing(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(3), reviews.reviewer("anna")
    reviews.vote(anna, reviews.take(anna, review)[0])
    before = reviews.items(review)
    reviews.draw(review, 4)
    after = reviews.items(review)
    assert after[:3] == before
    assert [item.number for item in after] == [1, 2, 3, 4]
    assert len(reviews.vote_on_all(anna, review)) == 3


def test_pairs_of_one_model_are_made_two_by_two(reviews: ReviewBench) -> None:
    review = reviews.create(samples=4)
    reviews.draw(review, 2)
    found = [(item.number, [candidate.seed for candidate in item.candidates]) for item in reviews.items(review)]
    assert found == [(1, [0, 1]), (2, [2, 3]), (3, [0, 1]), (4, [2, 3])]


def test_answers_that_are_the_same_make_no_item(reviews: ReviewBench) -> None:
    review = reviews.create(samples=4)
    reviews.draw(review, 1, texts=("a", "a", "a", "b"))
    assert [item.number for item in reviews.items(review)] == [2]


def test_single_answers_and_rankings(reviews: ReviewBench) -> None:
    anna = reviews.reviewer("anna")
    single = reviews.create("single", kind=ReviewKind.SINGLE)
    ranking = reviews.create("ranking", kind=ReviewKind.RANKING, samples=3)
    for review in (single, ranking):
        reviews.draw(review, 1)
    assert len(reviews.vote_on_all(anna, single, Judgement(thumb=Thumb.UP, rating=8))) == 2
    (seat,) = reviews.take(anna, ranking)
    reviews.vote(anna, seat, Judgement(ranking=(2, 0, 1)))
    (kept,) = reviews.ledger(ranking)
    assert [kept.candidates[place].text for place in kept.judgement.ranking] == [seat.candidates[i] for i in (2, 0, 1)]


def test_progress_counts_what_is_done_and_what_is_wanted(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(3, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.vote_on_all(anna, review)
    first, _second = reviews.take(ben, review, seats=2)
    given = reviews.vote(ben, first)
    progress = get_review(reviews.house, caller=reviews.bench.caller, name=review.name).progress
    assert progress is not None
    assert dataclasses.astuple(progress) == (3, 1, 4, 2, 2, 1)
    reviews.undo(ben, given)
    (listed,), _ = list_reviews(reviews.house, caller=reviews.bench.caller, parent="projects/-", page=PageRequest())
    assert listed.progress is not None
    assert dataclasses.astuple(listed.progress) == (3, 0, 3, 3, 1, 2)


def test_items_show_their_owner_the_models_and_the_votes_that_count(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.with_items(3, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.vote_on_all(anna, review)
    reviews.undo(ben, reviews.vote(ben, reviews.take(ben, review)[0]))
    caller, token = reviews.bench.caller, ""
    found: list[ReviewItem] = []
    while True:
        page = PageRequest(size=2, token=token)
        items, token = list_review_items(reviews.house, caller=caller, parent=review.name, page=page)
        found += items
        if not token:
            break
    assert [(item.number, item.votes) for item in found] == [(1, 1), (2, 1), (3, 1)]
    assert found[0].candidates[0].model_version == "projects/own/models/chat/versions/1"
    assert found[0].candidates[0].logprob == -1.5


def test_a_gold_answer_is_kept_and_removed(reviews: ReviewBench) -> None:
    review, caller = reviews.with_items(2), reviews.caller("SetGoldAnswer")
    name = f"{review.name}/items/2"
    set_gold_answer(reviews.house, caller=caller, name=name, gold=FIRST)
    assert [item.gold for item in reviews.items(review)] == [None, FIRST]
    with reviews.house.storage.read() as uow:
        assert list(uow.reviews.golds(review.uid).values()) == [FIRST]
    set_gold_answer(reviews.house, caller=caller, name=name, gold=None)
    assert [item.gold for item in reviews.items(review)] == [None, None]
    with pytest.raises(InvalidField, match="gold.rating"):
        set_gold_answer(reviews.house, caller=caller, name=name, gold=Judgement(rating=3))
    for missing in ("3", "0", "9" * 60, "x"):
        with pytest.raises(NotFound):
            set_gold_answer(reviews.house, caller=caller, name=f"{review.name}/items/{missing}", gold=FIRST)


def test_reviewers_find_their_work_and_no_other(reviews: ReviewBench) -> None:
    anna, ben = reviews.reviewer("anna"), reviews.reviewer("ben")
    everybody = reviews.with_items(3, overlap=2)
    own = reviews.create("own", reviewers=(anna.api_key,), repeat_share=0.5)
    closed = reviews.create("closed")
    update_review(reviews.house, caller=reviews.caller("UpdateReview"), name=closed.name, closed=True)
    reviews.vote(anna, reviews.take(anna, everybody)[0])
    found = {each.review.id: each for each in list_open_reviews(reviews.house, caller=anna, parent="projects/-")}
    assert set(found) == {everybody.id, own.id}
    assert (found[everybody.id].items_left, found[everybody.id].votes) == (2, 1)
    assert (found[own.id].items_left, found[own.id].review.drawing) == (0, True)
    assert [each.review.id for each in list_open_reviews(reviews.house, caller=ben, parent="projects/-")] == [
        everybody.id
    ]


def test_reviews_that_take_no_votes_hide_no_others(reviews: ReviewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.storage.reviews.OPEN_REVIEWS_MAX", 2)
    for number in range(4):
        reviews.create(f"open-{number}")
    for number in range(3):
        reviews.end_job(reviews.create(f"failed-{number}"), "FAILED")
    found = list_open_reviews(reviews.house, caller=reviews.reviewer("anna"), parent="projects/-")
    assert [each.review.id for each in found] == ["open-3", "open-2"]


def test_another_project_sees_nothing(reviews: ReviewBench) -> None:
    review, stranger = reviews.with_items(1), add_project(reviews.house, "other")
    for attempt in (
        lambda: get_review(reviews.house, caller=stranger, name=review.name),
        lambda: reviews.take(stranger, review),
        lambda: get_review(reviews.house, caller=stranger, name="projects/-/reviews/helpfulness"),
    ):
        with pytest.raises(NotFound, match="does not exist in your project"):
            attempt()
    assert list_open_reviews(reviews.house, caller=stranger, parent="projects/-") == ()


def test_repetitions_come_unsaid_later_and_in_the_other_order(reviews: ReviewBench) -> None:
    review, anna = reviews.with_items(40, repeat_share=0.5), reviews.reviewer("anna")
    seen: list[tuple[int, tuple[str, ...]]] = []
    while seats := reviews.take(anna, review):
        seen.append((seats[0].item.number, seats[0].candidates))
        reviews.vote(anna, seats[0], Judgement(verdict=Verdict.EQUAL))
    again = {number: place for place, (number, _) in enumerate(seen) if number in [n for n, _ in seen[:place]]}
    assert 10 < len(again) < 30
    for number, place in again.items():
        first = next(at for at, (other, _) in enumerate(seen) if other == number)
        assert seen[place][1] == seen[first][1][::-1]
    early = [place - next(at for at, (n, _) in enumerate(seen) if n == number) for number, place in again.items()]
    assert sum(distance > 10 for distance in early) > len(early) / 2
    votes = reviews.ledger(review)
    assert sum(each.repeat for each in votes) == len(again)
    progress = get_review(reviews.house, caller=reviews.bench.caller, name=review.name).progress
    assert progress is not None and (progress.votes, progress.votes_wanted) == (40, 0)
    assert all(not item.votes > 1 for item in reviews.items(review))


def test_a_repetition_takes_nobodys_place_and_can_be_skipped_and_undone(reviews: ReviewBench) -> None:
    review, anna, ben = reviews.create(repeat_share=0.5, overlap=2), reviews.reviewer("anna"), reviews.reviewer("ben")
    reviews.draw(review, 12)
    votes = reviews.vote_on_all(anna, review)
    assert len(votes) > 12
    back = reviews.undo(anna, votes[-1])
    assert back.repeat
    reviews.skip(anna, back)
    (again,) = reviews.take(anna, review)
    assert again.uid == back.uid
    reviews.expire(again)
    reviews.vote(anna, again)
    assert len(reviews.take(ben, review, seats=10)) == 10
