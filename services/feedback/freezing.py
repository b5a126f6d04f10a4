"""Freezing votes into a feedback set: what every verb that makes one has in common.

The rows are written to the store first and count once the set is committed. In between an unfinished upload stands for
the dataset that is to come, so that nobody collects its bytes; a call that dies leaves both, and both expire. A vote
that is taken back in between is noticed before the commit, and all is read again: no set is made with a vote in it that
was retracted before, and who retracts one is told of every set that holds it.
"""

import contextlib
import dataclasses
import datetime
import io
import tempfile
from collections.abc import Mapping
from typing import IO

from services.domain.conflicts import ConflictPolicy
from services.domain.counting import counted
from services.domain.datasets import (
    Dataset,
    DatasetFormat,
    DatasetSplit,
    DatasetState,
    RowKind,
    Upload,
    dataset_key,
)
from services.domain.errors import AlreadyExists, DomainError, Unavailable, WrongState
from services.domain.feedback_sets import FeedbackSet, FreezeSettings, Scope
from services.domain.limits import MIB, UPLOAD_LIFETIME_S
from services.domain.names import FEEDBACK_SET
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.feedback.gathering import Gathered, Part, gather
from services.ports import House, UnitOfWork, store_errors

_TRIES = 3
_SPOOL_BYTES = 8 * MIB  # beyond, the rows of a set wait on the disk


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetDraft:
    """A set that is to be made; `reviews` are resource names."""

    id: str
    scope: Scope
    settings: FreezeSettings
    reviews: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    parent_set: str = ""
    parent_set_uid: str | None = None


def freeze(house: House, *, caller: Caller, draft: SetDraft, request: RequestKey) -> FeedbackSet:
    """Make a set of the votes that count now, or return the one that the same request has made.

    Raises: WrongState if no vote can be learnt from, with what there is; AlreadyExists for the id, LimitReached,
    NoSpace, RequestIdReused, Unavailable if votes are taken back faster than they are read.
    """
    for _ in range(_TRIES):
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as rows:
            with house.storage.read() as uow:
                earlier = earlier_set(uow, caller=caller, request=request)
                if earlier is not None:
                    return earlier
                _check_free(uow, caller=caller, draft=draft)
                gathered = _gather(uow, caller=caller, draft=draft, into=rows)
            made = _store_and_keep(house, caller=caller, draft=draft, request=request, gathered=gathered, rows=rows)
            if made is not None:
                return made
    raise Unavailable("votes are being taken back just now; freeze again in a moment", retry_after_s=1.0)


def earlier_set(uow: UnitOfWork, *, caller: Caller, request: RequestKey) -> FeedbackSet | None:
    """Return the set that an earlier call with this request_id made. Raises: RequestIdReused for another body."""
    uid = uow.requests.find(caller, request)
    return None if uid is None else uow.feedback_sets.find_by_uid(uid)


def _check_free(uow: UnitOfWork, *, caller: Caller, draft: SetDraft) -> None:
    """Refuse an id that is taken before all is read for nothing; the commit checks it again."""
    if uow.feedback_sets.find(caller.project_id, draft.id) or uow.datasets.find(caller.project_id, draft.id):
        raise AlreadyExists.of(FEEDBACK_SET.format(caller.project_id, draft.id))


def _gather(uow: UnitOfWork, *, caller: Caller, draft: SetDraft, into: IO[bytes]) -> Gathered:
    gathered = gather(uow, project_id=caller.project_id, scope=draft.scope, settings=draft.settings, into=into)
    if gathered.prompts:
        return gathered
    left_out = uow.feedback_sets.not_counting(caller.project_id, draft.scope)
    raise _nothing_usable(gathered.kinds, left_out, policy=draft.settings.policy)


def _nothing_usable(kinds: Mapping[str, int], left_out: Mapping[str, int], *, policy: ConflictPolicy) -> WrongState:
    """Return the refusal that says how many votes of which kind there are."""
    votes = sum(kinds.values())
    told = ", ".join(f"{kind}: {count:,}" for kind, count in sorted(kinds.items()))
    others = ", ".join(f"{state.lower()}: {count:,}" for state, count in left_out.items()) or "none"
    if votes:
        words = f"nothing can be learnt under {policy.value} from {counted(votes, 'vote')} ({told})"
        advice = "ties, ratings between good and bad, and votes that contradict each other leave no row"
    else:
        words, advice = "there is no vote that counts", "name reviews and sources that have votes"
    metadata = {"state": "NOTHING_USABLE", **{kind.replace(" ", "_"): str(count) for kind, count in kinds.items()}}
    return WrongState(f"{words}; votes that do not count: {others}. {advice.capitalize()}", metadata=metadata)


def _store_and_keep(
    house: House, *, caller: Caller, draft: SetDraft, request: RequestKey, gathered: Gathered, rows: IO[bytes]
) -> FeedbackSet | None:
    """Return the set, or None if a vote in it was taken back meanwhile; then nothing of it is left."""
    train, validation = gathered.split(share=draft.settings.validation_share)
    upload = _announce(house, caller=caller, draft=draft, size_bytes=train.size_bytes + validation.size_bytes)
    made = None
    try:
        with store_errors():
            turned = io.BufferedReader(_TrainingFirst(rows, held_bytes=validation.size_bytes), buffer_size=MIB)
            stored = house.store.put(dataset_key(upload.dataset_uid), turned)
        dataset = _dataset(upload, gathered, train=train, validation=validation, sha256=stored.sha256)
        made = _keep(house, caller=caller, draft=draft, request=request, gathered=gathered, dataset=dataset, of=upload)
        return made
    finally:
        if made is None or made.uid != upload.dataset_uid:
            with contextlib.suppress(DomainError):
                _withdraw(house, upload)


def _announce(house: House, *, caller: Caller, draft: SetDraft, size_bytes: int) -> Upload:
    """Keep an upload that nobody sends: it says that bytes are to come, and whose."""
    with house.storage.write() as uow:
        now = uow.now()
        upload = Upload(
            project_id=caller.project_id,
            uid=house.chance.uid(),
            dataset_id=draft.id,
            dataset_uid=house.chance.uid(),
            size_bytes=size_bytes,
            received_bytes=0,
            parts=0,
            sha256="",
            format=DatasetFormat.JSONL,
            filename="",
            validation_fraction=draft.settings.validation_share,
            create_time=now,
            expire_time=now + datetime.timedelta(seconds=UPLOAD_LIFETIME_S),
            creator=caller.api_key,
        )
        uow.uploads.add(upload)
        uow.commit()
    return upload


def _withdraw(house: House, upload: Upload) -> None:
    """Remove what was written for nothing: the row first, for a file without one is found again.

    The answer to a commit may be lost, and the set be there all the same: then its bytes stay.
    """
    with house.storage.write() as uow:
        uow.uploads.remove(upload.uid)  # waits for whoever commits the set, who removes it, too
        kept = uow.datasets.find_by_uid(upload.dataset_uid)
        uow.commit()
    if kept is not None:
        return
    with store_errors():
        house.store.delete(dataset_key(upload.dataset_uid))


def _keep(
    house: House,
    *,
    caller: Caller,
    draft: SetDraft,
    request: RequestKey,
    gathered: Gathered,
    dataset: Dataset,
    of: Upload,
) -> FeedbackSet | None:
    with house.storage.write() as uow:
        now = uow.now()
        dataset = dataclasses.replace(dataset, create_time=now)
        noun = _feedback_set(draft, gathered, dataset)
        earlier = uow.requests.remember(caller, request, resource=dataset.uid, time=now)
        if earlier is not None:
            return uow.feedback_sets.find_by_uid(earlier)
        uow.datasets.add(dataset)
        uow.feedback_sets.add(noun, vote_uids=gathered.vote_uids)
        uow.projects.lock(caller.project_id)  # who retracts a vote holds it too: either sees what the other did
        if uow.feedback_sets.changed_in(noun.uid):
            return None
        uow.uploads.remove(of.uid)
        uow.audit.record(caller, resource=noun.name, time=now)
        uow.commit()
    return noun


def _dataset(upload: Upload, gathered: Gathered, *, train: Part, validation: Part, sha256: str) -> Dataset:
    statistics = dataclasses.replace(
        gathered.rows.statistics(RowKind.FEEDBACK),
        duplicate_rows=0,  # a label and an example of the same answer are two things to learn
        duplicate_examples=(),
        train_signals=train.counts,
        validation_signals=validation.counts,
    )
    return Dataset(
        project_id=upload.project_id,
        id=upload.dataset_id,
        uid=upload.dataset_uid,
        state=DatasetState.READY,
        format=DatasetFormat.JSONL,
        size_bytes=upload.size_bytes,
        sha256=sha256,
        rows=gathered.rows.rows,
        characters=gathered.rows.characters,
        split=DatasetSplit(
            train_bytes=train.size_bytes,
            validation_bytes=validation.size_bytes,
            train_rows=train.counts.rows,
            validation_rows=validation.counts.rows,
        ),
        create_time=upload.create_time,
        creator=upload.creator,
        filename="",
        row_statistics=statistics,
    )


def _feedback_set(draft: SetDraft, gathered: Gathered, dataset: Dataset) -> FeedbackSet:
    statistics = dataset.row_statistics
    assert statistics is not None and statistics.train_signals and statistics.validation_signals is not None
    return FeedbackSet(
        project_id=dataset.project_id,
        id=dataset.id,
        uid=dataset.uid,
        reviews=draft.reviews,
        sources=draft.sources,
        settings=draft.settings,
        votes=len(gathered.vote_uids),
        scripted_votes=gathered.scripted_votes,
        reviewers=len(gathered.reviewers),
        items_left_out=gathered.items_left_out,
        train=statistics.train_signals,
        validation=statistics.validation_signals,
        sha256=dataset.sha256,
        create_time=dataset.create_time,
        creator=dataset.creator,
        parent_set=draft.parent_set,
        parent_set_uid=draft.parent_set_uid,
    )


class _TrainingFirst(io.RawIOBase):
    """The rows as a dataset has them: those to train on, then those to validate on, which were written first."""

    def __init__(self, rows: IO[bytes], *, held_bytes: int) -> None:
        self._rows = rows
        self._held_bytes = held_bytes
        self._turned = False
        rows.seek(held_bytes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        if not self._turned:
            data = self._rows.read(most)
            if data:
                return data
            self._turned = True
            self._rows.seek(0)
        return self._rows.read(min(most, self._held_bytes - self._rows.tell()))
