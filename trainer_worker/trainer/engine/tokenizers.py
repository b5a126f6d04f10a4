"""How text becomes tokens, and tokens text again.

Bytes and trained pairs hold every byte, so that no text is out of vocabulary. V is the vocabulary.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.special_tokens import Encoded, SpecialToken, hidden_segments
from trainer_worker.trainer.engine.text import Bytes, chunks
from trainer_worker.trainer.engine.tokenizer_files import FileTokenizer, end_of_text_of, read_inner

END_OF_TEXT = "<|endoftext|>"
TRAINING_CHUNKS_MAX = 64  # of 1 MiB: more text changes hardly a merge, and takes minutes


class Tokenizer(Protocol):
    """What the engine needs of a tokenizer."""

    kind: str
    vocabulary_size: int
    end_of_text: int
    chat_template: str | None
    beginning: tuple[int, ...]
    special_tokens: Mapping[str, SpecialToken]

    @property
    def end_of_text_words(self) -> str:
        """How end-of-text is written, for chat templates."""

    @property
    def beginning_words(self) -> str:
        """How the beginning of a text is written, for chat templates; often nothing."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, in which nothing is special."""

    def encode_prompt(self, text: str) -> list[int]:
        """The tokens of what a model is to go on from: never none, and begun as every text begins."""

    def encode_rows(self, texts: Sequence[str], *, continuing: bool = False) -> list[np.ndarray]:
        """The tokens of each text, in which nothing is special; `continuing` texts go on from others."""

    def encode_rendered(self, texts: Sequence[str], hidden: Sequence[Mapping[str, str]] = ()) -> list[Encoded]:
        """The tokens of rendered texts, in which special tokens are special.

        `hidden` holds, for each text, characters that stand for words which look special and are not.
        """

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens from its beginning on."""

    def continuation(self, tokens: Sequence[int]) -> str:
        """The text that tokens add to one that is already there."""

    def token_bytes(self, token: int) -> bytes:
        """What a token adds to a text; nothing for special tokens. Joined, they are UTF-8 if the text was."""

    def encode_text(self, text: Bytes) -> Iterator[np.ndarray]:
        """The tokens of a long text, piece by piece."""

    def identity(self) -> str:
        """The same for tokenizers that do the same."""

    def settings(self) -> dict[str, Any]:
        """What must be stored of it beside tokenizer.json."""


class ByteTokenizer:
    """One token a byte, and one for the end of a text."""

    kind = "bytes"
    vocabulary_size = 257
    end_of_text = 256
    end_of_text_words = END_OF_TEXT
    beginning_words = ""
    beginning: tuple[int, ...] = ()
    special_tokens: Mapping[str, SpecialToken] = {END_OF_TEXT: SpecialToken(256)}

    def __init__(self, chat_template: str | None = None) -> None:
        self.chat_template = chat_template

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_prompt(self, text: str) -> list[int]:
        return self.encode(text) or [self.end_of_text]

    def encode_rows(self, texts: Sequence[str], *, continuing: bool = False) -> list[np.ndarray]:
        return [np.frombuffer(text.encode(), np.uint8) for text in texts]

    def encode_rendered(self, texts: Sequence[str], hidden: Sequence[Mapping[str, str]] = ()) -> list[Encoded]:
        words = hidden or [{}] * len(texts)
        return [hidden_segments(text, kept, self) for text, kept in zip(texts, words, strict=True)]

    def encode_segment(self, text: str, *, first: bool) -> Encoded:
        tokens = np.frombuffer(text.encode(), np.uint8)
        return Encoded(tokens.astype(np.uint32), np.cumsum((tokens & 0xC0) != 0x80) - 1)

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if token < 256).decode(errors="replace")

    def continuation(self, tokens: Sequence[int]) -> str:
        return self.decode(tokens)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def encode_text(self, text: Bytes) -> Iterator[np.ndarray]:
        yield text

    def identity(self) -> str:
        return "bytes"

    def settings(self) -> dict[str, Any]:
        return {"kind": self.kind} | ({"chat_template": self.chat_template} if self.chat_template else {})


class BytePairTokenizer(FileTokenizer):
    """Byte-level byte-pair encoding that is trained here."""

    kind = "bpe"

    @classmethod
    def train(cls, text: Bytes, *, vocabulary_size: int, special_tokens: Sequence[str] = ()) -> Self:
        """Learns the merges from a text, of which at most 64 MiB are read, spread over its whole length.

        The same text and size make the same tokenizer. A short text may yield fewer tokens than asked for.
        `special_tokens` are further tokens that only a template can make.
        """
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=[END_OF_TEXT, *special_tokens],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        stride = -(-len(text) // (TRAINING_CHUNKS_MAX << 20)) or 1
        pieces = (piece for index, piece in enumerate(chunks(text)) if index % stride == 0)
        inner.train_from_iterator((piece.decode(errors="replace") for piece in pieces), trainer)
        return cls(inner, end_of_text=0)  # the first of the special tokens

    @classmethod
    def load(
        cls, path: pathlib.Path, *, end_of_text: int | str | None = None, chat_template: str | None = None
    ) -> Self:
        """Raises: BadCheckpoint if the file is no tokenizer of this kind."""
        inner = read_inner(path)
        if inner.token_to_id(END_OF_TEXT) is None:
            raise BadCheckpoint(f"the tokenizer has no {END_OF_TEXT} token")
        number = end_of_text_of(inner, END_OF_TEXT if end_of_text is None else end_of_text, {})
        return cls(inner, end_of_text=number, chat_template=chat_template)


def load_tokenizer_file(
    path: pathlib.Path, *, end_of_text: int | str | None = None, chat_template: str | None = None
) -> FileTokenizer:
    """A tokenizer.json of Hugging Face.

    What is not given is taken from tokenizer_config.json in the same folder, if there is one; the end of a text at last
    from how it is usually called. Raises: BadCheckpoint if the file is no tokenizer, or names no end of text.
    """
    return FileTokenizer.load(path, end_of_text=end_of_text, chat_template=chat_template)


def byte_counts(tokenizer: Tokenizer) -> np.ndarray:
    """How many bytes each token stands for. Shape (V,), int64."""
    return np.array([len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocabulary_size)], np.int64)
