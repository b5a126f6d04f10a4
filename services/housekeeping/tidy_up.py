"""Removes what nobody needs any more: old checkpoints, unfinished uploads and writes, workers that are gone."""

import datetime

from services.datasets.expire_uploads import collect_dataset_files, expire_uploads
from services.domain.limits import WORKER_FORGOTTEN_S
from services.jobs.collect_checkpoints import collect_checkpoints
from services.jobs.collect_leftovers import collect_leftovers
from services.ports import House

_BEGINNING = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_OVERLAP = datetime.timedelta(hours=1)
LEFTOVERS_KEPT_S = 24 * 3600.0  # longer than any writer lives that nobody hears of, and time to look at them


class CheckpointCollector:
    """Looks at all jobs once, and then at those that have changed."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._since = _BEGINNING

    def run(self) -> int:
        """Collect all there is; return how many."""
        with self._house.storage.read() as uow:
            now = uow.now()
        collected = collect_checkpoints(self._house, since=self._since)
        self._since = now - _OVERLAP
        return collected


def forget_workers(house: House) -> int:
    """Remove workers that were not heard from for a day; return how many."""
    with house.storage.write() as uow:
        forgotten = uow.workers.forget(unheard_since=uow.now() - datetime.timedelta(seconds=WORKER_FORGOTTEN_S))
        uow.commit()
    return forgotten


def remove_uploads(house: House) -> int:
    """Remove uploads whose time is over, and files that no row names; return how many."""
    return expire_uploads(house) + collect_dataset_files(house)


def remove_leftovers(house: House) -> int:
    """Remove what writers that died a day ago have left in the store; return how many pieces."""
    return house.store.remove_leftovers(older_than_s=LEFTOVERS_KEPT_S) + collect_leftovers(
        house, ended_for_s=LEFTOVERS_KEPT_S
    )
