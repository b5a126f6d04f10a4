# Generated from tutelage/_async/reviews.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""Reviews: people judge what models wrote."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Unpack

from tutelage._drawing import DrawingOptions, Models, build_draw_spec, samples_for
from tutelage._judgements import build_judgement, write_enum
from tutelage._names import key_name, review_name, vote_name
from tutelage._prompts import Prompts
from tutelage._sync.pages import walk_pages
from tutelage._sync.prompts import prompts_dataset
from tutelage._sync.transport import Transport
from tutelage._values.feedback import Judgement, Vote
from tutelage._values.review_stats import ReviewStats
from tutelage._values.reviews import OpenReview, Review, ReviewItem, Seat, TakeSeatsResponse
from tutelage.v1 import feedback_pb2, reviews_pb2


class Reviews:
    """Makes reviews, hands out their items, and takes votes. A review is named by its id or its full name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        models: Models,
        *,
        prompts: Prompts,
        name: str = "",
        pairs: int | None = None,
        samples: int | None = None,
        kind: Literal["pair", "single", "ranking"] | None = None,
        overlap: int | None = None,
        guidelines: str = "",
        rubric: Mapping[str, str] | Sequence[str] = (),
        reviewers: Sequence[str] = (),
        repeat_share: float | None = None,
        seat_seconds: int | None = None,
        prompts_max: int | None = None,
        checker: str | None = None,
        reward_model: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
        **options: Unpack[DrawingOptions],
    ) -> Review:
        """Makes a review, and a job that draws what is reviewed; items appear while it runs.

        `models` is a model, a version (`chat@v3`) or an alias, or several, whose answers then meet in pairs. `prompts`
        is a dataset, a path, or a list of texts or conversations; a path or a list is uploaded once. `pairs` is how
        many pairs to make of each prompt, `overlap` how many votes each item wants, `rubric` further questions with
        their keys, `reviewers` API keys. `options` say how answers are drawn, as in `sample`. Raises: NotFound for a
        model or the prompts, InvalidArgument with each wrong field, AlreadyExists for the name.
        """
        review = reviews_pb2.Review(
            kind=write_enum(reviews_pb2.ReviewKind, kind, field="kind"),  # type: ignore[arg-type]
            guidelines=guidelines,
            rubric=rubric_of(rubric),
            reviewers=[key_name(key) for key in reviewers],
        )
        for field, value in (("overlap", overlap), ("repeat_share", repeat_share), ("seat_seconds", seat_seconds)):
            if value is not None:
                setattr(review, field, value)
        spec = build_draw_spec(
            models,
            prompts_dataset(self._transport, prompts),
            samples=samples_for(models, pairs=pairs, samples=samples),
            prompts_max=prompts_max,
            checker=checker,
            reward_model=reward_model,
            options=options,
        )
        review.draw.CopyFrom(spec)
        request = reviews_pb2.CreateReviewRequest(
            parent="projects/-", review_id=name, review=review, request_id=request_id or str(uuid.uuid4())
        )
        return Review.from_message(self._call("CreateReview", request, timeout))

    def get(self, review: str, *, timeout: float | None = None) -> Review:
        """Returns one review, with how far it has come. Raises: NotFound."""
        request = reviews_pb2.GetReviewRequest(name=review_name(review))
        return Review.from_message(self._call("GetReview", request, timeout))

    def list(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Review]:
        """Yields reviews, newest first."""
        request = reviews_pb2.ListReviewsRequest(parent="projects/-", page_size=page_size)
        for message in walk_pages(self._transport, "Reviews", "ListReviews", request, timeout=timeout):
            yield Review.from_message(message)

    def update(
        self,
        review: str,
        *,
        overlap: int | None = None,
        guidelines: str | None = None,
        closed: bool | None = None,
        timeout: float | None = None,
    ) -> Review:
        """Asks for more votes of each item, writes new guidelines, closes or opens a review. What is None stays.

        Raises: NotFound, FailedPrecondition for an overlap below the one that it has.
        """
        request = reviews_pb2.UpdateReviewRequest(
            name=review_name(review),
            overlap=overlap,
            guidelines=guidelines,
            closed=closed,
            request_id=str(uuid.uuid4()),
        )
        return Review.from_message(self._call("UpdateReview", request, timeout))

    def stats(self, review: str, *, timeout: float | None = None) -> ReviewStats:
        """Returns what the votes say: agreement, win rates, gold items, bias. Raises: NotFound."""
        request = reviews_pb2.GetReviewStatsRequest(name=review_name(review))
        return ReviewStats.from_message(self._call("GetReviewStats", request, timeout))

    def items(self, review: str, *, page_size: int = 0, timeout: float | None = None) -> Iterator[ReviewItem]:
        """Yields the items with the models behind their candidates, in order. Raises: NotFound."""
        request = reviews_pb2.ListReviewItemsRequest(parent=review_name(review), page_size=page_size)
        for message in walk_pages(self._transport, "Reviews", "ListReviewItems", request, timeout=timeout):
            yield ReviewItem.from_message(message)

    def set_gold_answer(self, item: str, *, timeout: float | None = None, **judgement: Any) -> ReviewItem:
        """Says what the right answer of an item (`helpfulness/items/3`) is; without any, there is none.

        The judgement is given as in `submit_vote`, with candidates counted in the order of the item. Raises: NotFound,
        InvalidArgument for an answer that the review does not take.
        """
        gold = judgement_of(judgement) if judgement else None
        request = reviews_pb2.SetGoldAnswerRequest(name=review_name(item), gold=gold, request_id=str(uuid.uuid4()))
        return ReviewItem.from_message(self._call("SetGoldAnswer", request, timeout))

    def list_open(self, *, timeout: float | None = None) -> tuple[OpenReview, ...]:
        """Returns the reviews that the caller may work on, with what is left for them."""
        request = reviews_pb2.ListOpenReviewsRequest(parent="projects/-")
        answer = self._call("ListOpenReviews", request, timeout)
        return tuple(OpenReview.from_message(message) for message in answer.reviews)

    def take_seats(self, review: str, *, seats: int | None = None, timeout: float | None = None) -> TakeSeatsResponse:
        """Returns the seats that the caller holds, renewed, and new ones, up to `seats` in all (default 1).

        No seats mean that nothing is left. Raises: NotFound for a review that is not the caller's, FailedPrecondition
        if it is closed.
        """
        request = reviews_pb2.TakeSeatsRequest(name=review_name(review), seats=seats, request_id=str(uuid.uuid4()))
        return TakeSeatsResponse.from_message(self._call("TakeSeats", request, timeout))

    def save_draft(
        self,
        seat: str | Seat,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
        **judgement: Any,
    ) -> Seat:
        """Keeps an unfinished judgement with its seat, and renews it. Raises: what `submit_vote` raises."""
        request = reviews_pb2.SaveDraftRequest(
            name=name_of(seat), draft=judgement_of(judgement), request_id=request_id or str(uuid.uuid4())
        )
        return Seat.from_message(self._call("SaveDraft", request, timeout))

    def submit_vote(
        self,
        seat: str | Seat,
        *,
        active_seconds: float = 0.0,
        scripted: bool = False,
        request_id: str | None = None,
        timeout: float | None = None,
        **judgement: Any,
    ) -> Vote:
        """Records a vote and gives the seat back.

        The judgement is given in the words of `client.feedback.submit` (`preferred=0`, `strength=3`, `score=7`,
        `correction="…"`, `discard="language"` …), candidates counted from 0 in the order of the seat, or whole as
        `judgement=`. `scripted` says that a program voted. Repeating it with the same `request_id` returns the same
        vote. Raises: FailedPrecondition (SEAT_LOST) if somebody else has the seat by now, NotFound for a seat that is
        not the caller's, InvalidArgument with each wrong field.
        """
        request = reviews_pb2.SubmitVoteRequest(
            name=name_of(seat),
            judgement=judgement_of(judgement),
            active_seconds=active_seconds,
            scripted=scripted,
            request_id=request_id or str(uuid.uuid4()),
        )
        return Vote.from_message(self._call("SubmitVote", request, timeout))

    def undo_vote(self, vote: str | Vote, *, request_id: str | None = None, timeout: float | None = None) -> Seat:
        """Takes back the caller's own vote and returns the seat, with the vote as its draft.

        Raises: NotFound for a vote that is not the caller's, FailedPrecondition if the review is closed.
        """
        name = vote if isinstance(vote, str) else vote.name
        request = reviews_pb2.UndoVoteRequest(name=vote_name(name), request_id=request_id or str(uuid.uuid4()))
        return Seat.from_message(self._call("UndoVote", request, timeout))

    def skip_seat(self, seat: str | Seat, *, request_id: str | None = None, timeout: float | None = None) -> None:
        """Gives a seat back without a vote: the item comes again at the end of the caller's queue."""
        request = reviews_pb2.SkipSeatRequest(name=name_of(seat), request_id=request_id or str(uuid.uuid4()))
        self._call("SkipSeat", request, timeout)

    def own_votes(self, review: str, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Vote]:
        """Yields the caller's own votes in a review, newest first. Raises: NotFound."""
        request = reviews_pb2.ListOwnVotesRequest(parent=review_name(review), page_size=page_size)
        for message in walk_pages(self._transport, "Reviews", "ListOwnVotes", request, timeout=timeout):
            yield Vote.from_message(message)

    def _call(self, method: str, request: Any, timeout: float | None) -> Any:
        return self._transport.call("Reviews", method, request, timeout=timeout)


def name_of(seat: str | Seat) -> str:
    """Returns the full name of a seat."""
    return review_name(seat if isinstance(seat, str) else seat.name)


def rubric_of(rubric: Mapping[str, str] | Sequence[str]) -> list[Any]:
    """Returns further questions: keys with what they ask, or keys alone."""
    asked = rubric if isinstance(rubric, Mapping) else dict.fromkeys(rubric, "")
    return [reviews_pb2.RubricQuestion(key=key, description=text) for key, text in asked.items()]


def judgement_of(given: Mapping[str, Any]) -> Any:
    """Returns the message of a judgement that was given in words, or whole."""
    whole = given.get("judgement")
    if isinstance(whole, Judgement):
        return whole._message
    if isinstance(whole, feedback_pb2.Judgement):
        return whole
    words = dict(given)
    discard = write_enum(feedback_pb2.DiscardReason, words.pop("discard", None), field="discard")
    judgement = build_judgement(**words)
    judgement.discard = discard
    return judgement
