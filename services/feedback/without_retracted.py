"""The set that a feedback set becomes without the votes that were taken back since."""

import contextlib
import itertools
import re

from services.domain.errors import AlreadyExists, Unavailable
from services.domain.feedback_sets import FeedbackSet, Scope
from services.domain.limits import ID_CHARACTERS_MAX
from services.domain.projects import Caller
from services.domain.requests import NO_REQUEST_KEY
from services.feedback.freezing import SetDraft, freeze
from services.ports import House, UnitOfWork

_TRIES = 3
_NUMBERED = re.compile(r"(.+)-r([0-9]{1,9})")


def set_without_retracted(house: House, *, caller: Caller, of: FeedbackSet) -> FeedbackSet:
    """Return the set with the same settings and votes but those that were taken back; made once, and found then.

    Nothing that was voted since comes in: what differs is what was taken out.
    Raises: WrongState if nothing is left to learn from, Unavailable, NoSpace.
    """
    for _ in range(_TRIES):
        with house.storage.read() as uow:
            for child in uow.feedback_sets.children(of.uid):
                if not uow.feedback_sets.changed_in(child.uid):  # a vote never counts again: it has all that still do
                    return child
            draft = _draft(of, set_id=_free_id(uow, of))
        with contextlib.suppress(AlreadyExists):  # by who asks for the same at the same time: theirs will do
            return freeze(house, caller=caller, draft=draft, request=NO_REQUEST_KEY)
    raise Unavailable(f"others are freezing {of.name} anew just now", retry_after_s=1.0)


def _draft(of: FeedbackSet, *, set_id: str) -> SetDraft:
    return SetDraft(
        id=set_id,
        scope=Scope(set_uid=of.uid),
        settings=of.settings,
        reviews=of.reviews,
        sources=of.sources,
        parent_set=of.name,
        parent_set_uid=of.uid,
    )


def _free_id(uow: UnitOfWork, of: FeedbackSet) -> str:
    """Return `prefs-r2` for `prefs`, `prefs-r3` for `prefs-r2`, or the next one that is free."""
    match = _NUMBERED.fullmatch(of.id)
    word, number = (match[1], int(match[2])) if match else (of.id, 1)
    for each in itertools.count(number + 1):
        ending = f"-r{each}"
        set_id = word[: ID_CHARACTERS_MAX - len(ending)] + ending
        taken = uow.feedback_sets.find(of.project_id, set_id) or uow.datasets.find(of.project_id, set_id)
        if not taken:
            return set_id
    raise AssertionError("there is always another number")
