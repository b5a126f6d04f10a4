"""Rows of prompts and of judged answers: which they are, and what is refused with row and field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.datasets import RowKind, RowStatistics, SignalCounts
from services.domain.errors import InvalidData
from services.domain.row_inspection import RowInspection

ASKED = [{"role": "user", "content": "Hello"}]
SAID = [{"role": "assistant", "content": "Hi"}]
PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}
LABELLED = {"prompt": "a", "completion": "b", "label": True}
CHECKS = {"prompt": "a", "checks": [{"name": "contains", "argument": "b"}]}
OF_SET = {"prompt": "a", "weight": 1.0, "votes": ["v1"]}
FEEDBACK = {"kind": "pair", **PAIR, **OF_SET}


def inspected(*rows: Any, fraction: float = 0.2) -> RowStatistics:
    data = b"".join((row if isinstance(row, str) else json.dumps(row)).encode() + b"\n" for row in rows)
    inspection = RowInspection(size_bytes=len(data), validation_fraction=fraction)
    inspection.feed(data)
    found = inspection.finish().row_statistics
    assert found is not None
    return found


def refusal(*rows: Any) -> InvalidData:
    with pytest.raises(InvalidData) as caught:
        inspected(*rows)
    return caught.value


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"prompt": "a"}, RowKind.PROMPT),
        ({"prompt": ASKED, "id": 7}, RowKind.PROMPT),
        (PAIR, RowKind.PREFERENCE),
        ({"prompt": ASKED, "chosen": SAID, "rejected": "b", "weight": 2}, RowKind.PREFERENCE),
        ({"prompt": "", "chosen": "b", "rejected": ""}, RowKind.PREFERENCE),
        (LABELLED, RowKind.LABELLED),
        ({"prompt": ASKED, "completion": SAID, "label": False}, RowKind.LABELLED),
        (CHECKS, RowKind.CHECKS),
        ({"prompt": ASKED, "checks": [{"name": "json-parses"}]}, RowKind.CHECKS),
        (FEEDBACK, RowKind.FEEDBACK),
        ({"kind": "example", "completion": "b", **OF_SET}, RowKind.FEEDBACK),
        ({"kind": "label", "completion": "", "label": False, **OF_SET}, RowKind.FEEDBACK),
        # What was known before stays what it was, whatever keys it has beside.
        ({"text": "a", "prompt": "b"}, RowKind.TEXT),
        ({"prompt": "a", "completion": "b", "chosen": "c"}, RowKind.PROMPT_COMPLETION),
        ({"prompt": "a", "completion": "b", "kind": "x", "votes": 3}, RowKind.PROMPT_COMPLETION),
        ({"messages": ASKED, "prompt": "a", "chosen": "b", "rejected": "c"}, RowKind.MESSAGES),
    ],
)
def test_rows_are_known_by_their_keys(row: dict[str, Any], kind: RowKind) -> None:
    assert inspected(row, row).kind is kind


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ({"prompt": "a"}, {"prompt": ""}, "row 2.prompt must not be empty"),
        ({"prompt": "a"}, {"prompt": 5}, "row 2.prompt must be text or a list of messages, not a number"),
        ({"prompt": "a"}, {"prompt": [*ASKED, *SAID]}, "row 2.prompt[1].role must not be assistant"),
        ({"prompt": "a"}, {"prompt": []}, "row 2.prompt must hold 1 to 10,000 messages, not 0"),
        ({"prompt": "a"}, {"prompt": [{"role": "robot", "content": ""}]}, "row 2.prompt[0].role must be one of system"),
        ({"prompt": "a"}, {"prompt": "a\x00"}, "row 2.prompt holds NUL at character 2"),
        ({"prompt": "a"}, '{"prompt": "\\ud800"}', "row 2.prompt holds half a character"),
        ({"prompt": "a"}, PAIR, "has `prompt` and `chosen` and `rejected`, and the rows before it have `prompt`"),
        ({"prompt": "a"}, {"text": "a"}, "row 2 has `text`, and the rows before it have `prompt`"),
        (PAIR, {**PAIR, "rejected": "b"}, "row 2.rejected is the same as `chosen`: there is nothing to prefer"),
        (PAIR, {**PAIR, "chosen": [{"role": "assistant", "content": "c"}]}, "row 2.rejected is the same as `chosen`"),
        (PAIR, {**PAIR, "chosen": None}, "row 2.chosen is missing"),
        (PAIR, {"prompt": "a"}, "row 2.chosen is missing; row 2.rejected is missing"),
        (PAIR, {"chosen": "a", "rejected": "b"}, "row 2.prompt is missing"),
        (PAIR, {**PAIR, "chosen": [*ASKED, *SAID]}, "row 2.chosen must hold one message, the answer, not 2"),
        (PAIR, {**PAIR, "chosen": ASKED}, "row 2.chosen[0].role must be assistant, got user"),
        (PAIR, {**PAIR, "chosen": 1}, "row 2.chosen must be text or a list with one message of the assistant"),
        (PAIR, {**PAIR, "weight": 0}, "row 2.weight must be above 0 and at most 1000, got 0"),
        (PAIR, {**PAIR, "weight": 10**500}, "row 2.weight must be above 0 and at most 1000, got 1000000"),
        (PAIR, {**PAIR, "weight": True}, "row 2.weight must be a number, not true or false"),
        (PAIR, LABELLED, "row 2.chosen is missing"),
        (LABELLED, {**LABELLED, "label": 1}, "row 2.label must be true or false, not a number"),
        (LABELLED, {**LABELLED, "label": "yes"}, "row 2.label must be true or false, not text"),
        (LABELLED, {"prompt": "a", "completion": "b"}, "row 2.label is missing"),
        (LABELLED, {**LABELLED, "completion": {}}, "row 2.completion must be text or a list with one message"),
        (CHECKS, {"prompt": "a", "checks": []}, "row 2.checks must hold 1 to 100 checks, not 0"),
        (CHECKS, {"prompt": "a", "checks": {"name": "contains"}}, "row 2.checks must be a list, not an object"),
        (CHECKS, {"prompt": "a", "checks": ["contains"]}, "row 2.checks[0] must be an object, not text"),
        (CHECKS, {"prompt": "a", "checks": [{"name": "contain"}]}, "did you mean 'contains'?"),
        (
            CHECKS,
            {"prompt": "a", "checks": [{"name": "contains"}]},
            "row 2.checks[0].argument is required for contains",
        ),
        (CHECKS, {"prompt": "a", "checks": [{"argument": "b"}]}, "row 2.checks[0].name is missing"),
        (
            CHECKS,
            {"prompt": "a", "checks": [{"name": "excludes", "argument": 7}]},
            "argument must be text, not a number",
        ),
        (
            FEEDBACK,
            {**FEEDBACK, "kind": "pairs"},
            "row 2.kind must be one of pair, label, example, got 'pairs'; did you",
        ),
        (FEEDBACK, {**FEEDBACK, "votes": "v"}, "row 2.votes must be a list, not text"),
        (FEEDBACK, {**FEEDBACK, "votes": [1]}, "row 2.votes[0] must be text, not a number"),
        (FEEDBACK, {"kind": "label", "completion": "b", **OF_SET}, "row 2.label is missing"),
        (FEEDBACK, {"kind": "example", "completion": "", **OF_SET}, "row 2.completion must not be empty"),
        (FEEDBACK, PAIR, "row 2.kind is missing"),
    ],
)
def test_a_row_that_is_wrong_is_told_with_number_and_field(good: Any, bad: Any, words: str) -> None:
    error = refusal(good, bad, good)
    assert words in error.message
    assert error.metadata == {"row": "2", "rows": "2"}


def test_a_label_that_is_no_boolean_is_refused_in_the_first_row_too() -> None:
    error = refusal({**LABELLED, "label": 1}, LABELLED)
    assert error.message.startswith("1 row is wrong of 2: row 1.label must be true or false, not a number")


def test_rows_are_the_same_if_all_that_is_judged_is_the_same() -> None:
    assert inspected(PAIR, PAIR, {**PAIR, "chosen": "c", "rejected": "b"}).duplicate_examples == (2,)
    assert inspected(LABELLED, {**LABELLED, "label": False}, LABELLED).duplicate_examples == (3,)
    in_a_list = {**PAIR, "chosen": [{"role": "assistant", "content": "b"}]}
    assert inspected(PAIR, in_a_list).duplicate_examples == (2,)
    assert inspected(CHECKS, {"prompt": "a", "checks": [{"name": "excludes", "argument": "b"}]}).duplicate_rows == 0


def test_a_feedback_set_knows_how_many_rows_of_each_kind_either_part_has() -> None:
    label = {"kind": "label", "completion": "b", "label": True, **OF_SET}
    example = {"kind": "example", "completion": "b", **OF_SET}
    found = inspected(FEEDBACK, FEEDBACK, FEEDBACK, label, label, example, example, fraction=0.3)
    assert found.train_signals == SignalCounts(pairs=3, labels=2, examples=0)
    assert found.validation_signals == SignalCounts(examples=2)
    assert inspected(PAIR, PAIR).train_signals is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "name"]), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["text", "prompt", "completion", "messages", "chosen", "rejected", "label", "weight", "checks"])
FIELDS = KEYS | st.sampled_from(["kind", "votes"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "x"]), "content": st.text(max_size=2)})
)
LIKELY = VALUES | MESSAGES | st.sampled_from(["pair", "label", "example", [], [{"name": "contains", "argument": "a"}]])


@given(st.lists(st.dictionaries(FIELDS, LIKELY, max_size=6), min_size=1, max_size=4))
def test_whatever_rows_hold_they_are_taken_or_refused_by_name(rows: list[dict[str, Any]]) -> None:
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    inspection = RowInspection(size_bytes=len(data), validation_fraction=0.5)
    try:
        inspection.feed(data)
        found = inspection.finish()
    except InvalidData as refused:
        assert "row" in refused.message
        return
    assert found.rows == len(rows) and found.row_statistics is not None


def test_a_very_long_name_is_refused_at_once() -> None:
    long = "x" * 10_000_000
    check = {"prompt": "a", "checks": [{"name": long}]}
    assert "got 'xxxx" in refusal(CHECKS, check).message
    assert "got 'xxxx" in refusal(FEEDBACK, {**FEEDBACK, "kind": long}).message
