"""Returns one feedback set."""

from services.domain.feedback_sets import FeedbackSet
from services.domain.projects import Caller
from services.feedback.own_feedback import find_own_set
from services.ports import House


def get_feedback_set(house: House, *, caller: Caller, name: str) -> FeedbackSet:
    """Return a set, with how many of its votes were retracted since. Raises: NotFound with the nearest name."""
    with house.storage.read() as uow:
        return find_own_set(uow, caller=caller, name=name)
