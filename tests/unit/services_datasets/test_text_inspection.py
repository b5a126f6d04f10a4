"""What one pass over the bytes of a text finds out, and what it refuses."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidData
from services.domain.text_inspection import Inspected, TextInspection


def inspect(data: bytes, *, fraction: float = 0.05, chunk: int = 1 << 20) -> Inspected:
    inspection = TextInspection(size_bytes=len(data), validation_fraction=fraction)
    for start in range(0, len(data), chunk):
        inspection.feed(data[start : start + chunk])
    return inspection.finish()


def refusal(data: bytes, *, chunk: int = 1 << 20) -> InvalidData:
    with pytest.raises(InvalidData) as caught:
        inspect(data, chunk=chunk)
    return caught.value


def test_a_text_is_counted_in_bytes_rows_and_characters():
    found = inspect("zwölf\nBoxkämpfer\n".encode())
    assert (found.size_bytes, found.rows, found.characters) == (19, 2, 17)
    assert found.sha256 == hashlib.sha256("zwölf\nBoxkämpfer\n".encode()).hexdigest()


def test_a_last_row_without_newline_counts():
    assert inspect(b"one\ntwo").rows == 2


def test_validation_starts_at_the_row_nearest_to_the_fraction():
    data = b"".join(b"%03d\n" % i for i in range(100))
    split = inspect(data, fraction=0.1).split
    assert (split.train_bytes, split.validation_bytes, split.train_rows, split.validation_rows) == (360, 40, 90, 10)


def test_a_single_row_is_split_between_characters():
    data = ("ä" * 100).encode()
    split = inspect(data, fraction=0.055).split
    assert split.train_bytes % 2 == 0
    assert 180 <= split.train_bytes <= 192
    assert (split.train_rows, split.validation_rows) == (1, 0)


def test_a_short_row_before_a_long_one_does_not_hold_out_almost_everything():
    split = inspect(b"title\n" + b"x" * 10_000, fraction=0.05).split
    assert 9_000 < split.train_bytes < 10_006


def test_two_characters_are_enough_and_one_is_not():
    assert inspect("äö".encode()).split.train_bytes == 2
    assert "1 character" in refusal("ä".encode()).message


def test_the_byte_and_the_row_of_bytes_that_are_not_utf_8_are_told():
    found = refusal(b"good\n" * 16 + b"caf\xe9 au lait\n")
    assert found.metadata == {"byte": "83", "row": "17"}
    assert found.message == "byte 83 (row 17) is not UTF-8"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_the_place_does_not_depend_on_how_the_bytes_arrive(chunk):
    assert refusal("ä\n€\n".encode() + b"\xf0\x9f\x98X", chunk=chunk).metadata == {"byte": "7", "row": "3"}


def test_a_text_that_ends_within_a_character_is_refused_where_it_begins():
    assert refusal(b"ok\n" + "€".encode()[:2]).metadata == {"byte": "3", "row": "2"}


def test_surrogates_are_not_utf_8():
    assert refusal(b"ab\xed\xa0\x80").metadata["byte"] == "2"


def test_a_nul_is_refused_with_its_place():
    assert refusal(b"a\nb\0c").message == "byte 3 (row 2) is NUL, which text does not hold"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("hello, world\n".encode("utf-16"), "UTF-16"),
        ("hello, world\n".encode("utf-16-be"), "UTF-16"),
        (b"\x1f\x8b\x08\x00\x00\x00", "gzip"),
        (b"PK\x03\x04\x14\x00\x00", "zip archive"),
        (b"PAR1\x15\x00\x15", "Parquet"),
    ],
)
def test_a_known_kind_of_file_is_named(data, words):
    assert words in refusal(data).message


def test_a_byte_order_mark_is_refused_so_that_the_hash_stays_that_of_the_file():
    assert "byte order mark" in refusal(b"\xef\xbb\xbfhello\n", chunk=1).message


@pytest.mark.parametrize("data", [b"", b"\n", b" \t\r\n \n", "\u3000\u2003".encode()])
def test_a_blank_text_is_refused(data):
    assert refusal(data).reason == "INVALID_DATA"


@given(
    text=st.text(alphabet=st.sampled_from("aé€😀 \n"), min_size=2).filter(lambda text: not text.isspace()),
    fraction=st.floats(0.001, 0.5),
    chunk=st.integers(1, 9),
)
def test_both_parts_are_text_and_no_byte_is_lost(text, fraction, chunk):
    data = text.encode()
    found = inspect(data, fraction=fraction, chunk=chunk)
    split = found.split
    assert split.train_bytes > 0 and split.validation_bytes > 0
    assert split.train_bytes + split.validation_bytes == len(data)
    assert split.train_rows + split.validation_rows == found.rows == len(text.split("\n")) - text.endswith("\n")
    assert data[: split.train_bytes].decode() + data[split.train_bytes :].decode() == text
    assert found == inspect(data, fraction=fraction)
    assert split.validation_rows == len(data[split.train_bytes :].decode().split("\n")) - text.endswith("\n") or (
        data[split.train_bytes - 1 : split.train_bytes] != b"\n"
    )
