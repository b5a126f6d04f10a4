"""What is wrong with a tokenizer.json, in words: the library that reads it answers in those of its own insides."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trainer_worker.trainer.engine.errors import BadCheckpoint

VOCABULARY_MAX = 1 << 20
MODELS = ("BPE", "Unigram", "WordPiece", "WordLevel")
WORDS_MAX = 200  # of the library


def tokenizer_settings(content: bytes, *, name: str) -> dict[str, Any]:
    """What a tokenizer.json says. Raises: BadCheckpoint that names what is wrong."""
    try:
        settings = json.loads(content.decode())
    except UnicodeDecodeError as error:
        raise broken(name, f"byte {error.start:,} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise broken(name, f"it is not JSON: {error.msg} in line {error.lineno:,}, column {error.colno:,}") from error
    except (ValueError, RecursionError) as error:
        raise broken(name, "it is nested too deeply, or has a number that is too long") from error
    wrong = next(faults(settings), None)
    if wrong:
        raise broken(name, wrong)
    require_sizes(settings)
    return dict(settings)


def broken(name: str, why: str) -> BadCheckpoint:
    help = "It must be a tokenizer.json as the library `tokenizers` saves it; save or download it again."
    return BadCheckpoint(f"{name} cannot be read: {why}", help=help)


def refused(name: str, error: BaseException) -> BadCheckpoint:
    """What the library finds wrong, which was not looked for here."""
    said = " ".join(str(error).split())[:WORDS_MAX]
    return broken(name, f"the library `tokenizers` refuses it: {said}")


def faults(settings: Any) -> Iterator[str]:
    """What is not as it must be, in the order of looking."""
    if not isinstance(settings, dict):
        yield "it holds no object"
        return
    model = settings.get("model")
    if not isinstance(model, dict):
        yield "it has no object `model`"
        return
    if model.get("type", MODELS[0]) not in MODELS:
        yield f"`model.type` is {ascii(model['type'])[:80]}, and must be one of {', '.join(MODELS)}"
    yield from faults_of_vocabulary(model.get("vocab"))
    yield from faults_of_added(settings.get("added_tokens"))


def faults_of_vocabulary(vocabulary: Any) -> Iterator[str]:
    if isinstance(vocabulary, list):
        return
    if not isinstance(vocabulary, dict):
        yield "`model.vocab` must be an object or a list, and is " + ("missing" if vocabulary is None else "neither")
        return
    for token, number in vocabulary.items():
        if not is_number(number):
            yield f"the token {ascii(token)[:80]} of `model.vocab` has the number {ascii(number)[:80]}"


def faults_of_added(added: Any) -> Iterator[str]:
    if added is None:
        return
    if not isinstance(added, list):
        yield "`added_tokens` must be a list"
        return
    for place, token in enumerate(added):
        if not isinstance(token, dict) or not is_number(token.get("id")) or not isinstance(token.get("content"), str):
            yield f"`added_tokens[{place}]` must be an object with `id`, a number, and `content`, a text"


def is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def require_sizes(settings: Mapping[str, Any]) -> None:
    """Raises: BadCheckpoint for numbers of tokens that would need memory out of proportion."""
    vocabulary = settings["model"]["vocab"]
    numbers = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    added = [token["id"] for token in settings.get("added_tokens") or ()]
    largest = max((*numbers, *added), default=-1)
    if not added and not vocabulary:
        raise BadCheckpoint("tokenizer.json has no tokens")
    if largest >= VOCABULARY_MAX:
        raise BadCheckpoint(f"tokenizer.json has a token of number {largest:,}, and {VOCABULARY_MAX:,} is too large")
