"""The dataset's bytes, on the disk of the worker."""

import hashlib
import pathlib
import re
import uuid
from collections.abc import Iterator

import numpy as np

from artifacts import Store
from trainer_worker.trainer.engine.errors import UnusableData

CHUNK_BYTES = 1 << 20
WORDS = re.compile(r"\s*((?:\S+\s+){0,7}\S+)")
WORDS_CHARACTERS_MAX = 80

Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]


def fetch_text(store: Store, *, key: str, sha256: str, size_bytes: int, scratch: pathlib.Path) -> Bytes:
    """A memory map of the dataset, copied to the scratch folder once and hashed on every start.

    Shape: (bytes,) uint8. Raises: UnusableData if the bytes do not have the hash of the dataset.
    """
    path = fetch_file(store, key=key, sha256=sha256, size_bytes=size_bytes, scratch=scratch)
    return np.memmap(path, np.uint8, mode="r") if size_bytes else np.zeros(0, np.uint8)


def fetch_file(store: Store, *, key: str, sha256: str, size_bytes: int, scratch: pathlib.Path) -> pathlib.Path:
    """The same as a file."""
    path = scratch / "datasets" / sha256
    if not path.exists() or file_sha256(path) != sha256:
        copy(store, key, path)
        if (found := file_sha256(path)) != sha256:
            path.unlink()
            raise UnusableData(f"the dataset's {size_bytes} bytes have the hash {found[:12]}…, not {sha256[:12]}…")
    return path


def copy(store: Store, key: str, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with store.open(key) as source, temporary.open("wb") as target:
            while block := source.read(CHUNK_BYTES):
                target.write(block)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def file_sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks(text: Bytes, *, size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The text in pieces of about `size_bytes`, cut after a line if there is one, and never inside a character."""
    begin = 0
    while begin < len(text):
        end = min(begin + size_bytes, len(text))
        piece = text[begin:end].tobytes()
        if end < len(text):
            piece = piece[: cut(piece)]
        yield piece
        begin += len(piece)


def cut(piece: bytes) -> int:
    if newline := piece.rfind(b"\n") + 1:
        return newline
    end = len(piece)
    while end > 1 and piece[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1 if end > 1 else len(piece)


def first_words(text: str) -> str:
    """Up to eight words that a text begins with; nothing if it has none."""
    words = WORDS.match(text[: 8 * WORDS_CHARACTERS_MAX])
    return words[1][:WORDS_CHARACTERS_MAX] if words else ""


def first_words_of(*texts: Bytes) -> str:
    """The first words of the first text that has any."""
    beginnings = (text[: 8 * WORDS_CHARACTERS_MAX].tobytes().decode(errors="ignore") for text in texts)
    return next(filter(None, map(first_words, beginnings)), "")
