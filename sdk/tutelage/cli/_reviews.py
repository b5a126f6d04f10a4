"""How a review is shown to a person."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tutelage._names import short_name, spoken_name
from tutelage.cli._output import age, duration, moment, one_line

if TYPE_CHECKING:
    import tutelage

COLUMNS = ("REVIEW", "STATE", "ASKS", "MODELS", "ITEMS", "VOTES", "REVIEWERS", "MADE")
OPEN_COLUMNS = ("REVIEW", "ASKS", "LEFT FOR ME", "MY VOTES")
TEXT_CHARACTERS_MAX = 60


def review_row(review: "tutelage.Review") -> Sequence[str]:
    """Returns the cells of a list."""
    progress = review.progress
    return (
        short_name(review.name),
        review.state,
        review.kind.lower(),
        models_of(review),
        f"{progress.items_done:,} of {progress.items:,}" if progress else "",
        votes_of(progress) if progress else "",
        str(progress.reviewers) if progress else "",
        age(review.create_time),
    )


def open_row(review: "tutelage.OpenReview") -> Sequence[str]:
    """Returns the cells of a reviewer's list."""
    more = " and more to come" if review.drawing else ""
    return (short_name(review.name), review.kind.lower(), f"{review.items_left:,}{more}", f"{review.votes:,}")


def review_details(review: "tutelage.Review") -> Mapping[str, str]:
    """Returns what an owner wants to know about one review."""
    progress = review.progress
    return {
        "review": short_name(review.name),
        "state": review.state,
        "asks": review.kind.lower(),
        "models": models_of(review),
        "prompts": short_name(review.draw.prompts) if review.draw else "",
        "samples": str(review.draw.samples or "") if review.draw else "",
        "items": f"{progress.items_done:,} of {progress.items:,} have all their votes" if progress else "",
        "votes": votes_of(progress) if progress else "",
        "seats": f"{progress.seats_held} held now" if progress and progress.seats_held else "",
        "overlap": f"{review.overlap} votes of each item",
        "further questions": ", ".join(question.key for question in review.rubric),
        "guidelines": guidelines_of(review),
        "reviewers": ", ".join(short_name(key) for key in review.reviewers) or "every key that may vote",
        "seat": f"held for {duration(review.seat_seconds)} without a sign" if review.seat_seconds else "",
        "job": short_name(review.job),
        "for the duel": short_name(review.duel),
        "made": f"{moment(review.create_time)} by {short_name(review.creator)}" if review.create_time else "",
    }


def models_of(review: "tutelage.Review") -> str:
    """Returns the models whose answers are judged."""
    return ", ".join(spoken_name(model) for model in review.draw.models) if review.draw else ""


def votes_of(progress: "tutelage.ReviewProgress") -> str:
    """Returns the votes that there are, of those that will be."""
    return f"{progress.votes:,} of {progress.votes + progress.votes_wanted:,}"


def guidelines_of(review: "tutelage.Review") -> str:
    """Returns how the guidelines begin, and which version they are."""
    if not review.guidelines:
        return ""
    text = one_line(review.guidelines)
    short = text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"
    return f"version {review.guidelines_version}: {short}"
