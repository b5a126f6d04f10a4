"""Sends a feedback set as JSON lines that other tools read."""

import threading
from collections.abc import Generator

import artifacts
from services.domain.datasets import Dataset
from services.domain.errors import WrongState
from services.domain.feedback_exports import FeedbackFormat, exported, is_conversation, vote_row
from services.domain.feedback_sets import FeedbackSet
from services.domain.limits import FILE_CHUNK_BYTES
from services.domain.projects import Caller
from services.feedback.own_feedback import find_own_set
from services.ports import House, store_errors

_VOTES_AT_ONCE = 200


class FeedbackExport:
    """The lines of a set, to be taken piece by piece; the caller closes it, also while a piece is being read."""

    def __init__(self, lines: Generator[bytes, None, None]) -> None:
        self._lines = lines
        self._lock = threading.Lock()
        self._rest = b""

    def read_piece(self) -> bytes:
        """Return some more bytes, at most as many as one message holds; none at the end. Raises: Unavailable."""
        with self._lock:
            pieces, size = [self._rest], len(self._rest)
            while size < FILE_CHUNK_BYTES and (line := next(self._lines, None)) is not None:
                pieces.append(line)
                size += len(line)
            data = b"".join(pieces)
            cut = len(data) if len(data) <= FILE_CHUNK_BYTES else _last_line(data)
            self._rest = data[cut:]
            return data[:cut]

    def close(self) -> None:
        """Give back what is held open."""
        with self._lock:
            self._lines.close()


def export_feedback_set(
    house: House, *, caller: Caller, name: str, format: FeedbackFormat = FeedbackFormat.VOTES
) -> FeedbackExport:
    """Open the rows of a set in a format. Rows of votes that were retracted since are sent too: the set never changes.

    Raises: NotFound, WrongState if the store has lost the rows.
    """
    with house.storage.read() as uow:
        of = find_own_set(uow, caller=caller, name=name)
        dataset = uow.datasets.find_by_uid(of.uid)
    assert dataset is not None, "a set has a dataset"
    lines = _votes(house, of) if format is FeedbackFormat.VOTES else _rows(house, dataset, format)
    return FeedbackExport(lines)


def _votes(house: House, of: FeedbackSet) -> Generator[bytes, None, None]:
    with house.storage.read() as uow:
        seqs = uow.feedback_sets.seqs_in(of.uid)
    for first in range(0, len(seqs), _VOTES_AT_ONCE):
        with house.storage.read() as uow:
            votes = uow.votes.of_seqs(seqs[first : first + _VOTES_AT_ONCE])
        for vote in votes:
            yield f"{vote_row(vote, pseudonym=house.keys.pseudonym(vote.reviewer))}\n".encode()


def _rows(house: House, dataset: Dataset, format: FeedbackFormat) -> Generator[bytes, None, None]:
    conversational = any(is_conversation(line) for _, line in _stored(house, dataset))
    for split, line in _stored(house, dataset):
        row = exported(line, format=format, split=split, conversational=conversational)
        if row is not None:
            yield f"{row}\n".encode()


def _stored(house: House, dataset: Dataset) -> Generator[tuple[str, bytes], None, None]:
    """Yield the stored rows, each with its side. Raises: WrongState if they are gone."""
    place = 0
    try:
        with store_errors(), house.store.open(dataset.artifact_key) as file:
            for line in file:
                yield "train" if place < dataset.split.train_bytes else "validation", line
                place += len(line)
    except artifacts.NotStored as error:
        raise WrongState.of(f"the rows of {dataset.name} are gone from the store", state="CORRUPT") from error


def _last_line(data: bytes) -> int:
    """Return where the last whole line that fits ends; a line that fits nowhere is cut."""
    return data.rfind(b"\n", 0, FILE_CHUNK_BYTES) + 1 or FILE_CHUNK_BYTES
