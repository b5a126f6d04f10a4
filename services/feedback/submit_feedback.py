"""Records what an application's own user thought of an answer."""

import dataclasses
from collections.abc import Iterator, Sequence

from services.domain import names
from services.domain.answers import Candidate, Prompt
from services.domain.errors import FieldViolation, InvalidField
from services.domain.judgements import (
    Judgement,
    judgement_violations,
    kind_of_candidates,
    text_violations,
)
from services.domain.limits import (
    ANSWER_CHARACTERS_MAX,
    CANDIDATES_MAX,
    END_USER_CHARACTERS_MAX,
    PROMPT_TURNS_MAX,
)
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.reviews import ReviewItem, Vote, VoteState, texts_of
from services.domain.words import check_words
from services.models.find_version import find_version
from services.ports import House, UnitOfWork

SOURCE_DEFAULT = "app"
_REVIEW = "review"  # the source of votes that were given in a review
_ROLES = ("system", "user", "assistant")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedbackDraft:
    """Feedback as an application sends it; candidates are counted as they were shown, which is as they come."""

    parent: str
    prompt: Prompt = Prompt()
    candidates: tuple[Candidate, ...] = ()
    judgement: Judgement = Judgement()
    source: str = ""
    end_user: str = ""
    scripted: bool = False


def submit_feedback(house: House, *, caller: Caller, draft: FeedbackDraft, request: RequestKey) -> Vote:
    """Keep an item and the vote on it, and return the vote; the same one when the request is repeated.

    Raises: InvalidField with every wrong field, NotFound for a version, RequestIdReused.
    """
    names.ids_in_own_project(draft.parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    violations = [*_prompt_violations(draft.prompt), *_candidate_violations(draft.candidates), *_judged(draft)]
    if violations:
        raise InvalidField.of_all(violations)
    check_words(draft.end_user, field="end_user", characters_max=END_USER_CHARACTERS_MAX)
    with house.storage.write() as uow:
        uid, now = house.chance.uid(), uow.now()
        earlier = uow.requests.remember(caller, request, resource=uid, time=now)
        if earlier is not None:
            return _earlier(uow, caller=caller, uid=earlier)
        item = ReviewItem(
            uid=house.chance.uid(),
            project_id=caller.project_id,
            prompt=draft.prompt,
            candidates=_known(uow, caller=caller, candidates=draft.candidates),
        )
        uow.reviews.add_item(item)
        vote = uow.votes.add(
            Vote(
                uid=uid,
                item=item,
                reviewer=caller.api_key,
                state=VoteState.SUBMITTED if draft.judgement.discard is None else VoteState.DISCARDED,
                judgement=draft.judgement,
                shown_order=tuple(range(len(item.candidates))),
                create_time=now,
                source=draft.source or SOURCE_DEFAULT,
                end_user=draft.end_user,
                scripted=draft.scripted,
            )
        )
        uow.audit.record(caller, resource=vote.name, time=now)
        uow.commit()
    return vote


def _earlier(uow: UnitOfWork, *, caller: Caller, uid: str) -> Vote:
    vote = uow.votes.find(caller.project_id, uid)
    assert vote is not None, "a vote is never removed"
    return vote


def _known(uow: UnitOfWork, *, caller: Caller, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates with the exact versions that wrote them, and nothing that only the house may say."""
    known = []
    for place, candidate in enumerate(candidates):
        name = candidate.model_version
        if name:
            name = find_version(uow, caller=caller, name=name, field=f"candidates[{place}].model_version").name
        known.append(Candidate(text=candidate.text, model_version=name))
    return tuple(known)


def _prompt_violations(prompt: Prompt) -> Iterator[FieldViolation]:
    if bool(prompt.text) == bool(prompt.messages):
        yield FieldViolation("prompt", "must hold either `text` or `messages`")
        return
    yield from text_violations("prompt.text", prompt.text, most=ANSWER_CHARACTERS_MAX)
    if len(prompt.messages) > PROMPT_TURNS_MAX:
        yield FieldViolation("prompt.messages", f"must be at most {PROMPT_TURNS_MAX}, got {len(prompt.messages):,}")
    for place, message in enumerate(prompt.messages[:PROMPT_TURNS_MAX]):
        path = f"prompt.messages[{place}]"
        if message.role not in _ROLES:
            yield FieldViolation(f"{path}.role", f"must be one of {', '.join(_ROLES)}, got {ascii(message.role[:80])}")
        yield from text_violations(f"{path}.content", message.content, most=ANSWER_CHARACTERS_MAX)
    characters = sum(len(message.content) for message in prompt.messages)
    if characters > ANSWER_CHARACTERS_MAX:
        words = f"must be at most {ANSWER_CHARACTERS_MAX:,} characters together, got {characters:,}"
        yield FieldViolation("prompt.messages", words)


def _candidate_violations(candidates: Sequence[Candidate]) -> Iterator[FieldViolation]:
    if not 1 <= len(candidates) <= CANDIDATES_MAX:
        yield FieldViolation("candidates", f"must be 1 to {CANDIDATES_MAX}, got {len(candidates):,}")
    texts = texts_of(candidates[:CANDIDATES_MAX])
    for place, text in enumerate(texts):
        path = f"candidates[{place}].text"
        yield from text_violations(path, text, most=ANSWER_CHARACTERS_MAX)
        if text in texts[:place]:
            yield FieldViolation(path, f"is candidate {texts.index(text)} once more: nobody can say which is better")


def _judged(draft: FeedbackDraft) -> Iterator[FieldViolation]:
    texts = texts_of(draft.candidates[:CANDIDATES_MAX])
    if texts:
        wrong = judgement_violations(draft.judgement, kind=kind_of_candidates(len(texts)), candidates=texts)
        yield from (FieldViolation(f"judgement.{each.field}", each.description) for each in wrong)
    if draft.source and not names.is_chosen_id(draft.source):
        yield FieldViolation("source", f"{names.CHOSEN_ID_RULE}, got {ascii(draft.source[:80])}")
    elif draft.source == _REVIEW:
        yield FieldViolation("source", "must not be `review`, which votes of reviews have; name the application")
