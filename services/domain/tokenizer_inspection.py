"""What is found out about a tokenizer.json of Hugging Face: that it is one. The trainer reads the rest."""

import hashlib
import json
from typing import Any

from services.domain.datasets import DatasetSplit
from services.domain.errors import InvalidData
from services.domain.limits import TOKENIZER_FILE_BYTES_MAX, TOKENIZER_FILE_VALUES_MAX
from services.domain.text_inspection import Inspected, check_beginning
from services.domain.tokenizer_files import holds_too_much, vocabulary_size_of

MODELS = ("BPE", "Unigram", "WordPiece", "WordLevel")


class TokenizerInspection:
    """Takes the bytes of a tokenizer.json, which is small enough to be held whole."""

    def __init__(self, *, size_bytes: int) -> None:
        if size_bytes > TOKENIZER_FILE_BYTES_MAX:
            limit = f"and at most {TOKENIZER_FILE_BYTES_MAX:,} are taken"
            raise InvalidData.at(f"a tokenizer.json of {size_bytes:,} bytes is too large, {limit}")
        self._content = bytearray()
        self._head = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises: InvalidData."""
        self._head = check_beginning(self._head, chunk)
        self._content += chunk

    def finish(self) -> Inspected:
        """Return what was found. Raises: InvalidData."""
        content = bytes(self._content)
        if holds_too_much(content):
            raise InvalidData.at(
                f"the file holds more than {TOKENIZER_FILE_VALUES_MAX:,} values, more than tokenizers do"
            )
        _check(_parsed(content))
        if not vocabulary_size_of(content):
            raise InvalidData.at("`model.vocab` must hold tokens with their ids")
        whole = DatasetSplit(train_bytes=len(content), validation_bytes=0, train_rows=0, validation_rows=0)
        return Inspected(
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            rows=0,
            characters=len(content.decode()),
            split=whole,
        )


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content.decode())
    except UnicodeDecodeError as error:
        raise InvalidData.at(f"byte {error.start:,} is not UTF-8", byte=error.start) from None
    except json.JSONDecodeError as error:
        words = f"the file is not JSON: {error.msg} in line {error.lineno:,}, column {error.colno:,}"
        raise InvalidData.at(words, row=error.lineno) from None
    except (ValueError, RecursionError):
        raise InvalidData.at(
            "the file is JSON that cannot be read: too deeply nested, or with too long a number"
        ) from None


def _check(plain: Any) -> None:
    model = plain.get("model") if isinstance(plain, dict) else None
    if not isinstance(model, dict):
        raise InvalidData.at("the file is no tokenizer.json: it has no object `model`")
    if "type" in model and model["type"] not in MODELS:
        raise InvalidData.at(f"`model.type` must be one of {', '.join(MODELS)}, got {ascii(model['type'])[:80]}")
    if not isinstance(model.get("vocab"), dict | list):
        raise InvalidData.at("`model.vocab` must be an object or a list")
