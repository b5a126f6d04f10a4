"""What is found out about a Parquet file: in one pass that it may be one, and from its rows what it holds.

The rows are read elsewhere, since the list of what lies where is at the end of the file, and its bytes can be hostile.
"""

import dataclasses
import hashlib

from services.domain.datasets import DatasetSplit
from services.domain.errors import InvalidData
from services.domain.row_inspection import RowCheck
from services.domain.text_inspection import Inspected

_MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_BYTES_MIN = 12  # both marks and the length of the footer


class ParquetInspection:
    """Takes the bytes of a Parquet file in order, and looks at its ends."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._head = self._tail = b""
        self._seen_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises: InvalidData."""
        self._hash.update(chunk)
        self._seen_bytes += len(chunk)
        self._tail = (self._tail + chunk[-len(_MAGIC) :])[-len(_MAGIC) :]
        if len(self._head) < len(_MAGIC):
            self._head = (self._head + chunk[: len(_MAGIC)])[: len(_MAGIC)]
            if self._head == _ENCRYPTED:
                raise InvalidData.at("the Parquet file is encrypted; write it without that", byte=0)
            if len(self._head) == len(_MAGIC) and self._head != _MAGIC:
                raise InvalidData.at("byte 0 does not begin a Parquet file, which begins with PAR1", byte=0)

    def finish(self) -> Inspected:
        """Return what was found, rows not counted yet. Raises: InvalidData."""
        if self._seen_bytes < _BYTES_MIN or self._head != _MAGIC or self._tail != _MAGIC:
            raise InvalidData.at("the Parquet file does not end as one does, with PAR1; it was cut off")
        whole = DatasetSplit(train_bytes=self._seen_bytes, validation_bytes=0, train_rows=0, validation_rows=0)
        return Inspected(size_bytes=self._seen_bytes, sha256=self._hash.hexdigest(), rows=0, characters=0, split=whole)


def with_rows(found: Inspected, rows: RowCheck, *, validation_fraction: float) -> Inspected:
    """Return what is known of a Parquet file whose rows were all looked at. Raises: InvalidData if some are wrong.

    The split is one of rows; its bytes are their share of the file, which cannot be divided at a byte.
    """
    rows.finish()
    counter = rows.counter
    train_rows = min(max(round(counter.rows * (1 - validation_fraction)), 1), counter.rows - 1)
    train_bytes = found.size_bytes * train_rows // counter.rows
    split = DatasetSplit(
        train_bytes=train_bytes,
        validation_bytes=found.size_bytes - train_bytes,
        train_rows=train_rows,
        validation_rows=counter.rows - train_rows,
    )
    return dataclasses.replace(
        found,
        rows=counter.rows,
        characters=counter.characters,
        split=split,
        row_statistics=rows.statistics(split),
    )
