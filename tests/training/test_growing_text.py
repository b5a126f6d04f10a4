"""Text as it grows out of tokens."""

import itertools

import pytest

from trainer_worker.trainer.engine.growing_text import GrowingText


def grown(tokens: list[bytes], *stops: bytes) -> tuple[list[str], bool]:
    text = GrowingText(stops)
    pieces = [text.grow(token) for token in tokens]
    return [*pieces, text.end()], text.stopped


def test_a_character_is_given_when_its_last_byte_came() -> None:
    pieces, _ = grown([b"\xe2", b"\x86", b"\x92!"])
    assert pieces == ["", "", "→!", ""]


def test_bytes_that_form_no_character_are_replaced() -> None:
    pieces, _ = grown([b"a\xff", b"b", b"\xe2\x86"])
    assert "".join(pieces) == "a\ufffdb\ufffd"


def test_text_that_might_begin_a_stop_is_held_back_until_that_is_decided() -> None:
    pieces, stopped = grown([b"x", b"<", b"e", b"m>", b"<"], b"<end>")
    assert pieces == ["x", "", "", "<em>", "", "<"]
    assert not stopped


CUTS = [cuts for count in (1, 2, 3) for cuts in itertools.combinations(range(1, 9), count)]


@pytest.mark.parametrize("cuts", CUTS)
def test_a_stop_is_found_wherever_the_tokens_begin(cuts: tuple[int, ...]) -> None:
    whole = "né→STOPx".encode()
    borders = [0, *cuts, len(whole)]
    pieces, stopped = grown([whole[a:b] for a, b in itertools.pairwise(borders)], b"STOP")
    assert ("".join(pieces), stopped) == ("né→", True)


def test_the_stop_that_is_complete_first_ends_the_text() -> None:
    for tokens in ([b"abcdef"], [bytes([byte]) for byte in b"abcdef"]):
        pieces, stopped = grown(tokens, b"abcdef", b"cd")
        assert ("".join(pieces), stopped) == ("ab", True)


def test_of_stops_that_end_together_the_longer_one_is_left_out() -> None:
    pieces, _ = grown([b"xabc"], b"bc", b"abc")
    assert "".join(pieces) == "x"


def test_a_stop_of_many_bytes_a_character_is_found() -> None:
    pieces, stopped = grown([b"a\xe2", b"\x86", b"\x92b"], "→".encode())
    assert ("".join(pieces), stopped) == ("a", True)


def test_after_a_stop_nothing_comes() -> None:
    text = GrowingText([b"."])
    assert text.grow(b"a.b") == "a"
    assert text.grow(b"c") == "" and text.end() == ""


def test_an_overlapping_beginning_of_a_stop_is_not_missed() -> None:
    pieces, stopped = grown([b"aa", b"aab", b"c"], b"aab")
    assert ("".join(pieces), stopped) == ("aa", True)
