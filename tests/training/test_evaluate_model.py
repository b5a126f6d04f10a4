"""Jobs that measure a model."""

import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.training.drawing import Studio
from tests.training.runs import TEXT, Story
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.generate import DrawRule, continue_tokens
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.recipes import evaluate as recipe
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2

LENGTH = 64
OPTIONS = training_pb2.DrawOptions(max_tokens=12, temperature=0.0, top_p=1.0, seed=3)


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all() -> Iterator[None]:
    """Also for what the tests share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("studio"), context_length=LENGTH)


def model_of(studio: Studio) -> Decoder:
    return base_model(studio.models[1], store=studio.bench.store, scratch=studio.bench.scratch).model.eval()


def nats(model: Decoder, tokens: list[int]) -> torch.Tensor:
    """The loss of each token but the first."""
    with torch.no_grad():
        logits = model(torch.tensor([tokens[:-1]]))[0]
    return functional.cross_entropy(logits, torch.tensor(tokens[1:]), reduction="none").double()


def metrics(story: Story) -> dict[str, float]:
    assert story.ending == pipe_pb2.ENDING_COMPLETE
    [metric] = story.of(jobs_pb2.MetricLogged)
    assert metric.step == story.complete.step == 1
    return dict(metric.values)


ROWS: dict[str, list[Any]] = {
    "texts": [{"text": "def f(x):\n    return x"}, {"text": "é" * 50}, {"text": "z"}, {"text": "import os\n" * 20}],
    "completions": [{"prompt": "def ", "completion": "f(x):"}, {"prompt": "", "completion": "a"}],
    "repeated": [{"prompt": "def ", "completion": "f(x):"}] * 3,
}


def expected_of(model: Decoder, row: dict[str, str]) -> tuple[float, int, int]:
    """Nats, tokens and bytes of a row."""
    if "text" in row:
        tokens, counted = [*row["text"].encode(), 256], 0
        losses = [
            nats(model, tokens[begin : begin + LENGTH + 1]) for begin in range(0, len(tokens) - 1, LENGTH)
        ]  # a long text goes on in a window of its own
        return float(torch.cat(losses).sum()), len(tokens) - 1, len(tokens) - 2
    prompt, said = row["prompt"].encode(), [*row["completion"].encode(), 256]
    tokens = [*prompt, *said]
    counted = max(0, len(prompt) - 1)
    losses_T = nats(model, tokens)[counted:]
    return float(losses_T.sum()), len(losses_T), len(losses_T) - 1


@pytest.mark.parametrize("kind", ROWS)
def test_each_row_is_measured_and_all_of_them_together(studio: Studio, kind: str) -> None:
    story = studio.evaluate(studio.dataset(ROWS[kind]), all_rows=True)
    report, model = studio.report(story), model_of(studio)
    expected = [expected_of(model, row) for row in ROWS[kind]]
    assert [row["row"] for row in report["rows"]] == list(range(1, len(expected) + 1))
    for row, (total, tokens, size_bytes) in zip(report["rows"], expected, strict=True):
        assert row["tokens"] == tokens
        assert row["loss"] == pytest.approx(total / tokens, abs=1e-5)
        assert row["perplexity"] == pytest.approx(math.exp(total / tokens), rel=1e-5)
        if size_bytes:
            assert row["bits_per_byte"] == pytest.approx(total / math.log(2) / size_bytes, abs=1e-5)
    total, tokens, size_bytes = (sum(values) for values in zip(*expected, strict=True))
    assert metrics(story) == pytest.approx(
        {
            "eval/loss": total / tokens,
            "eval/perplexity": math.exp(total / tokens),
            "eval/bits_per_byte": total / math.log(2) / size_bytes,
        },
        rel=1e-5,
    )
    assert report["metrics"] == metrics(story)
    assert report["model"] == studio.models[1].name


def test_rows_kept_for_validation_are_measured_unless_all_are_wanted(studio: Studio) -> None:
    dataset = studio.dataset(ROWS["texts"], train_rows=3)
    kept, every = studio.evaluate(dataset), studio.evaluate(dataset, all_rows=True)
    assert [row["row"] for row in studio.report(kept)["rows"]] == [4]
    assert [row["row"] for row in studio.report(every)["rows"]] == [1, 2, 3, 4]


def test_conversations_are_measured_by_what_the_assistant_says(studio: Studio) -> None:
    rows = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    [row] = studio.report(studio.evaluate(studio.dataset(rows), all_rows=True))["rows"]
    assert row["tokens"] == len("b<|im_end|>\n") + 1


def test_what_the_context_cuts_off_is_said(studio: Studio) -> None:
    rows = [{"prompt": "a" * 60, "completion": "b" * 20}, {"prompt": "a", "completion": "b"}]
    story = studio.evaluate(studio.dataset(rows), all_rows=True)
    [note] = story.notes("rows_truncated")
    assert note.details["truncated"] == "1"
    assert studio.report(story)["rows"][0]["tokens"] == LENGTH + 1 - 60


@pytest.mark.parametrize("all_rows", [False, True])
def test_a_text_is_measured_window_by_window(studio: Studio, all_rows: bool) -> None:
    story = studio.evaluate(studio.bench.dataset, all_rows=all_rows)
    model, train = model_of(studio), studio.bench.dataset.train_bytes
    parts = [TEXT[:train], TEXT[train:]] if all_rows else [TEXT[train:]]
    losses = [
        nats(model, list(part[begin : begin + LENGTH + 1]))
        for part in parts
        for begin in range(0, len(part) - LENGTH, LENGTH)
    ]
    rows = studio.report(story)["rows"]
    assert [row["loss"] for row in rows] == pytest.approx([float(one.mean()) for one in losses], abs=1e-5)
    assert rows[1]["token"] == LENGTH
    assert metrics(story)["eval/loss"] == pytest.approx(float(torch.cat(losses).mean()), abs=1e-5)


def test_a_model_that_learnt_longer_measures_better(studio: Studio) -> None:
    first, second = (metrics(studio.evaluate(studio.bench.dataset, model=model)) for model in studio.models)
    assert second["eval/loss"] < first["eval/loss"]


CHECKS = [
    {"prompt": "def ", "checks": [{"name": "length-at-most", "argument": "100"}]},
    {
        "prompt": "x = ",
        "checks": [{"name": "contains", "argument": "never said"}, {"name": "excludes", "argument": "never said"}],
    },
    {"prompt": [{"role": "user", "content": "a"}], "checks": [{"name": "length-at-most", "argument": "1"}]},
]


def test_answers_are_held_against_the_checks_of_their_rows(studio: Studio) -> None:
    story = studio.evaluate(studio.dataset(CHECKS), all_rows=True, options=OPTIONS)
    rows, model = studio.report(story)["rows"], model_of(studio)
    for row, asked in zip(rows[:2], (b"def ", b"x = "), strict=True):
        drawn = continue_tokens(model, list(asked), rule=DrawRule(0.0), seed=3, tokens_max=12, end_of_text=256)
        assert row["answer"] == bytes(drawn).decode(errors="replace").replace("\0", "\ufffd")
    assert [[check["passed"] for check in row["checks"]] for row in rows] == [[True], [False, True], [False]]
    assert [row["passed"] for row in rows] == [True, False, False]
    assert metrics(story) == {"eval/checks": 4.0, "eval/checks_passed": 0.5}


def test_an_answer_depends_on_its_row_and_on_no_other(studio: Studio) -> None:
    options = training_pb2.DrawOptions(max_tokens=12, temperature=1.0, top_p=1.0, seed=3)
    every = studio.report(studio.evaluate(studio.dataset(CHECKS), all_rows=True, options=options))["rows"]
    kept = studio.report(studio.evaluate(studio.dataset(CHECKS, train_rows=1), options=options))["rows"]
    assert kept == every[1:]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"prompt": "a", "checks": [{"name": "sings", "argument": "x"}]}], "row 1: there is no checker 'sings'"),
        ([{"prompt": "a", "checks": []}], "row 1, checks: must be a list of 1 to"),
        ([{"prompt": "a", "checks": "contains"}], "row 1, checks: must be a list"),
        ([{"prompt": "a", "checks": ["contains"]}], r"row 1, checks\[0\]: must be an object"),
        ([{"prompt": "a", "checks": [{"argument": "x"}]}], r"row 1, checks\[0\].name: is missing"),
        ([{"prompt": "a" * 65, "checks": [{"name": "json-parses"}]}], "row 1: the prompt has 65 tokens"),
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], "hold nothing to predict"),
        ([{"prompt": "a"}], "hold nothing to predict"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": 1}], "row 2, completion"),
    ],
)
def test_rows_that_cannot_be_measured_are_refused(studio: Studio, rows: list[Any], words: str) -> None:
    with pytest.raises(UnusableData, match=words):
        studio.evaluate(studio.dataset(rows), all_rows=True, options=OPTIONS)


@pytest.mark.parametrize("kind", ["texts", "checks"])
def test_without_rows_for_validation_there_is_nothing_to_measure(studio: Studio, kind: str) -> None:
    dataset = studio.dataset(ROWS["texts"] if kind == "texts" else CHECKS)
    with pytest.raises(UnusableData, match="has nothing to measure on"):
        studio.evaluate(dataset, options=OPTIONS)


@pytest.mark.parametrize("kind", ["texts", "checks", "text"])
@pytest.mark.parametrize("signs", [0, 1, 2])
def test_it_stops_when_it_is_told_to(studio: Studio, kind: str, signs: int) -> None:
    dataset = {"texts": studio.dataset(ROWS["texts"]), "checks": studio.dataset(CHECKS), "text": studio.bench.dataset}
    left = iter([False] * signs)
    story = studio.evaluate(dataset[kind], all_rows=True, options=OPTIONS, stop=lambda: next(left, True))
    assert story.ending == pipe_pb2.ENDING_STOPPED
    assert not story.checkpoints and not story.of(jobs_pb2.MetricLogged)


def test_a_report_without_numbers_is_still_json(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = recipe.base_model

    def broken(*args: Any, **named: Any) -> Any:
        stored = loaded(*args, **named)
        torch.nn.init.constant_(stored.model.final_norm.weight, float("nan"))
        return stored

    monkeypatch.setattr(recipe, "base_model", broken)
    story = studio.evaluate(studio.dataset(ROWS["texts"]), all_rows=True)
    assert metrics(story) == {}
    text = (studio.bench.files(story.complete) / "report.json").read_text()
    assert json.loads(text)["rows"][0] == {"row": 1, "tokens": len(ROWS["texts"][0]["text"])}
    with pytest.raises(UnusableData, match="cannot be drawn from"):
        studio.evaluate(studio.dataset(CHECKS), all_rows=True, options=OPTIONS)
    assert isinstance(studio.bench.folder, pathlib.Path)
