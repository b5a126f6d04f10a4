"""Prompts, in whatever form people have them: a dataset, a file, or a list."""

import io
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tutelage._errors import local_refusal
from tutelage._exports import files_dataset_id
from tutelage._upload_source import UploadSource

Turns = Sequence[Mapping[str, str]]
Prompts = str | os.PathLike[str] | Sequence[str | Mapping[str, Any] | Turns] | Any
ROW_ENDINGS = (".jsonl", ".ndjson", ".parquet")
FILE_ENDINGS = (*ROW_ENDINGS, ".txt", ".text", ".md")


def is_file(prompts: Any) -> bool:
    """Says whether prompts are a file: what is there, or what is written like one."""
    if isinstance(prompts, os.PathLike):
        return True
    if not isinstance(prompts, str) or prompts.startswith("projects/"):
        return False
    return prompts.lower().endswith(FILE_ENDINGS) or os.sep in prompts or pathlib.Path(prompts).is_file()


def open_prompts(prompts: Prompts) -> tuple[UploadSource, str]:
    """Returns what to upload, and the id of the dataset that it becomes: the same for the same prompts.

    Rows are taken as they are; of any other file each line that is not blank is a prompt. Raises: InvalidArgument for
    what holds no prompt, FileNotFoundError.
    """
    if not is_file(prompts):
        return named(jsonl(prompts), "prompts")
    path = pathlib.Path(str(prompts))
    stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    stem = stem if stem[:1].isalpha() else f"prompts-{stem}".rstrip("-")
    if path.suffix.lower() in ROW_ENDINGS:
        source = UploadSource(path)
        return source, files_dataset_id(stem, source.sha256)
    return named(jsonl([line for line in read_text(path).splitlines() if line.strip()]), stem)


def named(rows: bytes, stem: str) -> tuple[UploadSource, str]:
    """Returns rows as something to upload, with its id."""
    file = io.BytesIO(rows)
    source = UploadSource(file, format="jsonl")
    source.filename = f"{stem}.jsonl"
    return source, files_dataset_id(stem, source.sha256)


def read_text(path: pathlib.Path) -> str:
    """Returns the text of a file. Raises: InvalidArgument if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise local_refusal("prompts", f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error


def jsonl(prompts: Any) -> bytes:
    """Returns prompts as rows: each is a text, a list of turns, or a row with a `prompt`."""
    if isinstance(prompts, str | bytes) or not isinstance(prompts, Sequence) or not prompts:
        raise local_refusal("prompts", f"{prompts!r} is neither a dataset, nor a file, nor a list of prompts")
    return b"".join(row_of(number, prompt) for number, prompt in enumerate(prompts, start=1))


def row_of(number: int, prompt: Any) -> bytes:
    """Returns one prompt as a line of JSON."""
    row = prompt if isinstance(prompt, Mapping) else {"prompt": prompt}
    if not isinstance(row.get("prompt"), str | Sequence) or not row["prompt"]:
        raise local_refusal(f"prompts[{number}]", "must be a text, a list of turns, or a row with a `prompt`")
    try:
        return json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    except (TypeError, UnicodeEncodeError) as error:
        raise local_refusal(f"prompts[{number}]", f"cannot be written as JSON: {error}") from error
