"""The bytes that each token of a Hugging Face tokenizer stands for.

V is the vocabulary.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import tokenizers

from trainer_worker.trainer.engine.errors import BadCheckpoint

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def bytes_of_tokens(inner: tokenizers.Tokenizer, *, size: int) -> list[bytes]:
    """What each token adds to a text that others came before: none for special tokens and numbers without a token.

    Joined, they are what the tokenizer's decoder makes of the tokens, down to a part of a character.
    Length: V. Raises: BadCheckpoint if the decoder changes text that is already there.
    """
    settings = json.loads(inner.to_str())
    special = {token["id"] for token in settings["added_tokens"] if token["special"]}
    names = {token: inner.id_to_token(token) for token in range(size) if token not in special}
    ordinary = {token: name for token, name in names.items() if name is not None}
    found = dict(decoded(inner, list(part_types(settings["decoder"])), settings["decoder"], ordinary))
    return [found.get(token, b"") for token in range(size)]


def part_types(decoder: dict[str, Any] | None) -> Iterator[str]:
    """The names of a decoder and of its parts."""
    if decoder:
        yield decoder["type"]
        for part in decoder.get("decoders", ()):
            yield from part_types(part)


def decoded(
    inner: tokenizers.Tokenizer, parts: list[str], decoder: dict[str, Any] | None, names: dict[int, str]
) -> Iterator[tuple[int, bytes]]:
    if "ByteLevel" in parts:
        table = byte_of_character()
        yield from ((token, byte_level(name, table)) for token, name in names.items())
    elif decoder and parts == ["BPEDecoder"]:
        suffix = decoder.get("suffix") or "</w>"
        yield from ((token, name.replace(suffix, " ").encode()) for token, name in names.items())
    elif "CTC" in parts:
        raise BadCheckpoint("tokenizer.json has a decoder for speech (CTC), which no text can be trained with")
    else:
        raw = {token: bytes.fromhex(byte[1]) for token, byte in byte_tokens(parts, names)}
        yield from raw.items()
        yield from after_another(inner, [token for token in names if token not in raw])


def byte_level(name: str, table: dict[str, int]) -> bytes:
    """An added token may be spelt in characters that no byte stands behind: it is what it says."""
    if all(character in table for character in name):
        return bytes(table[character] for character in name)
    return name.encode()


def byte_tokens(parts: list[str], names: dict[int, str]) -> Iterator[tuple[int, re.Match[str]]]:
    if "ByteFallback" in parts:
        for token, name in names.items():
            if match := BYTE_TOKEN.fullmatch(name):
                yield token, match


def after_another(inner: tokenizers.Tokenizer, tokens: list[int]) -> Iterator[tuple[int, bytes]]:
    """What the decoder makes of each token behind another one, which is where most tokens stand."""
    if not tokens:
        return
    alone = inner.decode_batch([[token] for token in tokens], skip_special_tokens=False)
    anchor, before = next(
        ((token, text) for token, text in zip(tokens, alone, strict=True) if text.isascii() and text.isalnum()),
        (tokens[0], alone[0]),
    )
    pairs = inner.decode_batch([[anchor, token] for token in tokens], skip_special_tokens=False)
    for token, text in zip(tokens, pairs, strict=True):
        if not text.startswith(before):
            raise BadCheckpoint(f"tokenizer.json: token {token} changes the text before it, which cannot be streamed")
        yield token, text[len(before) :].encode()


def byte_of_character() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary.

    Source: GPT-2's `bytes_to_unicode`: printable bytes stand for themselves, the others for characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}
