"""Rendered text, in which some words are special tokens and others only look like them."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self

import numpy as np
import tokenizers


@dataclasses.dataclass(frozen=True)
class Encoded:
    """The tokens of a text, and the character at which each begins. Shapes: both (tokens,), uint32 and int64."""

    tokens: np.ndarray
    begins: np.ndarray

    @classmethod
    def of(cls, encoding: tokenizers.Encoding) -> Self:
        begins = np.array(encoding.offsets, np.int64).reshape(-1, 2)[:, 0]
        return cls(np.array(encoding.ids, np.uint32), begins)

    @classmethod
    def joined(cls, parts: list["Encoded"]) -> "Encoded":
        if not parts:
            return cls(np.zeros(0, np.uint32), np.zeros(0, np.int64))
        return cls(np.concatenate([part.tokens for part in parts]), np.concatenate([part.begins for part in parts]))


@dataclasses.dataclass(frozen=True)
class SpecialToken:
    """A token that only a template can make, and whether it takes the white space beside it along."""

    number: int
    takes_left: bool = False
    takes_right: bool = False

    @classmethod
    def of(cls, number: int, token: Any) -> Self:
        return cls(number, takes_left=token.lstrip, takes_right=token.rstrip)


class SegmentEncoder(Protocol):
    """A tokenizer, as far as rendered text needs it."""

    special_tokens: Mapping[str, SpecialToken]

    def encode_segment(self, text: str, *, first: bool) -> Encoded:
        """The tokens of a piece of text in which nothing is special."""


def hidden_segments(text: str, hidden: Mapping[str, str], tokenizer: SegmentEncoder) -> Encoded:
    """The tokens of a rendered text in which each character of `hidden` stands for words that are not special.

    The text is cut at its special tokens, and what lies between is encoded as plain text.
    """
    return Encoded.joined(list(encoded_segments(text, hidden, tokenizer)))


def encoded_segments(text: str, hidden: Mapping[str, str], tokenizer: SegmentEncoder) -> Iterator[Encoded]:
    place = 0
    for match in pattern(tokenizer.special_tokens).finditer(text):
        yield plain(text, place, match.start(), hidden, tokenizer)
        number = tokenizer.special_tokens[match[0].strip() if match[0] not in tokenizer.special_tokens else match[0]]
        yield Encoded(np.array([number.number], np.uint32), np.array([match.start()], np.int64))
        place = match.end()
    yield plain(text, place, len(text), hidden, tokenizer)


def pattern(special_tokens: Mapping[str, SpecialToken]) -> re.Pattern[str]:
    """Matches the longest special token, with the white space that it takes."""
    longest_first = sorted(special_tokens.items(), key=lambda item: (-len(item[0]), item[0]))
    words = [
        (r"\s*" if token.takes_left else "") + re.escape(text) + (r"\s*" if token.takes_right else "")
        for text, token in longest_first
    ]
    return re.compile("|".join(words) or r"(?!)")


def plain(text: str, begin: int, end: int, hidden: Mapping[str, str], tokenizer: SegmentEncoder) -> Encoded:
    if begin == end:
        return Encoded.joined([])
    piece = text[begin:end]
    if not any(character in piece for character in hidden):
        encoded = tokenizer.encode_segment(piece, first=begin == 0)
        return Encoded(encoded.tokens, encoded.begins + begin)
    shown = [hidden.get(character, character) for character in piece]
    encoded = tokenizer.encode_segment("".join(shown), first=begin == 0)
    origins = np.repeat(np.arange(begin, end), [len(characters) for characters in shown])
    return Encoded(encoded.tokens, origins[np.minimum(encoded.begins, len(origins) - 1)])
