"""How text becomes tokens, and tokens text again.

Both kinds hold every byte, so that no text is out of vocabulary. V is the vocabulary.
"""

import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.text import Bytes, chunks

END_OF_TEXT = "<|endoftext|>"
TRAINING_CHUNKS_MAX = 64  # of 1 MiB: more text changes hardly a merge, and takes minutes


class Tokenizer(Protocol):
    """What the engine needs of a tokenizer."""

    kind: str
    vocabulary_size: int
    end_of_text: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for end-of-text. Joined, they are UTF-8 if the text was."""

    def encode_text(self, text: Bytes) -> Iterator[np.ndarray]:
        """The tokens of a long text, piece by piece."""

    def identity(self) -> str:
        """The same for tokenizers that do the same."""


class ByteTokenizer:
    """One token a byte, and one for the end of a text."""

    kind = "bytes"
    vocabulary_size = 257
    end_of_text = 256

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if token < 256).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def encode_text(self, text: Bytes) -> Iterator[np.ndarray]:
        yield text

    def identity(self) -> str:
        return "bytes"


class BytePairTokenizer:
    """Byte-level byte-pair encoding, by Hugging Face `tokenizers`, in its own file format."""

    kind = "bpe"

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        end_of_text = inner.token_to_id(END_OF_TEXT)
        if end_of_text is None:
            raise BadCheckpoint(f"the tokenizer has no {END_OF_TEXT} token")
        inner.encode_special_tokens = True  # text that looks like a special token stays text
        self.inner = inner
        self.vocabulary_size: int = inner.get_vocab_size()
        self.end_of_text: int = end_of_text
        self.byte_of = byte_of_character()

    @classmethod
    def train(cls, text: Bytes, *, vocabulary_size: int) -> "BytePairTokenizer":
        """Learns the merges from a text, of which at most 64 MiB are read, spread over its whole length.

        The same text and size make the same tokenizer. A short text may yield fewer tokens than asked for.
        """
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        stride = -(-len(text) // (TRAINING_CHUNKS_MAX << 20)) or 1
        pieces = (piece for index, piece in enumerate(chunks(text)) if index % stride == 0)
        inner.train_from_iterator((piece.decode(errors="replace") for piece in pieces), trainer)
        return cls(inner)

    @classmethod
    def load(cls, path: pathlib.Path) -> "BytePairTokenizer":
        """Raises: BadCheckpoint if the file is no tokenizer."""
        try:
            inner = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise BadCheckpoint(f"{path.name} cannot be read: {error}") from error
        return cls(inner)

    def save(self, path: pathlib.Path) -> None:
        path.write_text(self.inner.to_str())

    def encode(self, text: str) -> list[int]:
        return self.inner.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self.token_bytes, tokens)).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        if token == self.end_of_text:
            return b""
        return bytes(self.byte_of[character] for character in self.inner.id_to_token(token) or "")

    def encode_text(self, text: Bytes) -> Iterator[np.ndarray]:
        for piece in chunks(text):
            yield np.array(self.encode(piece.decode(errors="replace")), np.uint32)

    def identity(self) -> str:
        return hashlib.sha256(self.inner.to_str().encode()).hexdigest()


def byte_of_character() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary.

    Source: GPT-2's `bytes_to_unicode`: printable bytes stand for themselves, the others for characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}


def byte_counts(tokenizer: Tokenizer) -> np.ndarray:
    """How many bytes each token stands for. Shape (V,), int64."""
    return np.array([len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocabulary_size)], np.int64)
