"""Rows come out of a file as they went in, and a damaged one is named."""

import datetime
import json
import pathlib
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.rows import Row, read_rows, without_duplicates
from tutelage.v1 import datasets_pb2

JSONL, PARQUET = datasets_pb2.DATASET_FORMAT_JSONL, datasets_pb2.DATASET_FORMAT_PARQUET
TEXT, PAIR, CHAT = (
    datasets_pb2.ROW_KIND_TEXT,
    datasets_pb2.ROW_KIND_PROMPT_COMPLETION,
    datasets_pb2.ROW_KIND_MESSAGES,
)
TALK = [{"role": "user", "content": "Hi 🙂"}, {"role": "assistant", "content": "Hello\nyou"}]


def written(folder: pathlib.Path, rows: list[Any], *, format: int) -> pathlib.Path:
    path = folder / "rows"
    if format == PARQUET:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=2)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: pathlib.Path, *, kind: int = TEXT, format: int = JSONL) -> list[Row]:
    return list(read_rows(path, format=format, kind=kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("format", [JSONL, PARQUET])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("kind", "values", "texts"),
    [
        (TEXT, {"text": "a\nb"}, ("a\nb",)),
        (PAIR, {"prompt": "p", "completion": "c"}, ("p", "c")),
        (CHAT, {"messages": TALK}, ()),
    ],
)
def test_rows_of_each_kind_are_read(
    tmp_path: pathlib.Path, format: int, known: bool, kind: int, values: dict[str, Any], texts: tuple[str, ...]
) -> None:
    path = written(tmp_path, [values | {"source": 7}] * 3, format=format)
    rows = read(path, format=format, kind=kind if known else 0)
    assert [row.number for row in rows] == [1, 2, 3]
    assert {row.texts for row in rows} == {texts}
    assert all(list(row.messages) == values.get("messages", []) for row in rows)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=8))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = written(tmp_path_factory.mktemp("rows"), [{"text": text} for text in texts], format=JSONL)
    assert [row.texts[0] for row in read(path)] == texts


def test_the_last_line_needs_no_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b'{"text": "a"}\n{"text": "b"}')
    assert [row.texts for row in read(path)] == [("a",), ("b",)]


def test_columns_that_others_need_do_not_reach_a_template(tmp_path: pathlib.Path) -> None:
    """Parquet gives every message every field, with nothing in it where there was none."""
    talk = [{"role": "user", "content": "a", "name": "Ann"}, {"role": "assistant", "content": "b"}]
    path = written(tmp_path, [{"messages": talk}], format=PARQUET)
    assert list(read(path, kind=CHAT, format=PARQUET)[0].messages) == talk


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ('{"text": 5}', TEXT, "row 2, text: must be text, not a number"),
        ('{"text": null}', TEXT, "row 2, text: is missing"),
        ("{}", TEXT, "row 2, text: is missing"),
        ('["a"]', TEXT, "row 2: must be an object, not a list"),
        ('{"text": "a"', TEXT, "row 2: is not JSON"),
        ("", TEXT, "row 2: is not JSON"),
        ("[" * 200_000, TEXT, "row 2: is not JSON"),
        ('{"text": "\\ud800"}', TEXT, "row 2, text: holds half a character"),
        ('{"prompt": "a", "completion": ["b"]}', PAIR, "row 2, completion: must be text, not a list"),
        ('{"messages": "a"}', CHAT, "row 2, messages: must be a list, not text"),
        ('{"messages": []}', CHAT, "row 2, messages: must hold 1 to 10,000 messages, not 0"),
        ('{"messages": ["a"]}', CHAT, r"row 2, messages\[0\]: must be an object, not text"),
        (
            '{"messages": [{"role": "user", "content": true}]}',
            CHAT,
            r"messages\[0\].content: must be text, not true or",
        ),
        ('{"messages": [{"content": "a"}]}', CHAT, r"row 2, messages\[0\].role: is missing"),
        ('{"messages": [{"role": "<|im_", "content": "a"}]}', CHAT, r"row 2, messages\[0\].role: must be one word"),
    ],
)
def test_a_wrong_row_is_named_with_its_field(tmp_path: pathlib.Path, line: str, kind: int, words: str) -> None:
    good = {TEXT: {"text": "a"}, PAIR: {"prompt": "a", "completion": "b"}, CHAT: {"messages": TALK}}[kind]
    path = tmp_path / "rows"
    path.write_text(f"{json.dumps(good)}\n{line}\n{json.dumps(good)}\n")
    with pytest.raises(UnusableData, match=words):
        read(path, kind=kind)


def test_bytes_that_are_no_text_are_named_with_their_row(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    with pytest.raises(UnusableData, match="row 2: is not UTF-8 at byte 10"):
        read(path)


def test_a_first_row_that_is_of_no_kind_is_refused(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path, [{"texts": "a"}], format=JSONL)
    with pytest.raises(UnusableData, match="row 1: has neither `text`"):
        read(path, kind=0)


def test_what_json_cannot_hold_is_named_with_row_and_field(tmp_path: pathlib.Path) -> None:
    """No row can be compared with others, and no template can write it."""
    rows = [{"messages": TALK}, {"messages": [TALK[0] | {"at": datetime.datetime(2024, 7, 26)}, TALK[1]]}]
    path = written(tmp_path, rows, format=PARQUET)
    with pytest.raises(UnusableData, match=r"row 2, messages\[0\]\.at: is nothing that JSON can hold: .*datetime"):
        list(read_rows(path, format=PARQUET, kind=CHAT))


def test_a_wrong_type_in_parquet_is_named_with_row_and_field(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path, [{"text": 5}], format=PARQUET)
    with pytest.raises(UnusableData, match="row 1, text: must be text, not a number"):
        read(path, format=PARQUET)
    path = written(tmp_path, [{"text": "a"}, {"text": None}], format=PARQUET)
    with pytest.raises(UnusableData, match="row 2, text: is missing"):
        read(path, format=PARQUET)


@pytest.mark.parametrize("damage", ["cut", "head", "middle", "empty"])
def test_a_damaged_parquet_file_is_refused(tmp_path: pathlib.Path, damage: str) -> None:
    path = written(tmp_path, [{"text": "word " * 50 + str(number)} for number in range(100)], format=PARQUET)
    whole = bytearray(path.read_bytes())
    match damage:
        case "cut":
            whole = whole[:-20]
        case "head":
            whole[-12:-4] = b"\xff" * 8
        case "middle":
            whole[4:400] = b"\xff" * 396
        case "empty":
            whole = bytearray()
    path.write_bytes(whole)
    with pytest.raises(UnusableData, match="Parquet file cannot be read after row 0"):
        read(path, format=PARQUET)


def test_rows_that_say_the_same_are_left_out() -> None:
    rows = [Row(1, ("a", "b")), Row(2, ("ab", "")), Row(3, ("a", "b")), Row(4, messages=(TALK[0],))]
    again = Row(5, messages=({"content": "Hi 🙂", "role": "user"},))
    assert list(without_duplicates([*rows, again])) == [rows[0], rows[1], None, rows[3], None]
