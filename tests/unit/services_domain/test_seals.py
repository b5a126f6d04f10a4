"""Seals: a token is good for what it was made for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidField
from services.domain.pages import cut_page, page_size
from services.domain.seals import Keys

KEYS = Keys(b"k" * 32)
BINDING = ("jobs", "projects/p/apiKeys/k", "state = QUEUED")


def test_a_page_token_comes_back_as_it_went() -> None:
    token = KEYS.seal_page(("2026-01-01", 7), binding=BINDING)
    assert KEYS.unseal_page(token, binding=BINDING) == ["2026-01-01", 7]
    assert KEYS.unseal_page("", binding=BINDING) is None


@pytest.mark.parametrize("binding", [("jobs", "projects/p/apiKeys/k", ""), ("events", *BINDING[1:]), BINDING[:2]])
def test_a_page_token_of_another_list_is_refused(binding: tuple[str, ...]) -> None:
    with pytest.raises(InvalidField, match="page_token"):
        KEYS.unseal_page(KEYS.seal_page((1,), binding=BINDING), binding=binding)


def test_a_page_token_of_another_house_is_refused() -> None:
    with pytest.raises(InvalidField):
        KEYS.unseal_page(Keys(b"x" * 32).seal_page((1,), binding=BINDING), binding=BINDING)


@given(st.text(min_size=1, max_size=100))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(InvalidField):
        KEYS.unseal_page(text, binding=BINDING)


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_token_with_one_changed_byte_is_refused(place: int, change: int) -> None:
    token = KEYS.seal_page(("2026-01-01T00:00:00", "uid"), binding=BINDING)
    data = bytearray(token.encode())
    data[place % len(data)] ^= change
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return
    if text.rstrip("=") != token:
        with pytest.raises(InvalidField):
            KEYS.unseal_page(text, binding=BINDING)


def test_an_attempt_token_is_good_for_one_attempt() -> None:
    token = KEYS.attempt_token("job", epoch=1)
    assert KEYS.is_attempt_token(token, job_uid="job", epoch=1)
    assert not KEYS.is_attempt_token(token, job_uid="job", epoch=2)
    assert not KEYS.is_attempt_token(token, job_uid="job2", epoch=1)
    assert not KEYS.is_attempt_token(b"", job_uid="job", epoch=1)


def test_derived_keys_differ_and_the_secret_is_not_shown() -> None:
    assert KEYS.api_key_pepper != KEYS.attempt_token("", epoch=0)
    assert "kkk" not in repr(KEYS)


def test_pages_are_cut_where_they_end() -> None:
    def cut(found: list[int]) -> tuple[tuple[int, ...], str]:
        return cut_page(found, size=2, position=lambda each: (each,), keys=KEYS, binding=BINDING)

    assert cut([1, 2]) == ((1, 2), "")
    shown, token = cut([1, 2, 3])
    assert (shown, KEYS.unseal_page(token, binding=BINDING)) == ((1, 2), [2])


def test_page_sizes_are_coerced_down_and_never_negative() -> None:
    assert [page_size(size) for size in (0, 7, 5000)] == [50, 7, 1000]
    with pytest.raises(InvalidField, match="page_size"):
        page_size(-1)
