"""Filters: what they mean, and what is wrong with them."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import filters
from services.domain.errors import InvalidField
from services.domain.filters import EVERYTHING, AllOf, AnyOf, Not, Restriction, parse_filter
from services.domain.job_states import JobState

FIELDS = {
    "state": filters.enum_field(JobState),
    "create_time": filters.time_field(),
    "model": filters.text_field(),
    "labels": filters.map_field(),
}
QUEUED = Restriction("state", "=", "QUEUED")
RUNNING = Restriction("state", "=", "RUNNING")
MODEL = Restriction("model", "=", "m")


def parsed(text: str) -> filters.Filter:
    return parse_filter(text, fields=FIELDS)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", EVERYTHING),
        ("  ", EVERYTHING),
        ("state=QUEUED", QUEUED),
        ('state = "QUEUED"', QUEUED),
        ("model = projects/p/models/m", MODEL),
        ("state = QUEUED AND model = m", AllOf((QUEUED, MODEL))),
        ("model = m AND state = QUEUED OR state = RUNNING", AllOf((MODEL, AnyOf((QUEUED, RUNNING))))),
        ("(model = m AND state = QUEUED) OR state = RUNNING", AnyOf((AllOf((MODEL, QUEUED)), RUNNING))),
        ("NOT state = QUEUED", Not(QUEUED)),
        ("NOT (state = QUEUED OR state = RUNNING)", Not(AnyOf((QUEUED, RUNNING)))),
        ('labels.team != "a \\"b\\" AND c"', Restriction("labels", "!=", 'a "b" AND c', key="team")),
        (
            "create_time >= 2026-01-31T12:00:00Z",
            Restriction("create_time", ">=", datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)),
        ),
    ],
)
def test_what_filters_mean(text: str, meaning: filters.Filter) -> None:
    assert parsed(text) == meaning


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stat = QUEUED", r"unknown field 'stat'; did you mean 'state'\?; known are state, create_time, model, labels"),
        ("state = WALKING", "state must be one of QUEUED, STARTING"),
        ("state > QUEUED", "state can be compared with = !=, not with '>'"),
        ("create_time > yesterday", "create_time must be a time such as"),
        ("labels = x", "labels needs a key, as in labels.KEY"),
        ("model.x = y", "model has no key 'x'"),
        ("state =", "ends where a value is expected"),
        ("state = QUEUED state = RUNNING", "'state' is not expected here"),
        ("(state = QUEUED", "a bracket is not closed"),
        ('model = "x', "cannot be read"),
        ("AND", "unknown field 'AND'"),
        (" AND ".join(["state = QUEUED"] * 21), "at most 20 terms"),
        ("NOT " * 400 + "state = QUEUED", "at most 20 terms"),
        ("x" * 2001, "at most 2000 characters"),
    ],
)
def test_what_is_wrong_with_them(text: str, said: str) -> None:
    with pytest.raises(InvalidField, match=said) as caught:
        parsed(text)
    assert [violation.field for violation in caught.value.violations] == ["filter"]


@given(st.text(max_size=300))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        parsed(text)
    except InvalidField as error:
        assert error.violations[0].field == "filter"
