"""Removes uploads that nobody finished in time, and what others have left in the store."""

import itertools
from collections.abc import Callable, Collection, Iterator

from services.domain.datasets import Upload, dataset_key, upload_prefix
from services.ports import House, store_errors

_BATCH = 100


def expire_uploads(house: House) -> int:
    """Remove uploads whose time is over, with their parts, and return how many they were."""
    with house.storage.read() as uow:
        expired = uow.uploads.expired(now=uow.now(), count_max=_BATCH)
    for upload in expired:
        _remove(house, upload)
    return len(expired)


def collect_dataset_files(house: House) -> int:
    """Remove files below `uploads/` and `datasets/` that no row needs, and return how many prefixes they were.

    A call that died between its commit and the removal of files leaves them; so does one that died before its commit.
    """
    removed = 0
    for uids in _uids(house, "uploads/"):
        for uid in _unknown(house, uids, _needed_uploads):
            house.store.delete_all(upload_prefix(uid))
            removed += 1
    for uids in _uids(house, "datasets/"):
        for uid in _unknown(house, uids, _needed_datasets):
            house.store.delete(dataset_key(uid))
            removed += 1
    return removed


def _remove(house: House, upload: Upload) -> None:
    """Remove the row before the files: a file without a row is found again, a row without its file would lie."""
    with house.storage.write() as uow:
        uow.uploads.remove(upload.uid)
        uow.commit()
    with store_errors():
        house.store.delete_all(upload.artifact_prefix)


def _uids(house: House, prefix: str) -> Iterator[tuple[str, ...]]:
    with store_errors():
        uids = (uid for uid, _ in itertools.groupby(house.store.keys(prefix), key=lambda key: key.split("/")[1]))
        while batch := tuple(itertools.islice(uids, _BATCH)):
            yield batch


def _unknown(house: House, uids: tuple[str, ...], needed: Callable[[House, Collection[str]], set[str]]) -> set[str]:
    return set(uids) - needed(house, uids)


def _needed_uploads(house: House, uids: Collection[str]) -> set[str]:
    with house.storage.read() as uow:
        return set(uow.uploads.known_among(uids))


def _needed_datasets(house: House, uids: Collection[str]) -> set[str]:
    with house.storage.read() as uow:
        return set(uow.datasets.ready_among(uids)) | set(uow.uploads.dataset_uids_among(uids))
