"""Tokenizers in the file format of Hugging Face, whatever their kind: tokenizer.json.

V is the vocabulary.
"""

import functools
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import tokenizers

from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.special_tokens import Encoded, SpecialToken, hidden_segments
from trainer_worker.trainer.engine.text import Bytes, chunks
from trainer_worker.trainer.engine.token_bytes import bytes_of_tokens
from trainer_worker.trainer.engine.tokenizer_checks import refused, tokenizer_settings

FILE_BYTES_MAX = 64 << 20  # the largest in use, of 262,144 tokens, has 34 MB
CHUNKS_AT_ONCE = 8  # of 1 MiB, encoded side by side
TEMPLATE_CHARACTERS_MAX = 100_000

# How the end of a text is called where nothing says which token it is, the likeliest first.
ENDS = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "[EOS]",
    "[SEP]",
)


class FileTokenizer:
    """What a tokenizer.json describes. Text that looks like a special token stays text, except where it is rendered.

    `beginning` is what a text begins with, such as a token for the beginning of a text; often nothing.
    """

    kind = "file"

    def __init__(self, inner: tokenizers.Tokenizer, *, end_of_text: int, chat_template: str | None = None) -> None:
        inner.add_special_tokens([inner.id_to_token(end_of_text)])  # no text makes it, wherever the file has it
        inner.encode_special_tokens = True
        self.inner = inner
        self.end_of_text = end_of_text
        self.chat_template = chat_template
        self.vocabulary_size: int = max(inner.get_vocab(with_added_tokens=True).values()) + 1
        added = inner.get_added_tokens_decoder().items()
        self.special_tokens: Mapping[str, SpecialToken] = {
            token.content: SpecialToken.of(number, token) for number, token in added if token.special
        }
        self.beginning = beginning_of(inner)
        self._has_suffixes = isinstance(inner.decoder, tokenizers.decoders.BPEDecoder)
        made_by_text = {unknown_of(inner)} - {end_of_text}
        numbers = {token.number for token in self.special_tokens.values()} - made_by_text
        self._special_numbers = np.array(sorted(numbers), np.uint32)

    @property
    def end_of_text_words(self) -> str:
        """How end-of-text is written, for chat templates."""
        return self.inner.id_to_token(self.end_of_text) or ""

    @property
    def beginning_words(self) -> str:
        """How the beginning of a text is written; often nothing."""
        return "".join(self.inner.id_to_token(token) or "" for token in self.beginning)

    @classmethod
    def load(
        cls, path: pathlib.Path, *, end_of_text: int | str | None = None, chat_template: str | None = None
    ) -> Self:
        """Raises: BadCheckpoint if the file is no tokenizer, too large, or names no end of text."""
        inner = read_inner(path)
        number = end_of_text_of(inner, end_of_text, settings_beside(path))
        if chat_template is None:
            chat_template = template_beside(path)
        return cls(inner, end_of_text=number, chat_template=chat_template)

    def save(self, path: pathlib.Path) -> None:
        path.write_text(self.inner.to_str())

    def settings(self) -> dict[str, Any]:
        """What must be stored beside tokenizer.json."""
        return {"kind": self.kind, "end_of_text": self.end_of_text, "chat_template": self.chat_template}

    def encode(self, text: str) -> list[int]:
        return self.encode_rows([text])[0].tolist()

    def encode_prompt(self, text: str) -> list[int]:
        """The tokens of what a model is to go on from: never none, and begun as every text begins.

        Where there are special tokens beside those for beginning and end, such as those for turns, the ones that a
        prompt writes out are special: who asks a chat model says whose turn it is.
        """
        turns = set(self._special_numbers.tolist()) - {self.end_of_text, *self.beginning}
        tokens = self.encode_rendered([text])[0].tokens.tolist() if turns else self.encode(text)
        if tuple(tokens[: len(self.beginning)]) != self.beginning:
            tokens = [*self.beginning, *tokens]
        return tokens or [self.end_of_text]

    def encode_rows(self, texts: Sequence[str], *, continuing: bool = False) -> list[np.ndarray]:
        """The tokens of each text, side by side on all cores; `continuing` texts go on from others."""
        inner = self._continuing if continuing else self.inner
        found = ids_of(inner.encode_batch_fast(list(texts), add_special_tokens=False))
        if not found or not np.isin(np.concatenate(found), self._special_numbers).any():
            return found
        for index, tokens in enumerate(found):
            if np.isin(tokens, self._special_numbers).any():
                found[index] = self._broken(texts[index], inner).tokens
        return found

    def encode_rendered(self, texts: Sequence[str], hidden: Sequence[Mapping[str, str]] = ()) -> list[Encoded]:
        """The tokens of rendered texts, in which special tokens are special.

        `hidden` holds, for each text, characters that stand for words which look special and are not.
        """
        found = [
            Encoded.of(encoding) for encoding in self._rendered.encode_batch(list(texts), add_special_tokens=False)
        ]
        for index, words in enumerate(hidden):
            if words:
                found[index] = hidden_segments(texts[index], words, self)
        return found

    def encode_segment(self, text: str, *, first: bool) -> Encoded:
        """The tokens of a piece of a rendered text in which nothing is special."""
        inner = self.inner if first else self._segment
        encoded = Encoded.of(inner.encode(text, add_special_tokens=False))
        return self._broken(text, inner) if np.isin(encoded.tokens, self._special_numbers).any() else encoded

    def encode_text(self, text: Bytes) -> Iterator[np.ndarray]:
        pieces: list[str] = []
        for piece in chunks(text):
            pieces.append(piece.decode(errors="replace"))
            if len(pieces) == CHUNKS_AT_ONCE:
                yield np.concatenate(self.encode_rows(pieces))
                pieces = []
        if pieces:
            yield np.concatenate(self.encode_rows(pieces))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens that it begins with; what `encode` puts before the first word is taken away again."""
        ordinary = [token for token in tokens if self.token_bytes(token)]
        if not ordinary:
            return ""
        whole = self._first_bytes(ordinary[0]) + self._joined(ordinary[1:])
        return self._without_last_space(whole, ordinary[-1]).decode(errors="replace")

    def continuation(self, tokens: Sequence[int]) -> str:
        """The text that tokens add to one that is already there."""
        return self._joined(tokens).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        return self._bytes[token] if token < self.vocabulary_size else b""

    def identity(self) -> str:
        return hashlib.sha256(f"{self.end_of_text} {self.inner.to_str()}".encode()).hexdigest()

    @functools.cached_property
    def _bytes(self) -> list[bytes]:
        return bytes_of_tokens(self.inner, size=self.vocabulary_size)

    @functools.cached_property
    def _rendered(self) -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer.from_str(self.inner.to_str())

    @functools.cached_property
    def _segment(self) -> tokenizers.Tokenizer:
        """For the pieces of a text after its first one."""
        return variant(self.inner, without_prepend=False)

    @functools.cached_property
    def _continuing(self) -> tokenizers.Tokenizer:
        """Puts nothing before the first word."""
        return variant(self.inner, without_prepend=True)

    def _joined(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self.token_bytes(token) for token in tokens)

    def _without_last_space(self, whole: bytes, last: int) -> bytes:
        """Tokens that carry the space behind a word carry none at the end."""
        return whole[:-1] if self._has_suffixes and self.token_bytes(last).endswith(b" ") else whole

    def _first_bytes(self, token: int) -> bytes:
        if self._has_suffixes:
            return self.token_bytes(token)
        alone = self.inner.decode([token], skip_special_tokens=False)
        return self.token_bytes(token) if "\ufffd" in alone else alone.encode()

    def _broken(self, text: str, inner: tokenizers.Tokenizer) -> Encoded:
        """The tokens of a text that the model itself, not the list of added tokens, takes for a special one.

        Each word that looks special is cut behind its first character.
        """
        looks = "|".join(f"(?<={re.escape(words[0])})(?={re.escape(words[1:])})" for words in self.special_tokens)
        cuts = [0, *(match.start() for match in re.finditer(looks, text)), len(text)]
        parts = []
        for begin, end in itertools.pairwise(cuts):
            encoded = Encoded.of(
                (self._continuing if begin else inner).encode(text[begin:end], add_special_tokens=False)
            )
            kept = ~np.isin(encoded.tokens, self._special_numbers)
            parts.append(Encoded(encoded.tokens[kept], encoded.begins[kept] + begin))
        return Encoded.joined(parts)


def ids_of(encodings: list[tokenizers.Encoding]) -> list[np.ndarray]:
    return [np.array(encoding.ids, np.uint32) for encoding in encodings]


def variant(inner: tokenizers.Tokenizer, *, without_prepend: bool) -> tokenizers.Tokenizer:
    """The same for a piece of text that is not the first: nothing is put before it as before a first word.

    `without_prepend` leaves out, too, what the tokenizer would put before every piece.
    """
    settings = json.loads(inner.to_str())
    for part in parts_of(settings["pre_tokenizer"], "pretokenizers"):
        if part["type"] == "Metaspace" and (without_prepend or part["prepend_scheme"] == "first"):
            part["prepend_scheme"] = "never"
        if part["type"] == "ByteLevel" and without_prepend:
            part["add_prefix_space"] = False
    if without_prepend:
        settings["normalizer"] = without(settings["normalizer"], "Prepend")
    changed = tokenizers.Tokenizer.from_str(json.dumps(settings))
    changed.encode_special_tokens = True
    return changed


def parts_of(part: dict[str, Any] | None, key: str) -> Iterator[dict[str, Any]]:
    """A part of a tokenizer and, if it is a sequence, the parts of it."""
    if part:
        yield part
        for inner in part.get(key, ()):
            yield from parts_of(inner, key)


def without(normalizer: dict[str, Any] | None, kind: str) -> dict[str, Any] | None:
    if not normalizer or normalizer["type"] == kind:
        return None
    if normalizer["type"] == "Sequence":
        kept = [part for part in (without(part, kind) for part in normalizer["normalizers"]) if part]
        return {"type": "Sequence", "normalizers": kept}
    return normalizer


def unknown_of(inner: tokenizers.Tokenizer) -> int | None:
    """The token that stands for what is not in the vocabulary: special, and yet made by plain text."""
    model = json.loads(inner.to_str())["model"]
    return model["unk_id"] if "unk_id" in model else inner.token_to_id(model.get("unk_token") or "")


def beginning_of(inner: tokenizers.Tokenizer) -> tuple[int, ...]:
    """The tokens that the post-processor puts before a text."""
    whole = inner.encode("a", add_special_tokens=True)
    return tuple(token for token, _ in zip(whole.ids, leading(whole.special_tokens_mask), strict=False))


def leading(mask: list[int]) -> Iterator[int]:
    for flag in mask:
        if not flag:
            return
        yield flag


def read_inner(path: pathlib.Path) -> tokenizers.Tokenizer:
    """The tokenizer of a file, without what would make its result depend on chance or on length.

    Raises: BadCheckpoint if the file is no tokenizer, or too large.
    """
    if (size := path.stat().st_size if path.exists() else 0) > FILE_BYTES_MAX:
        raise BadCheckpoint(f"{path.name} has {size:,} bytes, more than {FILE_BYTES_MAX:,}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error.strerror}") from error
    settings = tokenizer_settings(content, name=path.name)
    settings["model"].pop("dropout", None)
    settings |= {"truncation": None, "padding": None}
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(settings))
    except Exception as error:  # the library raises plain Exception
        raise refused(path.name, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how its Rust code fails on what it did not expect
            raise
        raise refused(path.name, error) from error


def settings_beside(path: pathlib.Path) -> dict[str, Any]:
    """What tokenizer_config.json in the same folder says; nothing if there is none. Raises: BadCheckpoint."""
    beside = path.with_name("tokenizer_config.json")
    if not beside.exists():
        return {}
    try:
        settings = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{beside.name} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise BadCheckpoint(f"{beside.name} must hold an object")
    return settings


def template_beside(path: pathlib.Path) -> str | None:
    """The chat template in tokenizer_config.json, or in the file chat_template.jinja of the same folder."""
    template = settings_beside(path).get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    beside = path.with_name("chat_template.jinja")
    if template is None and beside.exists() and beside.stat().st_size <= 4 * TEMPLATE_CHARACTERS_MAX:
        template = beside.read_text(encoding="utf-8", errors="replace")
    if template is not None and (not isinstance(template, str) or len(template) > TEMPLATE_CHARACTERS_MAX):
        raise BadCheckpoint(f"the chat template is no text of at most {TEMPLATE_CHARACTERS_MAX:,} characters")
    return template


def end_of_text_of(inner: tokenizers.Tokenizer, named: int | str | None, settings: Mapping[str, Any]) -> int:
    """The token that ends a text: the one that is named, or that the settings name, or that is usually called so.

    Raises: BadCheckpoint if there is no such token.
    """
    if named is None:
        eos = settings.get("eos_token")
        named = eos.get("content") if isinstance(eos, dict) else eos
    if isinstance(named, int):
        if inner.id_to_token(named) is None:
            raise BadCheckpoint(f"the tokenizer has no token {named}, which should end a text")
        return named
    if isinstance(named, str):
        number = inner.token_to_id(named)
        if number is None:
            raise BadCheckpoint(f"the tokenizer has no token {named!r}, which should end a text")
        return number
    added = inner.get_added_tokens_decoder().items()
    special = {token.content: number for number, token in added if token.special}
    for words in ENDS:
        if words in special:
            return special[words]
    raise BadCheckpoint("the tokenizer has no token that ends a text", help=f"Such as one of {', '.join(ENDS)}.")
