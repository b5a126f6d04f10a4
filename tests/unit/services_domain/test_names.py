"""Names: their shape, and whose they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import names
from services.domain.errors import InvalidField, NotFound

HOSTILE = [
    "",
    "a/../../etc/passwd",
    "..",
    "a\x00",
    "a\n",
    "A",
    "ä",
    "9a",
    "-a",
    "a" * 64,
    "a b",
    "a%2e",
    "a\u202eb",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_ids_that_nobody_may_choose(value: str) -> None:
    assert not names.is_chosen_id(value)
    with pytest.raises(InvalidField, match="job_id: must be lower-case letters"):
        names.check_chosen_id(value, field="job_id")


@pytest.mark.parametrize("value", ["a", "a-1", "a" * 63])
def test_ids_that_one_may_choose(value: str) -> None:
    assert names.check_chosen_id(value, field="job_id") == value


@pytest.mark.parametrize("value", [each for each in HOSTILE if each != "9a"])
def test_a_name_with_a_hostile_part_is_refused_and_shown_in_ascii(value: str) -> None:
    with pytest.raises(InvalidField, match="name: must look like projects/{project}/jobs/{job}") as caught:
        names.JOB.parse(f"projects/p/jobs/{value}", field="name")
    assert str(caught.value).isascii()


def test_names_are_taken_apart_and_put_together() -> None:
    assert names.JOB.parse("projects/p/jobs/j", field="name") == ("p", "j")
    assert names.JOB.format("p", "j") == "projects/p/jobs/j"
    assert names.MODEL_VERSION.parse("projects/-/models/m/versions/12", field="name") == ("-", "m", "12")


def test_a_dash_stands_for_the_own_project_and_for_nothing_else() -> None:
    assert names.ids_in_own_project("projects/-/jobs/j", pattern=names.JOB, own_project="p") == ("j",)
    with pytest.raises(InvalidField):
        names.JOB.parse("projects/p/jobs/-", field="name")


def test_a_foreign_project_is_missing() -> None:
    with pytest.raises(NotFound):
        names.ids_in_own_project("projects/q/jobs/j", pattern=names.JOB, own_project="p")


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        (project,) = names.PROJECT.parse(text, field="parent")
    except InvalidField:
        return
    assert names.PROJECT.format(project) == text


def test_a_request_id_is_a_uuid_or_nothing() -> None:
    uid = "0e7c9a3e-5d6b-4d4e-9a39-1f4f6f0b8f11"
    assert names.check_request_id("") == ""
    assert names.check_request_id(uid.upper()) == uid
    with pytest.raises(InvalidField, match="request_id: must be a UUID"):
        names.check_request_id("1")


def test_the_nearest_name_is_offered() -> None:
    assert names.did_you_mean("playz", ["plays", "poems"]) == "; did you mean 'plays'?"
    assert names.did_you_mean("xyz", ["plays"]) == ""
