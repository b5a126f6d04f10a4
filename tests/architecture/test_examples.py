"""Tests of properties try the same examples in every run, and new ones when that is asked for: decision 0020."""

import os
import pathlib
import subprocess
import sys

import hypothesis
import pytest

SEARCH = """
import tests.conftest
from hypothesis import given, strategies

@given(strategies.integers())
def tried(number):
    print(number)

tried()
"""
ROOT = pathlib.Path(__file__).parents[2]


def examples(*, profile: str, folder: pathlib.Path) -> str:
    """Return what a property is tried with, in a process that knows nothing of the others."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": "1", "TUTELAGE_TEST_EXAMPLES": profile}
    command = [sys.executable, "-c", SEARCH]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("profile", "same"), [("ci", True), ("random", False)])
def test_examples_are_the_same_unless_new_ones_are_asked_for(tmp_path: pathlib.Path, profile: str, same: bool) -> None:
    first, second = (examples(profile=profile, folder=tmp_path) for _ in range(2))
    assert first.count("\n") > 10
    assert (first == second) is same


def test_no_test_of_a_property_fails_for_its_time_and_all_say_how_to_see_a_failure_again() -> None:
    for name in ("ci", "random"):
        profile = hypothesis.settings.get_profile(name)
        assert (profile.deadline, profile.print_blob) == (None, True)
        assert hypothesis.HealthCheck.too_slow in profile.suppress_health_check
