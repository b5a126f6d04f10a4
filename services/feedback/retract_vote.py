"""Says that a vote must not be used any more."""

import dataclasses

from services.domain.errors import InvalidField
from services.domain.judgements import text_violations
from services.domain.limits import RETRACTION_REASON_CHARACTERS_MAX
from services.domain.names import check_request_id
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.reviews import Vote, VoteState
from services.feedback.own_feedback import find_own_vote
from services.models.walking import descent_of
from services.ports import House, UnitOfWork


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retraction:
    """A retracted vote and the names of everything that holds it."""

    vote: Vote
    feedback_sets: tuple[str, ...]
    model_versions: tuple[str, ...]
    open_jobs: tuple[str, ...]


def retract_vote(house: House, *, caller: Caller, name: str, reason: str, request: RequestKey) -> Retraction:
    """Keep that the vote must not be used, and return what already holds it; a second time, what holds it now.

    The first reason stays. The project is held meanwhile, as by who freezes: no set with this vote in it is being
    committed unseen.
    Raises: NotFound, InvalidField for the reason, RequestIdReused.
    """
    check_request_id(request.request_id)
    _check_reason(reason)
    with house.storage.write() as uow:
        vote, now = find_own_vote(uow, caller=caller, name=name), uow.now()
        earlier = uow.requests.remember(caller, request, resource=vote.name, time=now)
        uow.projects.lock(caller.project_id)
        if earlier is None:
            state = VoteState.RETRACTED
            if uow.votes.change(vote.uid, state=state, actor=caller.api_key, reason=reason, time=now):
                uow.audit.record(caller, resource=vote.name, time=now)
        retraction = _retraction(uow, find_own_vote(uow, caller=caller, name=name))
        uow.commit()
    return retraction


def _check_reason(reason: str) -> None:
    wrong = list(text_violations("reason", reason, most=RETRACTION_REASON_CHARACTERS_MAX, least=1))
    if not wrong and not reason.strip():
        raise InvalidField.of("reason", "is required")
    if wrong:
        raise InvalidField.of_all(wrong)


def _retraction(uow: UnitOfWork, vote: Vote) -> Retraction:
    sets = uow.feedback_sets.with_vote(vote.uid)
    descent = descent_of(uow, vote.item.project_id, set_uids=[each.uid for each in sets])
    return Retraction(
        vote=vote,
        feedback_sets=tuple(each.name for each in sets),
        model_versions=descent.versions,
        open_jobs=descent.open_jobs,
    )
