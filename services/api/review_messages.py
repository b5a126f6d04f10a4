"""Votes and judgements as messages: what the servicers of reviews and of feedback share."""

from services.api.translation import from_message, to_message
from services.domain.judgements import Judgement
from services.domain.reviews import OpenReview, Vote
from tutelage.v1 import feedback_pb2, reviews_pb2


def vote_message(vote: Vote) -> feedback_pb2.Vote:
    """Return the message that tells a vote; its item is told by name."""
    return to_message(vote, feedback_pb2.Vote, item=vote.item.name)


def judgement_of(message: feedback_pb2.Judgement) -> Judgement:
    """Return the judgement that a message tells; an empty one says nothing."""
    return from_message(message, Judgement)


def open_review_message(seen: OpenReview) -> reviews_pb2.OpenReview:
    """Return the message that tells a reviewer of work; nothing of the models is in it."""
    return to_message(
        seen.review,
        reviews_pb2.OpenReview,
        items_left=seen.items_left,
        votes=seen.votes,
        drawing=seen.review.drawing,
    )
