"""The demo's text and its words."""

import pathlib

import pytest

from embedded import demo


def test_the_text_is_some_megabytes_of_clean_source(tmp_path: pathlib.Path) -> None:
    size_bytes = demo.gather_text(tmp_path / "python.txt")
    text = (tmp_path / "python.txt").read_text(encoding="utf-8")
    assert 2_000_000 < size_bytes < 10_000_000
    assert size_bytes == len(text.encode())
    assert not demo.CONTROL_CHARACTERS.search(text)
    assert "def " in text


def test_the_text_is_the_same_each_time(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        demo.gather_text(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_no_text_is_left_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "latin.py").write_bytes("# ä".encode("latin-1"))
    (tmp_path / "binary.py").write_bytes(b"a = '\0'")
    assert demo.clean_text(tmp_path / "latin.py") == b""
    assert demo.clean_text(tmp_path / "binary.py") == b""
    assert demo.clean_text(tmp_path / "missing.py") == b""


def test_the_last_words_are_three_commands(monkeypatch) -> None:
    lines = [line.strip() for line in demo.farewell().splitlines()]
    commands = [line for line in lines if "tutelage " in line and not line.endswith(":")]
    assert len(commands) == 3
    assert commands[0].endswith("tutelage up")


def test_another_house_in_the_environment_is_not_used(monkeypatch) -> None:
    monkeypatch.setenv("TUTELAGE_ADDRESS", "production:443")
    monkeypatch.setenv("TUTELAGE_DATABASE_URL", "postgresql+psycopg://production")
    assert not [name for name in demo.environment() if name.startswith("TUTELAGE_")]


@pytest.mark.parametrize(
    ("flags", "steps"),
    [("fpu avx2 avx512f avx512_bf16", 400), ("fpu amx_bf16 amx_tile", 400), ("fp asimd bf16", 400), ("fpu avx2", 160)],
)
def test_the_demo_takes_as_many_steps_as_the_processor_does_in_two_minutes(
    tmp_path: pathlib.Path, flags: str, steps: int
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert demo.steps_here(tmp_path / "cpuinfo") == steps


def test_a_processor_that_says_nothing_is_taken_for_a_slow_one(tmp_path: pathlib.Path) -> None:
    assert demo.steps_here(tmp_path / "nothing") == 160
