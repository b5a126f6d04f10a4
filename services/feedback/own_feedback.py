"""Finding the vote or the feedback set that a caller names, in the caller's own project only."""

from services.domain.errors import NotFound
from services.domain.feedback_sets import FeedbackSet
from services.domain.names import FEEDBACK_SET, VOTE, did_you_mean, ids_in_own_project
from services.domain.projects import Caller
from services.domain.reviews import Vote
from services.ports import UnitOfWork


def find_own_vote(uow: UnitOfWork, *, caller: Caller, name: str) -> Vote:
    """Return the vote. Raises: NotFound, the same for a missing vote and for another project's."""
    (vote_uid,) = ids_in_own_project(name, pattern=VOTE, own_project=caller.project_id)
    vote = uow.votes.find(caller.project_id, vote_uid)
    if vote is None:
        raise NotFound.of(name)
    return vote


def find_own_set(uow: UnitOfWork, *, caller: Caller, name: str) -> FeedbackSet:
    """Return the set. Raises: NotFound with the nearest id."""
    (set_id,) = ids_in_own_project(name, pattern=FEEDBACK_SET, own_project=caller.project_id)
    found = uow.feedback_sets.find(caller.project_id, set_id)
    if found is None:
        raise NotFound.of(name, hint=did_you_mean(set_id, uow.feedback_sets.ids(caller.project_id)))
    return found
