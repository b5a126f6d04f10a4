"""Words and numbers for people."""

import datetime

import pytest

from tutelage._names import full_name, model_version_name, short_name
from tutelage._retry import BACKOFF_S_MAX, Backoff, Patience
from tutelage.cli._curve import draw, sparkline
from tutelage.cli._output import age, clean, count, duration, loss, moment, one_line, size


@pytest.mark.parametrize(
    ("planted", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b[2J\x1b[1;1H", ""),
        ("\x9b31mred", "31mred"),
        ("a\rb\x08c\x7f", "abc"),
        ("\u202egnp.exe", "gnp.exe"),
        ("\u2066x\u2069\u200f", "x"),
        ("\x1b", ""),
        ("naïve 日本語 🎭", "naïve 日本語 🎭"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_left(planted: str, shown: str) -> None:
    assert clean(planted) == shown


def test_every_control_character_is_taken_out() -> None:
    for code in [*range(0x20), 0x7F, *range(0x80, 0xA0)]:
        assert clean(chr(code)) in ("", "\t", "\n")


def test_one_line_is_one_line() -> None:
    assert one_line(" to be\n\n\tor  not\x1b[K ") == "to be or not"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0.0s"),
        (3.14, "3.1s"),
        (59.6, "1m"),
        (75, "1m15s"),
        (3600, "1h"),
        (3725, "1h2m"),
        (90061, "1d1h"),
    ],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (2**51, "2048.0 TiB")],
)
def test_sizes_have_binary_units(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9999, "9,999"),
        (2412.7, "2,413"),
        (41000, "41k"),
        (41.26, "41.3"),
        (1_234_567, "1.23M"),
        (2.5e9, "2.5G"),
        (3e15, "3P"),
        (0.125, "0.125"),
    ],
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert count(number) == text


def test_what_is_missing_is_left_empty() -> None:
    assert (age(None), moment(None), loss(None)) == ("", "", "")
    assert loss(1.5) == "1.5000"


def test_ages_are_never_below_zero() -> None:
    future = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    assert age(future) == "0.0s ago"


def test_a_sparkline_follows_the_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], width=8) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, 3, 3], width=10) == "▁▁▁"
    assert sparkline([], width=10) == ""
    assert sparkline([float("nan"), float("inf"), 1.0], width=10) == "▁"
    assert len(sparkline(list(range(1000)), width=60)) == 60


def test_a_curve_fits_its_place() -> None:
    points = [(step, 3 / step) for step in range(1, 500)]
    lines = draw({"train/loss": points, "eval/loss": points[::50]}, width=70, height=12).splitlines()
    assert len(lines) <= 13
    assert all(len(line) <= 70 for line in lines)
    assert "train/loss   x eval/loss" in lines[0]


def test_a_curve_of_odd_values_can_be_drawn() -> None:
    assert draw({"a": [(1, 2.0)], "b": []}, width=40, height=8)
    assert draw({"a": [(1, 1.0), (2, float("nan")), (3, 2.0)]}, width=40, height=8)
    assert draw({"a": [(1, float("inf")), (2, float("nan"))]}, width=40, height=8) == ""


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("projects/p/jobs/j", "j"),
        ("projects/p/models/m/versions/2", "m/versions/2"),
        ("projects/p/models/m", "m"),
        ("workers/w1", "w1"),
        ("", ""),
    ],
)
def test_names_have_a_short_form(name: str, short: str) -> None:
    assert short_name(name) == short


def test_short_names_become_full() -> None:
    assert full_name("jobs/j", collection="jobs") == "projects/-/jobs/j"
    assert full_name("j", collection="jobs") == "projects/-/jobs/j"
    assert model_version_name("m", version=None) == "projects/-/models/m/versions/latest"
    assert model_version_name("projects/p/models/m/versions/2", version=None) == "projects/p/models/m/versions/2"


def test_waits_grow_up_to_a_limit_and_begin_again() -> None:
    import tutelage

    backoff, error = Backoff(), tutelage.Unavailable("away")
    waits = [backoff.next_wait_s(error) for _ in range(40)]
    assert waits[0] < 0.2
    assert max(waits) <= BACKOFF_S_MAX
    backoff.reset()
    assert backoff.next_wait_s(error) < 0.2


def test_patience_is_renewed_by_success() -> None:
    patience = Patience(0.0)
    assert not patience.covers(0)
    patience.seconds = 60
    patience.renew()
    assert patience.covers(59)
    assert not patience.covers(61)
    assert Patience(float("inf")).covers(1e9)
