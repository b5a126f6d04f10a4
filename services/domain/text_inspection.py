"""What is found out about a text in one pass over its bytes.

Offsets count bytes from 0, rows count lines from 1; both are those of the file as it was sent. A text is refused if
it is empty or blank, holds a NUL, is not UTF-8, or starts with a byte order mark: bytes are kept as they came, so
that the hash of the dataset is the hash of the file, and a mark would become the first thing that a model learns.
"""

import codecs
import dataclasses
import hashlib

from services.domain.datasets import DatasetSplit, RowStatistics
from services.domain.errors import InvalidData

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = "the file is UTF-16; convert it, for instance with `iconv -f UTF-16 -t UTF-8`"
_KNOWN_STARTS = (
    (b"\xff\xfe", _UTF_16),
    (b"\xfe\xff", _UTF_16),
    (b"\x1f\x8b", "the file is gzip-compressed; unpack it first"),
    (b"BZh", "the file is bzip2-compressed; unpack it first"),
    (b"\xfd7zXZ", "the file is xz-compressed; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "the file is zstd-compressed; unpack it first"),
    (b"PK\x03\x04", "the file is a zip archive; unpack it first"),
    (b"PAR1", "the file is Parquet; upload it with the format PARQUET"),
    (b"%PDF-", "the file is a PDF; only plain UTF-8 text is taken"),
)
_HEAD_BYTES = max(len(start) for start, _ in _KNOWN_STARTS)
_TRAIN_SHARE_MIN = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspected:
    """What is known of an upload once all of it was seen."""

    size_bytes: int
    sha256: str
    rows: int
    characters: int
    split: DatasetSplit
    row_statistics: RowStatistics | None = None


class TextInspection:
    """Takes the bytes of a text in order and finds out about them; refuses at the first byte that cannot be right."""

    def __init__(self, *, size_bytes: int, validation_fraction: float) -> None:
        """`size_bytes` is the size of the whole text, which decides where the split is looked for."""
        self._size_bytes = size_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._hash = hashlib.sha256()
        self._split = _SplitSearch(size_bytes=size_bytes, validation_fraction=validation_fraction)
        self._head = b""
        self._seen_bytes = 0
        self._newlines = 0
        self._characters = 0
        self._blank = True
        self._ends_with_newline = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises InvalidData with the byte and the row."""
        if not chunk:
            return
        self._hash.update(chunk)
        self._head = check_beginning(self._head, chunk)
        text = self._decode(chunk)
        self._characters += len(text)
        self._blank = self._blank and (not text or text.isspace())
        self._split.feed(chunk)
        self._seen_bytes += len(chunk)
        self._newlines += chunk.count(b"\n")
        self._ends_with_newline = chunk.endswith(b"\n")

    def finish(self) -> Inspected:
        """Return what was found. Raises InvalidData if the text ends within a character, is blank or too short."""
        self._decode_end()
        if self._blank:
            raise InvalidData.at(
                "the text is empty" if not self._seen_bytes else "the text holds nothing but white space"
            )
        if self._characters < 2:
            raise InvalidData.at("the text has 1 character; at least 2 are needed to hold some out for validation")
        rows = self._newlines + (not self._ends_with_newline)
        return Inspected(
            size_bytes=self._seen_bytes,
            sha256=self._hash.hexdigest(),
            rows=rows,
            characters=self._characters,
            split=self._split.finish(rows=rows),
        )

    def _decode(self, chunk: bytes) -> str:
        nul = chunk.find(b"\0")
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(chunk if nul < 0 else chunk[:nul])
        except UnicodeDecodeError as error:
            raise self._refusal(chunk, error.start - pending, "is not UTF-8") from None
        if nul >= 0:
            raise self._refusal(chunk, nul, "is NUL, which text does not hold")
        return text

    def _decode_end(self) -> None:
        pending = len(self._decoder.getstate()[0])
        if pending:
            raise self._refusal(b"", -pending, "begins a character that the text does not end")

    def _refusal(self, chunk: bytes, position: int, words: str) -> InvalidData:
        byte = self._seen_bytes + position
        row = self._newlines + chunk.count(b"\n", 0, max(position, 0)) + 1
        known = self._known_start(chunk)
        return InvalidData.at(f"byte {byte:,} (row {row:,}) {words}{known and f': {known}'}", byte=byte, row=row)

    def _known_start(self, chunk: bytes) -> str:
        sample = chunk[:4096]
        return known_start(self._head) or (_UTF_16 if sample.count(0) * 3 > len(sample) > 0 else "")


def check_beginning(head: bytes, chunk: bytes) -> bytes:
    """Return the first bytes of a file, grown by what comes next. Raises: InvalidData for a byte order mark."""
    if len(head) < _HEAD_BYTES:
        head = (head + chunk)[:_HEAD_BYTES]
        if head.startswith(_BYTE_ORDER_MARK):
            words = "byte 0 (row 1) begins a byte order mark; save the file as UTF-8 without BOM"
            raise InvalidData.at(words, byte=0, row=1)
    return head


def known_start(head: bytes) -> str:
    """Return what a file is that begins like this, as far as it is known and no text."""
    return next((words for start, words in _KNOWN_STARTS if head.startswith(start)), "")


class _SplitSearch:
    """Looks for the row start nearest to where validation should begin, and for a character start to fall back on.

    A row start is taken only if it leaves at least half of the text for training: a text with one short row before a
    long one would otherwise be held out almost whole.
    """

    def __init__(self, *, size_bytes: int, validation_fraction: float) -> None:
        self._size_bytes = size_bytes
        self._target = min(max(round(size_bytes * (1 - validation_fraction)), 1), max(size_bytes - 1, 1))
        self._seen_bytes = 0
        self._newlines = 0
        self._last_byte = b""
        self._row_before: tuple[int, int] | None = None
        self._row_after: tuple[int, int] | None = None
        self._character_before = (0, 0)
        self._character_after: tuple[int, int] | None = None

    def feed(self, chunk: bytes) -> None:
        if self._seen_bytes < self._target:
            self._look_before(chunk[: self._target - self._seen_bytes])
        if self._seen_bytes + len(chunk) > self._target:
            self._look_after(chunk, first=max(self._target - self._seen_bytes, 0))
        self._newlines += chunk.count(b"\n")
        self._seen_bytes += len(chunk)
        self._last_byte = chunk[-1:]

    def finish(self, *, rows: int) -> DatasetSplit:
        train_bytes, train_rows = self._choose()
        return DatasetSplit(
            train_bytes=train_bytes,
            validation_bytes=self._size_bytes - train_bytes,
            train_rows=train_rows,
            validation_rows=rows - train_rows,
        )

    def _look_before(self, part: bytes) -> None:
        newline = part.rfind(b"\n")
        if newline >= 0:
            self._row_before = self._place(part, newline + 1)
        start = _last_character(part)
        if start is not None:
            self._character_before = self._place(part, start)

    def _look_after(self, chunk: bytes, *, first: int) -> None:
        start = _first_character(chunk, first=first) if self._character_after is None else None
        if start is not None:
            self._character_after = self._place(chunk, start)
        newline = chunk.find(b"\n", first) if self._row_after is None else -1
        if newline >= 0:
            self._row_after = self._place(chunk, newline + 1)

    def _place(self, chunk: bytes, position: int) -> tuple[int, int]:
        """Return an offset in the text, and how many rows start before it."""
        before = chunk[position - 1 : position] if position else self._last_byte
        rows = self._newlines + chunk.count(b"\n", 0, position) + (before not in (b"\n", b""))
        return self._seen_bytes + position, rows

    def _choose(self) -> tuple[int, int]:
        rows = [
            row
            for row in (self._row_before, self._row_after)
            if row and self._size_bytes * _TRAIN_SHARE_MIN <= row[0] < self._size_bytes
        ]
        if rows:
            return min(rows, key=lambda row: abs(row[0] - self._target))
        return self._character_after or self._character_before


def _first_character(chunk: bytes, *, first: int) -> int | None:
    """Return where the first character at or after `first` starts; it takes at most 4 bytes to find."""
    return next((i for i in range(first, min(first + 4, len(chunk))) if chunk[i] & 0xC0 != 0x80), None)


def _last_character(part: bytes) -> int | None:
    return next((i for i in range(len(part) - 1, max(len(part) - 5, -1), -1) if part[i] & 0xC0 != 0x80), None)
