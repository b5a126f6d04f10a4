"""What is found out about rows of JSONL in one pass: one JSON object a line, all of one kind.

Lines count from 1 and are the rows, so that none may be blank. All rows that are wrong are told, up to a limit, each
with its number and field. A row longer than the limit ends the look at once: it would have to be held in memory.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Iterator

from services.domain.datasets import DatasetSplit, RowKind, RowStatistics, SignalCounts
from services.domain.errors import FieldViolation, InvalidData
from services.domain.judged_rows import FEEDBACK_KINDS
from services.domain.limits import BAD_ROWS_SHOWN_MAX, ROW_BYTES_MAX
from services.domain.row_checks import CheckedRow, check_row, kind_of_row, parse_row
from services.domain.row_counting import RowCounter
from services.domain.text_inspection import Inspected, check_beginning, known_start

_WORDS_SHOWN = 3


class RowCheck:
    """Checks rows one after the other, and remembers what is wrong."""

    def __init__(self) -> None:
        self.counter = RowCounter()
        self._kind: RowKind | None = None
        self._bad: list[FieldViolation] = []
        self._bad_rows = 0
        self._seen = 0
        self._signals = bytearray()

    def take(self, line: bytes) -> None:
        """Check the next row. Raises: InvalidData when there are too many that are wrong."""
        self._seen += 1
        wrong = list(self._wrong(line))
        if wrong:
            self._bad_rows += 1
            room = BAD_ROWS_SHOWN_MAX - len(self._bad)  # a row may have many fields that are wrong
            self._bad += [FieldViolation(self._path(each.field), each.description) for each in wrong[: max(room, 1)]]
            if self._bad_rows >= BAD_ROWS_SHOWN_MAX:
                raise self._refusal(f"at least {self._bad_rows} rows are wrong, and the rest was not looked at")

    def finish(self) -> RowKind:
        """Return what the rows are. Raises: InvalidData with every row that is wrong."""
        if self._bad:
            rows = "1 row is wrong" if self._bad_rows == 1 else f"{self._bad_rows} rows are wrong"
            raise self._refusal(f"{rows} of {self._seen:,}")
        if self._kind is None:
            raise InvalidData.at("there is no row")
        if self.counter.rows < 2:
            raise InvalidData.at("there is 1 row; at least 2 are needed to hold some out for validation")
        return self._kind

    def statistics(self, split: DatasetSplit) -> RowStatistics:
        """Return what the rows look like once all of them were taken. Raises: InvalidData, as `finish`."""
        kind = self.finish()
        found = self.counter.statistics(kind)
        if kind is not RowKind.FEEDBACK:
            return found
        train, validation = self._signals[: split.train_rows], self._signals[split.train_rows :]
        return dataclasses.replace(found, train_signals=_counts(train), validation_signals=_counts(validation))

    def _wrong(self, line: bytes) -> Iterator[FieldViolation]:
        try:
            row = parse_row(_decoded(line))
        except ValueError as error:
            yield FieldViolation("", str(error))
            return
        # The first row that is anything decides, so that one bad row at the top does not make all the others wrong.
        self._kind = self._kind or kind_of_row(row)
        checked = check_row(row, wanted=self._kind)
        if isinstance(checked, CheckedRow):
            self.counter.add(checked.texts)
            if checked.signal:
                self._signals.append(FEEDBACK_KINDS.index(checked.signal))
        else:
            yield from checked

    def _path(self, field: str) -> str:
        return f"row {self._seen}.{field}" if field else f"row {self._seen}"

    def _refusal(self, words: str) -> InvalidData:
        shown = "; ".join(f"{each.field} {each.description}" for each in self._bad[:_WORDS_SHOWN])
        more = "; and more" if len(self._bad) > _WORDS_SHOWN else ""
        rows = list(dict.fromkeys(each.field.removeprefix("row ").partition(".")[0] for each in self._bad))
        metadata = {"row": rows[0], "rows": ",".join(rows)}
        return InvalidData(f"{words}: {shown}{more}", metadata=metadata, violations=tuple(self._bad))


class RowInspection:
    """Takes the bytes of a JSONL file in order, and checks them row by row."""

    def __init__(self, *, size_bytes: int, validation_fraction: float) -> None:
        """`size_bytes` is the size of the whole file, which decides where the split is looked for."""
        self._hash = hashlib.sha256()
        self._rows = RowCheck()
        self._split = _SplitSearch(size_bytes=size_bytes, validation_fraction=validation_fraction)
        self._size_bytes = size_bytes
        self._rest = bytearray()
        self._head = b""
        self._seen_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises: InvalidData."""
        self._hash.update(chunk)
        self._head = check_beginning(self._head, chunk)
        if words := known_start(self._head):
            raise InvalidData.at(words)
        self._seen_bytes += len(chunk)
        # Only what is new is searched for the end of the line: a long row is not searched again with each piece of it.
        first, newline = 0, chunk.find(b"\n")
        while newline >= 0:
            self._rest += chunk[first:newline]
            self._take()
            first, newline = newline + 1, chunk.find(b"\n", newline + 1)
        self._rest += chunk[first:]
        self._check_length()

    def finish(self) -> Inspected:
        """Return what was found. Raises: InvalidData."""
        if self._rest:
            self._take()
        self._rows.finish()
        counter = self._rows.counter
        split = self._split.finish(rows=counter.rows)
        return Inspected(
            size_bytes=self._seen_bytes,
            sha256=self._hash.hexdigest(),
            rows=counter.rows,
            characters=counter.characters,
            split=split,
            row_statistics=self._rows.statistics(split),
        )

    def _take(self) -> None:
        self._check_length()
        line = bytes(self._rest)
        self._rest.clear()
        self._rows.take(line)
        self._split.row_ended(length=len(line) + 1)

    def _check_length(self) -> None:
        if len(self._rest) > ROW_BYTES_MAX:
            row = self._split.rows + 1
            raise InvalidData.at(f"row {row:,} is longer than {ROW_BYTES_MAX:,} bytes", row=row)


class _SplitSearch:
    """Looks for the start of the row nearest to where validation should begin; both parts have at least a row.

    A start that leaves at least half of the bytes for training goes first. There is none if the last row is larger than
    all others together; then that one is held out.
    """

    def __init__(self, *, size_bytes: int, validation_fraction: float) -> None:
        self._size_bytes = size_bytes
        self._target = size_bytes * (1 - validation_fraction)
        self._best: tuple[int, int] | None = None
        self.rows = 0
        self._start = 0

    def row_ended(self, *, length: int) -> None:
        self.rows += 1
        self._start += length
        if self._start >= self._size_bytes:
            return  # nothing starts at the end
        if self._best is None or self._distance(self._start) < self._distance(self._best[0]):
            self._best = (self._start, self.rows)

    def _distance(self, start: int) -> tuple[bool, float]:
        return 2 * start < self._size_bytes, abs(start - self._target)

    def finish(self, *, rows: int) -> DatasetSplit:
        assert self._best is not None, "there are at least two rows"
        train_bytes, train_rows = self._best
        return DatasetSplit(
            train_bytes=train_bytes,
            validation_bytes=self._size_bytes - train_bytes,
            train_rows=train_rows,
            validation_rows=rows - train_rows,
        )


def _decoded(line: bytes) -> str:
    if not line.strip():
        raise ValueError("is blank")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at its byte {error.start:,}") from None


def _counts(signals: bytearray) -> SignalCounts:
    """Return how many rows of each kind there are, kinds being places in FEEDBACK_KINDS."""
    pairs, labels, examples = (collections.Counter(signals)[place] for place in range(len(FEEDBACK_KINDS)))
    return SignalCounts(pairs=pairs, labels=labels, examples=examples)
