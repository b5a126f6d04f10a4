"""Exports: the rows of a set in the words of other tools, whole however they are cut, and nobody's name in them."""

import json
import pathlib
from typing import Any

import pytest

from services.domain.answers import ChatMessage, Prompt
from services.domain.errors import NotFound, WrongState
from services.domain.feedback_exports import FeedbackFormat
from services.domain.feedback_sets import FeedbackSet
from services.domain.judgements import Correction, Thumb, Verdict
from services.feedback import export_feedback_set as exporting
from services.feedback.export_feedback_set import export_feedback_set
from tests.support.feedback import FeedbackBench
from tests.support.houses import add_project

CHAT = Prompt(messages=(ChatMessage(role="system", content="Be kind."), ChatMessage(role="user", content="hello")))
TRAINING = [each for each in FeedbackFormat if each is not FeedbackFormat.VOTES]


@pytest.fixture
def texts(feedback: FeedbackBench) -> FeedbackSet:
    """Ten prompts that are texts: preferences, and corrections."""
    for number in range(10):
        feedback.prefer(number, rationale="better")
        feedback.submit(f"prompt {number}", "bleu", correction=Correction(text="blue"))
    return feedback.freeze(validation_share=0.3)


def without_origin(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("split", "weight", "votes")}


def of_prompt(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [without_origin(row) for row in rows if row["prompt"] == f"prompt {number}"]


def test_texts_are_exported_as_texts(feedback: FeedbackBench, texts: FeedbackSet) -> None:
    exported = {format: feedback.exported(texts, format) for format in TRAINING}
    assert of_prompt(exported[FeedbackFormat.SFT], 1) == [{"prompt": "prompt 1", "completion": "blue"}]
    assert {(row["chosen"], row["rejected"]) for row in of_prompt(exported[FeedbackFormat.DPO], 1)} == {
        ("good 1", "bad 1"),
        ("blue", "bleu"),
    }
    assert {(row["completion"], row["label"]) for row in of_prompt(exported[FeedbackFormat.KTO], 1)} == {
        ("blue", True),
        ("bleu", False),
    }
    user, assistant = ({"role": role, "content": text} for role, text in (("user", "prompt 1"), ("assistant", "blue")))
    assert {
        "input": {"messages": [user]},
        "preferred_output": [assistant],
        "non_preferred_output": [{"role": "assistant", "content": "bleu"}],
    } in exported[FeedbackFormat.OPENAI]


def test_every_row_but_those_for_openai_knows_its_votes_its_weight_and_its_side(
    feedback: FeedbackBench, texts: FeedbackSet
) -> None:
    stored = {tuple(row["votes"]) for row in feedback.rows(texts)}
    for format in TRAINING:
        rows = feedback.exported(texts, format)
        if format is FeedbackFormat.OPENAI:
            assert all(set(row) == {"input", "preferred_output", "non_preferred_output"} for row in rows)
            continue
        assert {tuple(row["votes"]) for row in rows} <= stored
        assert {row["weight"] for row in rows} == {1.0}
        counts = [sum(row["split"] == split for row in rows) for split in ("train", "validation")]
        kind = {"SFT": "examples", "DPO": "pairs", "KTO": "labels"}[format.value]
        assert counts == [getattr(texts.train, kind), getattr(texts.validation, kind)]


def test_conversations_are_exported_as_conversations(feedback: FeedbackBench) -> None:
    feedback.submit(CHAT, "hi", "go away", verdict=Verdict.PREFERS, preferred=0)
    feedback.submit(CHAT, "hello", thumb=Thumb.UP)
    made = feedback.freeze()
    turns = [{"role": turn.role, "content": turn.content} for turn in CHAT.messages]
    answer = {"role": "assistant", "content": "hello"}
    (sft,) = feedback.exported(made, FeedbackFormat.SFT)
    assert without_origin(sft) == {"messages": [*turns, answer]}
    (dpo,) = feedback.exported(made, FeedbackFormat.DPO)
    assert without_origin(dpo) == {
        "prompt": turns,
        "chosen": [{"role": "assistant", "content": "hi"}],
        "rejected": [{"role": "assistant", "content": "go away"}],
    }
    (kto,) = feedback.exported(made, FeedbackFormat.KTO)
    assert without_origin(kto) == {"prompt": turns, "completion": [answer], "label": True}


def test_texts_beside_conversations_become_conversations(feedback: FeedbackBench) -> None:
    feedback.submit(CHAT, "hello", thumb=Thumb.UP)
    feedback.submit('a text with "prompt":[ in it', "yes", thumb=Thumb.UP)
    made = feedback.freeze()
    rows = feedback.exported(made, FeedbackFormat.SFT)
    assert all(set(row) == {"messages", "split", "weight", "votes"} for row in rows)
    assert [{"role": "user", "content": 'a text with "prompt":[ in it'}, {"role": "assistant", "content": "yes"}] in [
        row["messages"] for row in rows
    ]


def test_a_text_that_looks_like_a_conversation_is_none(feedback: FeedbackBench) -> None:
    for number in range(2):
        feedback.submit(f'{number},"prompt":[', '"kind":"example"', thumb=Thumb.DOWN)
    made = feedback.freeze()
    assert feedback.exported(made, FeedbackFormat.SFT) == []
    assert all(isinstance(row["prompt"], str) for row in feedback.exported(made, FeedbackFormat.KTO))


def test_votes_are_exported_as_they_are_in_the_ledger_now(feedback: FeedbackBench) -> None:
    review = feedback.reviews.with_items(3)
    anna = feedback.reviews.reviewer("anna")
    given = feedback.reviews.vote_on_all(anna, review)
    sent = feedback.submit(CHAT, "hi", rating=9, end_user="u7", rationale="kind")
    made = feedback.freeze(reviews=(review.name,))
    feedback.retract(sent)
    rows = feedback.exported(made, FeedbackFormat.VOTES)
    assert [row["vote"] for row in rows] == [each.uid for each in [*given, sent]]
    last = rows[-1]
    assert (last["state"], last["end_user"], last["prompt"], last["item"]) == ("RETRACTED", "u7", "", "")
    assert last["judgement"]["rating"] == 9 and last["judgement"]["rationale"] == "kind"
    assert last["messages"][1] == {"role": "user", "content": "hello"}
    assert rows[0]["item"] == "projects/own/reviews/helpfulness/items/1"
    assert sorted(rows[0]["shown_order"]) == [0, 1]
    assert all(set(row) == set(last) for row in rows)


def test_reviewers_are_told_apart_and_not_named(feedback: FeedbackBench) -> None:
    review = feedback.reviews.with_items(2, overlap=2)
    for name in ("anna", "ben"):
        feedback.reviews.vote_on_all(feedback.reviews.reviewer(name), review)
    made = feedback.freeze(reviews=(review.name,), sources=())
    data = feedback.export(made, FeedbackFormat.VOTES)
    assert b"anna" not in data and b"ben0" not in data
    pseudonyms = [row["reviewer"] for row in feedback.exported(made, FeedbackFormat.VOTES)]
    assert len(set(pseudonyms)) == 2
    again = feedback.freeze("again", reviews=(review.name,), sources=())
    assert [row["reviewer"] for row in feedback.exported(again, FeedbackFormat.VOTES)] == pseudonyms


@pytest.mark.parametrize("limit", [1, 7, 100, 10_000])
@pytest.mark.parametrize("format", FeedbackFormat)
def test_pieces_hold_whole_lines_and_none_is_too_long(
    feedback: FeedbackBench, texts: FeedbackSet, monkeypatch: pytest.MonkeyPatch, limit: int, format: FeedbackFormat
) -> None:
    expected = feedback.export(texts, format)
    monkeypatch.setattr(exporting, "FILE_CHUNK_BYTES", limit)
    monkeypatch.setattr(exporting, "_VOTES_AT_ONCE", 3)
    export = export_feedback_set(feedback.house, caller=feedback.bench.caller, name=texts.name, format=format)
    pieces = list(iter(export.read_piece, b""))
    export.close()
    assert b"".join(pieces) == expected
    assert all(len(piece) <= limit for piece in pieces)
    longest = max(len(line) for line in expected.splitlines(keepends=True))
    if limit >= longest:
        assert all(piece.endswith(b"\n") for piece in pieces)


def test_an_export_can_be_left_early(feedback: FeedbackBench, texts: FeedbackSet) -> None:
    export = export_feedback_set(feedback.house, caller=feedback.bench.caller, name=texts.name)
    export.close()
    assert export.read_piece() == b""


def test_a_set_that_is_foreign_or_whose_rows_are_lost_is_refused(feedback: FeedbackBench, texts: FeedbackSet) -> None:
    with pytest.raises(NotFound):
        export_feedback_set(feedback.house, caller=add_project(feedback.house, "foreign"), name=texts.name)
    feedback.house.store.delete(feedback.dataset(texts).artifact_key)
    with pytest.raises(WrongState, match="gone from the store"):
        feedback.export(texts, FeedbackFormat.DPO)


@pytest.mark.parametrize("format", FeedbackFormat)
def test_an_export_is_read_by_datasets(
    feedback: FeedbackBench, texts: FeedbackSet, tmp_path: pathlib.Path, format: FeedbackFormat
) -> None:
    """Of Hugging Face, where it is installed: the rows come out as they went in."""
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(feedback.export(texts, format))
    loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    expected = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(loaded) == len(expected)
    for key in expected[0]:
        if key != "create_time":  # read as a time
            assert loaded[0][key] == expected[0][key]
