"""What somebody thinks of an answer, from the words of a caller to a message."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tutelage._errors import local_refusal
from tutelage._names import model_version_name

NAMESPACE = uuid.UUID("6a1f5d0c-2b0e-4a53-9b0a-0d7c6f1d6c55")
THUMBS = {1: "THUMB_UP", -1: "THUMB_DOWN"}
VERDICTS = {"equal": "VERDICT_EQUAL", "both_bad": "VERDICT_BOTH_BAD"}
TURN = {"role", "content"}


def event_id(request_id: str | None) -> str:
    """Returns a UUID for an event: a new one, the caller's own, or one that follows from any other text of theirs."""
    if request_id is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(request_id))
    except ValueError:
        return str(uuid.uuid5(NAMESPACE, request_id))


def build_prompt(prompt: str | Sequence[Mapping[str, str]]) -> Any:
    """Returns a Prompt. Raises: InvalidArgument for what is neither a text nor a list of turns."""
    from tutelage.v1 import feedback_pb2

    if isinstance(prompt, str):
        return feedback_pb2.Prompt(text=prompt)
    turns: list[Any] = list(prompt) if isinstance(prompt, Sequence) else []
    if not turns or not all(isinstance(turn, Mapping) and set(turn) == TURN for turn in turns):
        raise local_refusal("prompt", "must be a text, or a list of turns, each with `role` and `content`")
    return feedback_pb2.Prompt(messages=[feedback_pb2.ChatMessage(**turn) for turn in turns])


def build_candidates(responses: Sequence[str], model: str | Sequence[str]) -> list[Any]:
    """Returns the answers with the versions that wrote them; one version may have written all."""
    from tutelage.v1 import feedback_pb2

    models = [model] * len(responses) if isinstance(model, str) else list(model)
    if len(models) != len(responses):
        raise local_refusal("model", f"names {len(models)} models for {len(responses)} responses")
    names = [model_version_name(str(getattr(each, "name", each)), version=None) if each else "" for each in models]
    return [feedback_pb2.Candidate(text=text, model_version=name) for text, name in zip(responses, names, strict=True)]


def build_judgement(
    *,
    rating: int | None = None,
    score: int | None = None,
    preferred: int | None = None,
    verdict: str | None = None,
    strength: int | None = None,
    ranking: Sequence[int] = (),
    correction: str | None = None,
    corrected: int = 0,
    rubric: Mapping[str, int] | None = None,
    rationale: str = "",
) -> Any:
    """Returns a Judgement with exactly what was given; candidates are counted from 0.

    Raises: InvalidArgument for a thumb that is neither 1 nor -1, and for a verdict that does not exist.
    """
    from tutelage.v1 import feedback_pb2

    judgement = feedback_pb2.Judgement(ranking=ranking, rubric=rubric or {}, rationale=rationale)
    if rating is not None:
        judgement.thumb = thumb_number(rating)
    if verdict is not None and verdict not in VERDICTS:
        raise local_refusal("verdict", f"{verdict!r} is none of {', '.join(VERDICTS)}")
    if verdict is not None:
        judgement.verdict = feedback_pb2.Verdict.Value(VERDICTS[verdict])
    if preferred is not None:
        judgement.verdict = judgement.verdict or feedback_pb2.VERDICT_PREFERS
    for name, value in (("rating", score), ("preferred", preferred), ("strength", strength)):
        if value is not None:
            set_number(judgement, name, value)
    if correction is not None:
        judgement.correction.candidate, judgement.correction.text = corrected, correction
    return judgement


def thumb_number(rating: int) -> Any:
    """Returns the number of a thumb."""
    from tutelage.v1 import feedback_pb2

    if rating not in THUMBS:
        raise local_refusal("rating", f"{rating!r} is neither 1 (good) nor -1 (bad); score takes a rating from 1 to 9")
    return feedback_pb2.Thumb.Value(THUMBS[rating])


def set_number(message: Any, name: str, value: int) -> None:
    """Sets a number of a judgement. Raises: InvalidArgument if it is none."""
    try:
        setattr(message, name, value)
    except (TypeError, ValueError) as error:
        raise local_refusal("score" if name == "rating" else name, f"{value!r} is not usable: {error}") from error


def write_enum(enum: Any, value: str | None, *, field: str) -> int:
    """Returns the number of a word such as `pair`; 0 if none was given. Raises: InvalidArgument for another word."""
    if not value:
        return 0
    prefix = str(enum.DESCRIPTOR.values_by_number[0].name).removesuffix("UNSPECIFIED")
    words = [name.removeprefix(prefix).lower() for name in enum.keys()[1:]]
    word = str(value).lower().replace("-", "_")
    if word not in words:
        raise local_refusal(field, f"{value!r} is none of {', '.join(word.replace('_', '-') for word in words)}")
    return int(enum.Value(prefix + word.upper()))
