"""Returns where a vote went."""

from services.domain.lineage import Key, Lineage, Place
from services.domain.projects import Caller
from services.feedback.own_feedback import find_own_vote
from services.models.walking import lineage_of
from services.ports import House


def trace_vote(house: House, *, caller: Caller, name: str) -> Lineage:
    """Return the sets that hold a vote, the jobs that learnt from it, and the versions that came of them.

    Raises: NotFound.
    """
    with house.storage.read() as uow:
        vote = find_own_vote(uow, caller=caller, name=name)
        return lineage_of(uow, caller.project_id, Key(Place.VOTE, vote.uid))
