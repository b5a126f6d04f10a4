"""Plain text as tokens, kept in the scratch folder once they are made."""

import pathlib
import uuid
from collections.abc import Iterator

import numpy as np

from trainer_worker.trainer.engine.text import Bytes
from trainer_worker.trainer.engine.tokenizers import Tokenizer


def tokenized(text: Bytes, *, tokenizer: Tokenizer, name: str, scratch: pathlib.Path) -> Iterator[np.ndarray]:
    """Yields a memory map of all tokens of a text, after an empty array for each piece on the way: a sign of life.

    Bytes are their own tokens. Others are kept in the scratch folder under `name` and what the tokenizer does.
    """
    if tokenizer.kind == "bytes":
        yield text
        return
    path = scratch / "tokens" / f"{name}-{tokenizer.identity()[:32]}.u32"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        with temporary.open("wb") as file:
            for tokens in tokenizer.encode_text(text):
                file.write(tokens.astype("<u4").tobytes())
                yield np.zeros(0, np.uint32)
        temporary.replace(path)
    yield np.memmap(path, "<u4", mode="r") if path.stat().st_size else np.zeros(0, np.uint32)
