"""What services need to know of a tokenizer.json: how many tokens it has. The trainer reads the rest."""

import json
from collections.abc import Iterator
from typing import Any

from services.domain.limits import TOKENIZER_FILE_VALUES_MAX


def holds_too_much(content: bytes) -> bool:
    """Whether a file would fill the memory when it is read: commas and brackets bound how many values it has."""
    return sum(content.count(mark) for mark in (b",", b"[", b"{")) > TOKENIZER_FILE_VALUES_MAX


def vocabulary_size_of(content: bytes) -> int | None:
    """Return the number of rows that an embedding needs for it, which is its highest id and one; None if it is none.

    `model.vocab` is an object from tokens to ids, or for unigram models a list; `added_tokens` have ids of their own.
    """
    if holds_too_much(content):
        return None
    try:
        highest = max(_ids(json.loads(content)), default=None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return None if highest is None else highest + 1


def _ids(plain: Any) -> Iterator[int]:
    vocabulary = plain["model"]["vocab"]
    ids = range(len(vocabulary)) if isinstance(vocabulary, list) else vocabulary.values()
    added = [token["id"] for token in plain.get("added_tokens") or ()]
    for number in (*ids, *added):
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!r} is no id of a token")
        yield number
