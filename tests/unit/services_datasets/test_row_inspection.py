"""Rows of JSONL: what is told of them, and what is refused, whatever pieces they come in."""

import json
import random

import pytest

from services.domain import row_inspection
from services.domain.datasets import RowKind
from services.domain.errors import InvalidData
from services.domain.row_inspection import RowInspection
from services.domain.text_inspection import Inspected

TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def inspected(data: bytes, *, fraction: float = 0.2, piece: int = 1000) -> Inspected:
    inspection = RowInspection(size_bytes=len(data), validation_fraction=fraction)
    for first in range(0, len(data), piece):
        inspection.feed(data[first : first + piece])
    return inspection.finish()


def refusal(data: bytes) -> InvalidData:
    with pytest.raises(InvalidData) as caught:
        inspected(data)
    return caught.value


@pytest.mark.parametrize(
    ("row", "kind", "size"),
    [
        ({"text": "äb"}, RowKind.TEXT, 3),
        ({"prompt": "", "completion": "yes"}, RowKind.PROMPT_COMPLETION, 3),
        ({"messages": TALK}, RowKind.MESSAGES, len("userHelloassistantHi")),
        ({"text": "b", "id": 7, "source": {"url": "x"}}, RowKind.TEXT, 1),
    ],
)
def test_rows_are_known_by_their_keys(row: object, kind: RowKind, size: int) -> None:
    found = inspected(lines(row, row))
    assert found.row_statistics is not None
    assert (found.row_statistics.kind, found.rows) == (kind, 2)
    assert (found.row_statistics.bytes_min, found.row_statistics.bytes_max) == (size, size)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100, 10_000])
def test_it_does_not_matter_how_the_bytes_are_cut(piece: int) -> None:
    data = lines(*({"text": "x" * number} for number in range(1, 40)))
    assert inspected(data, piece=piece) == inspected(data)


def test_the_last_line_may_end_without_a_newline() -> None:
    data = lines({"text": "a"}, {"text": "b"})
    assert inspected(data[:-1]).rows == inspected(data).rows == 2


def test_the_split_begins_at_the_row_nearest_to_the_share() -> None:
    data = lines(*({"text": "x"} for _ in range(10)))
    split = inspected(data, fraction=0.2).split
    assert (split.train_rows, split.validation_rows) == (8, 2)
    assert data[split.train_bytes - 1 :].startswith(b"\n{")
    assert split.train_bytes + split.validation_bytes == len(data)


def test_at_least_half_of_the_bytes_are_trained_on() -> None:
    """A share of a half lies in the middle of a long row; its start is as near as its end."""
    short, long = {"text": "x"}, {"text": "x" * 1000}
    for rows in ([short, long, short], [short, long, short, short], [short, short, long, short, short]):
        split = inspected(lines(*rows), fraction=0.5).split
        assert split.train_bytes > split.validation_bytes
        assert split.train_rows == rows.index(long) + 1


def test_a_last_row_that_is_longer_than_all_others_is_held_out() -> None:
    split = inspected(lines(*[{"text": "x"}] * 3, {"text": "x" * 1000}), fraction=0.05).split
    assert (split.train_rows, split.validation_rows) == (3, 1)


@pytest.mark.parametrize("fraction", [0.001, 0.5])
def test_both_parts_have_a_row_however_long_the_others_are(fraction: float) -> None:
    for rows in (({"text": "x" * 1000}, {"text": "y"}), ({"text": "x"}, {"text": "y" * 1000})):
        split = inspected(lines(*rows), fraction=fraction).split
        assert (split.train_rows, split.validation_rows) == (1, 1)


def test_lengths_are_told_by_their_place() -> None:
    found = inspected(lines(*({"text": "x" * length} for length in range(1, 101)))).row_statistics
    assert found is not None
    assert (found.bytes_min, found.bytes_median, found.bytes_p95, found.bytes_max) == (1, 50, 95, 100)


def test_rows_that_say_the_same_are_told_with_their_numbers() -> None:
    rows = [{"text": "a"}, {"text": "b"}, {"text": "a", "id": 1}, {"text": "a"}, {"text": "c"}]
    found = inspected(lines(*rows)).row_statistics
    assert found is not None
    assert (found.duplicate_rows, found.duplicate_examples) == (2, (3, 4))
    rows = [{"prompt": "a", "completion": "bc"}, {"prompt": "ab", "completion": "c"}]
    found = inspected(lines(*rows)).row_statistics
    assert found is not None and found.duplicate_rows == 0


def test_of_many_duplicates_the_first_twenty_are_shown() -> None:
    rows = [{"text": str(number)} for number in range(100)] * 2
    found = inspected(lines(*rows)).row_statistics
    assert found is not None
    assert (found.duplicate_rows, found.duplicate_examples) == (100, tuple(range(101, 121)))


BAD_ROWS = {
    "[1]": "row 2 must be an object, not a list",
    '"text"': "row 2 must be an object, not text",
    "null": "row 2 must be an object, not nothing",
    "{}": "row 2.text is missing",
    '{"text": null}': "row 2.text is missing",
    '{"text": 5}': "row 2.text must be text, not a number",
    '{"text": true}': "row 2.text must be text, not true or false",
    '{"text": ["a"]}': "row 2.text must be text, not a list",
    '{"text": ""}': "row 2.text must not be empty",
    '{"prompt": "a", "completion": "b"}': "has `prompt` and `completion`, and the rows before it have `text`",
    '{"text": "a", "messages": []}': "row 2 has `text` and `messages`: keep one of them",
    '{"text": "a", "text": "b"}': "row 2 has the key 'text' twice",
    '{"text": "a", "x": ' + "9" * 5000 + "}": "row 2 holds a number of 5,000 digits, and at most 1000 are taken",
    '{"text": "a", "x": {"y": 1, "y": 2}}': "row 2 has the key 'y' twice",
    '{"text": "a", "x": NaN}': "row 2 holds NaN, which is not JSON",
    '{"text": "a", "x": -Infinity}': "row 2 holds -Infinity, which is not JSON",
    '{"text": "a", "x": 1e999}': "row 2 holds the number 1e999, which is too large",
    '{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}": "row 2 is nested too deeply",
    '{"text": "a\\ud800"}': "row 2.text holds half a character (a lone surrogate) at character 2",
    '{"text": "a\\u0000b"}': "row 2.text holds NUL at character 2",
    '{"text": "a"': "row 2 is not JSON: Expecting ',' delimiter",
    "{'text': 'a'}": "row 2 is not JSON: Expecting property name",
    '{"text": "a"} {"text": "b"}': "row 2 is not JSON: Extra data at character 15",
    "": "row 2 is blank",
    "   \t": "row 2 is blank",
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=lambda row: row[:30])
def test_a_row_that_is_wrong_is_told_with_number_and_field(row: str) -> None:
    data = b'{"text": "fine"}\n' + row.encode() + b'\n{"text": "fine too"}\n'
    error = refusal(data)
    assert BAD_ROWS[row] in error.message
    assert error.message.startswith("1 row is wrong of 3: row 2")
    assert error.metadata == {"row": "2", "rows": "2"}
    assert [each.field.partition(".")[0] for each in error.violations] == ["row 2"]


BAD_TALKS = {
    "5": "row 2.messages must be a list, not a number",
    "[]": "row 2.messages must hold 1 to 10,000 messages, not 0",
    '["hello"]': "row 2.messages[0] must be an object, not text",
    '[{"content": "a"}]': "row 2.messages[0].role is missing",
    '[{"role": "robot", "content": "a"}]': "row 2.messages[0].role must be one of system, user, assistant, tool",
    '[{"role": 7, "content": "a"}]': "row 2.messages[0].role must be text, not a number",
    '[{"role": "user", "content": "a"}, {"role": "user"}]': "row 2.messages[1].content is missing",
    '[{"role": "user", "content": [{"type": "text"}]}]': "row 2.messages[0].content must be text, not a list",
    '[{"role": "user", "content": "\\udc00"}]': "row 2.messages[0].content holds half a character",
}


@pytest.mark.parametrize("talk", BAD_TALKS)
def test_a_conversation_that_is_wrong_is_told_with_the_message(talk: str) -> None:
    good = lines({"messages": TALK})
    error = refusal(good + f'{{"messages": {talk}}}\n'.encode() + good)
    assert BAD_TALKS[talk] in error.message


def test_every_row_that_is_wrong_is_told() -> None:
    rows = [{"text": "fine"} if number % 10 else {"text": number} for number in range(1, 101)]
    error = refusal(lines(*rows))
    assert error.message.startswith("10 rows are wrong of 100: row 10.text must be text, not a number; ")
    assert error.message.endswith("; and more")
    assert [each.field for each in error.violations] == [f"row {number}.text" for number in range(10, 101, 10)]
    assert error.metadata["rows"] == ",".join(str(number) for number in range(10, 101, 10))


def test_after_a_hundred_rows_that_are_wrong_the_look_ends() -> None:
    error = refusal(lines(*({"text": number} for number in range(500))))
    assert error.message.startswith("at least 100 rows are wrong, and the rest was not looked at")
    assert len(error.violations) == 100


def test_a_row_with_many_faults_does_not_crowd_the_others_out() -> None:
    talk = {"messages": [{"role": "user"}] * 5000}
    error = refusal(lines({"messages": TALK}, talk, talk, {"messages": TALK}))
    assert len(error.violations) <= 101
    assert error.metadata["rows"] == "2,3"


def test_the_first_row_that_is_anything_decides() -> None:
    error = refusal(lines([1], {"text": "a"}, {"text": "b"}))
    assert error.message.startswith("1 row is wrong of 3: row 1 must be an object")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf" + lines({"text": "a"}), "byte order mark"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PAR1....", "Parquet"),
        (b"\n", "row 1 is blank"),
        (lines({"text": "a"}), "there is 1 row; at least 2"),
        (lines({"text": "a"}) + b'{"text": "\xff"}\n' + lines({"text": "a"}), "row 2 is not UTF-8 at its byte 10"),
        (b'{"text": "a"}\r\n{"text": "b"\r\n', "row 2 is not JSON"),
        (lines({"text": "a"}, {"text": "b"}) + b"\n", "row 3 is blank"),
    ],
)
def test_files_that_are_something_else_are_refused(data: bytes, words: str) -> None:
    assert words in refusal(data).message


def test_lines_that_end_as_on_windows_are_rows() -> None:
    assert inspected(b'{"text": "a"}\r\n{"text": "b"}\r\n').rows == 2


def test_a_row_without_an_end_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_inspection, "ROW_BYTES_MAX", 1000)
    inspection = RowInspection(size_bytes=10**9, validation_fraction=0.1)
    inspection.feed(lines({"text": "a"}))
    with pytest.raises(InvalidData, match=r"row 2 is longer than 1,000 bytes") as caught:
        for _ in range(20):
            inspection.feed(b"x" * 100)
    assert caught.value.metadata == {"row": "2"}


def test_nothing_but_a_refusal_comes_of_rubbish() -> None:
    dice = random.Random(7)
    good = lines({"text": "a"}, {"messages": TALK}, {"prompt": "p", "completion": "c"})
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        refusal(bytes(data))


def test_a_row_of_very_many_keys_is_looked_at_once() -> None:
    keys = ",".join(f'"{number}":0' for number in range(50_000))
    assert "has the key '49999' twice" in refusal(lines({"text": "a"}) + f'{{{keys},"49999":0}}\n'.encode()).message
