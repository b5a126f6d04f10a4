"""Uploads of every format: rows, Parquet, the files of a model, a tokenizer; and hostile ones of each."""

import json
import pathlib
from typing import Any

import pyarrow
import pytest

from services.datasets.finish_upload import finish_upload
from services.datasets.get_dataset import get_dataset
from services.datasets.get_upload import get_upload
from services.datasets.start_upload import UploadDraft, start_upload
from services.domain import tokenizer_files
from services.domain.datasets import Dataset, DatasetFormat, RowKind
from services.domain.errors import InvalidData, InvalidField, NotFound
from services.domain.limits import TOKENIZER_FILE_BYTES_MAX
from services.domain.requests import NO_REQUEST_KEY
from services.domain.tokenizer_files import vocabulary_size_of
from services.jobs.train import train
from tests.support.houses import Bench, small_draft
from tests.support.uploads import dataset_of, member, model_archive, parquet, uploaded

TEXTS = [f"line {number}" for number in range(10)]
TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
TOKENIZER = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
ROWS = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)


def refused(bench: Bench, data: bytes, *, format: DatasetFormat) -> InvalidData:
    """Return the refusal, after which nothing of the upload is kept."""
    upload = uploaded(bench, data, format=format)
    with pytest.raises(InvalidData) as caught:
        finish_upload(bench.house, caller=bench.caller, name=upload.name, sha256="", request=NO_REQUEST_KEY)
    with pytest.raises(NotFound):
        get_upload(bench.house, caller=bench.caller, name=upload.name)
    stored = list(bench.house.store.keys(""))
    assert not [key for key in stored if key.startswith("uploads/") or upload.dataset_uid in key]
    return caught.value


def is_kept(bench: Bench, dataset: Dataset) -> bool:
    """Whether the same comes back of the database."""
    return get_dataset(bench.house, caller=bench.caller, name=dataset.name) == dataset


def test_rows_become_a_dataset_with_their_statistics(bench: Bench) -> None:
    dataset = dataset_of(bench, ROWS + ROWS[: len(ROWS) // 10], format=DatasetFormat.JSONL)
    assert (dataset.format, dataset.rows, dataset.row_kind) == (DatasetFormat.JSONL, 11, RowKind.TEXT)
    assert dataset.row_statistics is not None
    assert (dataset.row_statistics.duplicate_rows, dataset.row_statistics.duplicate_examples) == (1, (11,))
    assert (dataset.split.train_rows, dataset.split.validation_rows) == (9, 2)
    assert is_kept(bench, dataset)


def test_rows_that_are_wrong_leave_nothing_behind(bench: Bench) -> None:
    error = refused(bench, ROWS + b'{"text": 5}\n', format=DatasetFormat.JSONL)
    assert error.metadata["row"] == "11"
    assert [(each.field, each.description) for each in error.violations] == [
        ("row 11.text", "must be text, not a number")
    ]
    dataset_of(bench, ROWS, format=DatasetFormat.JSONL)


def test_plain_text_is_as_it_was(bench: Bench) -> None:
    dataset = dataset_of(bench, b"To be\nor not\n" * 50, format=DatasetFormat.TEXT)
    assert (dataset.rows, dataset.row_statistics, dataset.row_kind) == (100, None, None)
    assert is_kept(bench, dataset)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"text": TEXTS, "id": range(10)}, RowKind.TEXT),
        ({"text": pyarrow.array(TEXTS).dictionary_encode()}, RowKind.TEXT),
        ({"text": pyarrow.array(TEXTS, pyarrow.large_string())}, RowKind.TEXT),
        ({"prompt": TEXTS, "completion": TEXTS}, RowKind.PROMPT_COMPLETION),
        ({"messages": [TALK] * 10, "source": [b"\xff"] * 10}, RowKind.MESSAGES),
        ({"prompt": [TALK[:1]] * 10, "label": range(10)}, RowKind.PROMPT),
        (
            {"prompt": TEXTS, "chosen": ["a"] * 10, "rejected": [TALK[1:]] * 10, "weight": [0.5] * 10},
            RowKind.PREFERENCE,
        ),
        ({"prompt": TEXTS, "completion": TEXTS, "label": [True, False] * 5}, RowKind.LABELLED),
        (
            {"prompt": TEXTS, "checks": [[{"name": "contains", "argument": "a"}, {"name": "json-parses"}]] * 10},
            RowKind.CHECKS,
        ),
    ],
    ids=["text", "dictionary", "large", "completions", "messages", "prompts", "preferences", "labels", "checks"],
)
def test_parquet_holds_the_same_kinds_of_rows(
    bench: Bench, tmp_path: pathlib.Path, table: dict[str, Any], kind: RowKind
) -> None:
    data = parquet(table, tmp_path / "rows.parquet", row_group_size=3, compression="zstd")
    dataset = dataset_of(bench, data, format=DatasetFormat.PARQUET)
    assert (dataset.format, dataset.rows, dataset.row_kind) == (DatasetFormat.PARQUET, 10, kind)
    assert (dataset.split.train_rows, dataset.split.validation_rows) == (8, 2)
    assert dataset.split.train_bytes + dataset.split.validation_bytes == len(data)
    assert is_kept(bench, dataset)


def test_rows_of_parquet_are_counted_as_those_of_jsonl(bench: Bench, tmp_path: pathlib.Path) -> None:
    data = parquet({"text": TEXTS}, tmp_path / "rows.parquet")
    one = dataset_of(bench, data, format=DatasetFormat.PARQUET, id="one")
    two = dataset_of(bench, ROWS, format=DatasetFormat.JSONL, id="two")
    assert (one.row_statistics, one.characters) == (two.row_statistics, two.characters)


def test_rows_of_parquet_that_are_wrong_are_told_with_number_and_field(bench: Bench, tmp_path: pathlib.Path) -> None:
    texts = [*TEXTS, None, "", "fine"]
    error = refused(bench, parquet({"text": texts}, tmp_path / "a.parquet"), format=DatasetFormat.PARQUET)
    assert [(each.field, each.description) for each in error.violations] == [
        ("row 11.text", "is missing"),
        ("row 12.text", "must not be empty"),
    ]
    talks = [TALK, [{"role": "robot", "content": "x"}], None, [{"role": "user", "content": None}]]
    error = refused(bench, parquet({"messages": talks}, tmp_path / "b.parquet"), format=DatasetFormat.PARQUET)
    assert [each.field for each in error.violations] == [
        "row 2.messages[0].role",
        "row 3.messages",
        "row 4.messages[0].content",
    ]


def test_judged_rows_of_parquet_that_are_wrong_are_told(bench: Bench, tmp_path: pathlib.Path) -> None:
    pairs = {"prompt": ["a", "b", "c"], "chosen": ["x", "y", None], "rejected": ["z", "y", "z"], "weight": [1, 1, -1]}
    error = refused(bench, parquet(pairs, tmp_path / "a.parquet"), format=DatasetFormat.PARQUET)
    assert [each.field for each in error.violations] == ["row 2.rejected", "row 3.chosen", "row 3.weight"]


def test_texts_of_parquet_that_are_not_utf_8_are_told(bench: Bench, tmp_path: pathlib.Path) -> None:
    broken = pyarrow.array([b"fine", b"\xff\xfe", b"fine"]).view(pyarrow.string())
    error = refused(bench, parquet({"text": broken}, tmp_path / "a.parquet"), format=DatasetFormat.PARQUET)
    assert error.message == "1 row is wrong of 3: row 2 is not UTF-8 at its byte 0"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"body": TEXTS}, "its columns are body; `text`, `prompt` and `completion`, or `messages` is needed"),
        ({"text": range(10)}, "the column `text` must be text, not int64"),
        ({"text": [b"x"] * 10}, "the column `text` must be text, not binary"),
        ({"messages": TEXTS}, "the column `messages` must be a list of structs"),
        ({"messages": [[{"role": "user"}]] * 10}, "the column `messages` must be a list of structs"),
        ({"messages": [[{"role": "user", "content": 5}]] * 10}, "the column `messages` must be a list of structs"),
        (
            {"prompt": TEXTS, "completion": TEXTS, "label": range(10)},
            "the column `label` must be true or false, not int",
        ),
        ({"prompt": TEXTS, "checks": TEXTS}, "the column `checks` must be a list of structs with the texts `name` and"),
        ({"prompt": range(10)}, "the column `prompt` must be text, or a list of structs with the texts `role` and"),
        ({"text": TEXTS, "messages": [TALK] * 10}, "has `text` and `messages`: keep one of them"),
        ({"text": pyarrow.array([], pyarrow.string())}, "there is no row"),
        ({"text": ["one"]}, "there is 1 row"),
    ],
)
def test_parquet_that_holds_something_else_is_refused(
    bench: Bench, tmp_path: pathlib.Path, table: dict[str, Any], words: str
) -> None:
    assert words in refused(bench, parquet(table, tmp_path / "a.parquet"), format=DatasetFormat.PARQUET).message


def test_hostile_parquet_is_refused_and_harms_nobody(bench: Bench, tmp_path: pathlib.Path) -> None:
    good = parquet({"text": TEXTS}, tmp_path / "a.parquet")
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    cases = [
        b"PAR1",
        b"x" * 100,
        good[:-4],
        good[:-8] + b"\xff\xff\xff\x7fPAR1",
        good[:4] + b"\xff" * (footer - 4) + good[footer:],
        good[:footer] + bytes(len(good) - 8 - footer) + good[-8:],
        b"PARE" + good[4:],
        b"PAR1" + b"\0" * 50 + b"PAR1",
    ]
    for data in cases:
        refused(bench, data, format=DatasetFormat.PARQUET)


def test_parquet_that_unfolds_to_more_than_memory_holds_is_refused(bench: Bench, tmp_path: pathlib.Path) -> None:
    """One large text, told once and meant fifty times: 3 GB of a few kilobytes."""
    large = pyarrow.DictionaryArray.from_arrays([0] * 50, ["x" * 60_000_000])
    options = {"compression": "zstd", "dictionary_pagesize_limit": 2**30, "store_schema": False}
    bomb = parquet({"text": large}, tmp_path / "a.parquet", **options)
    assert len(bomb) < 1_000_000
    assert "cannot be read" in refused(bench, bomb, format=DatasetFormat.PARQUET).message


def test_the_files_of_a_model_become_a_dataset_that_cannot_be_trained_on(bench: Bench) -> None:
    data = model_archive(member("tokenizer.json", json.dumps(TOKENIZER).encode()))
    dataset = dataset_of(bench, data, format=DatasetFormat.MODEL_FILES)
    assert (dataset.format, dataset.rows, dataset.split.validation_bytes) == (DatasetFormat.MODEL_FILES, 0, 0)
    assert is_kept(bench, dataset)
    draft = small_draft(dataset.name)
    with pytest.raises(InvalidField, match=r"spec.dataset"):
        train(bench.house, caller=bench.calling("Train"), parent="projects/-", draft=draft)


def test_a_pickle_among_the_files_of_a_model_is_refused_and_named(bench: Bench) -> None:
    data = model_archive(member("pytorch_model.bin", b"\x80\x02}q\0."))
    assert refused(bench, data, format=DatasetFormat.MODEL_FILES).message.startswith("pytorch_model.bin is a pickle")


@pytest.mark.parametrize("model", [TOKENIZER["model"], {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0]]}])
def test_a_tokenizer_becomes_a_dataset(bench: Bench, model: object) -> None:
    data = json.dumps({**TOKENIZER, "model": model}).encode()
    dataset = dataset_of(bench, data, format=DatasetFormat.TOKENIZER)
    assert (dataset.format, dataset.size_bytes) == (DatasetFormat.TOKENIZER, len(data))
    assert is_kept(bench, dataset)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello", "the file is not JSON: Expecting value in line 1, column 1"),
        (b"[]", "no tokenizer.json"),
        (b"{}", "it has no object `model`"),
        (b'{"model": {"type": "GPT", "vocab": {"a": 0}}}', "`model.type` must be one of BPE"),
        (b'{"model": {"type": "BPE"}}', "`model.vocab` must be an object or a list"),
        (b'{"model": {"type": "BPE", "vocab": {}}}', "`model.vocab` must hold tokens with their ids"),
        (b'{"model": {"type": "BPE", "vocab": {"a": "b"}}}', "`model.vocab` must hold tokens with their ids"),
        (b'{"model": {"type": "BPE", "vocab": {"a": -1}}}', "`model.vocab` must hold tokens with their ids"),
        (b"[" * 200_000, "cannot be read: too deeply nested"),
        (b'{"model": \xff}', "byte 10 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_tokenizer_is_refused(bench: Bench, data: bytes, words: str) -> None:
    assert words in refused(bench, data, format=DatasetFormat.TOKENIZER).message


def test_a_tokenizer_that_would_fill_the_memory_is_refused_unread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = json.dumps({**TOKENIZER, "more": [{}] * 100}).encode()
    assert vocabulary_size_of(data) == 2
    monkeypatch.setattr(tokenizer_files, "TOKENIZER_FILE_VALUES_MAX", 200)
    assert vocabulary_size_of(data) is None
    error = refused(bench, data + b" ", format=DatasetFormat.TOKENIZER)
    assert "more than tokenizers do" in error.message


def test_a_tokenizer_that_is_too_large_is_refused_before_its_bytes(bench: Bench) -> None:
    size = TOKENIZER_FILE_BYTES_MAX + 1
    draft = UploadDraft(parent="projects/-", dataset_id="t", size_bytes=size, format=DatasetFormat.TOKENIZER)
    with pytest.raises(InvalidField, match="size_bytes"):
        start_upload(bench.house, caller=bench.caller, draft=draft, request=NO_REQUEST_KEY)
