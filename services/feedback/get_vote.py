"""Returns one vote."""

from services.domain.projects import Caller
from services.domain.reviews import Vote
from services.feedback.own_feedback import find_own_vote
from services.ports import House


def get_vote(house: House, *, caller: Caller, name: str) -> Vote:
    """Return a vote in whatever state. Raises: NotFound."""
    with house.storage.read() as uow:
        return find_own_vote(uow, caller=caller, name=name)
