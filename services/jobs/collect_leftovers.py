"""Removing files of checkpoints that no row promises: what a removal has missed, and what was never committed.

A trainer writes the files first and commits then, so files without a row may be on their way to one. They are left
alone until their attempt has been over for a while: nothing can be committed for an attempt that has ended.
"""

import datetime
import itertools
from collections.abc import Iterator, Sequence

from services.domain.jobs import CHECKPOINTS, CheckpointState, attempt_of_checkpoint
from services.ports import House, UnitOfWork, store_errors

_BATCH = 100


def collect_leftovers(house: House, *, ended_for_s: float) -> int:
    """Remove file sets that no row needs, and return how many. Raises: Unavailable.

    Those of attempts that ended less than `ended_for_s` ago, and of attempts that nobody knows, stay.
    """
    removed = 0
    with store_errors():
        for prefixes in _stored(house):
            with house.storage.read() as uow:
                needless = _needless(uow, prefixes, ended_for_s=ended_for_s)
            for prefix in needless:
                house.store.delete_all(prefix)
            removed += len(needless)
    return removed


def _stored(house: House) -> Iterator[Sequence[str]]:
    """Yield the prefixes of file sets in the store, in batches."""
    keys = (key.split("/") for key in house.store.keys(CHECKPOINTS))
    prefixes = ("/".join(words) for words, _ in itertools.groupby(words[:4] for words in keys if len(words) > 4))
    while batch := tuple(itertools.islice(prefixes, _BATCH)):
        yield batch


def _needless(uow: UnitOfWork, prefixes: Sequence[str], *, ended_for_s: float) -> list[str]:
    states = uow.checkpoints.states(prefixes)
    ended_before = uow.now() - datetime.timedelta(seconds=ended_for_s)
    return [
        prefix
        for prefix in prefixes
        if states.get(prefix) is CheckpointState.COLLECTED
        or (prefix not in states and _ended(uow, prefix, before=ended_before))
    ]


def _ended(uow: UnitOfWork, prefix: str, *, before: datetime.datetime) -> bool:
    named = attempt_of_checkpoint(prefix)
    attempt = uow.attempts.find(named[0], epoch=named[1]) if named else None
    return attempt is not None and attempt.end_time is not None and attempt.end_time < before
