"""Optimizers, schedules, mixtures, rows and what would silently do nothing: filled in or refused, with the way out."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain import limits
from services.domain.datasets import DatasetFormat, RowKind
from services.domain.errors import InvalidField
from services.domain.forecasting import forecast
from services.domain.inputs import Inputs
from services.domain.optimization import OWN_SETTINGS, OptimizationSpec, Optimizer, Schedule
from services.domain.resolution import resolve
from services.domain.tokenizer_files import vocabulary_size_of
from services.domain.training import (
    CheckpointsDraft,
    EarlyStoppingDraft,
    EvaluationDraft,
    LossOn,
    MixturePartDraft,
    OptimizationDraft,
    Precision,
    RegularizationDraft,
    RowsDraft,
    TokenizerDraft,
    TokenizerKind,
    TrainDraft,
    TrainSpec,
)
from tests.unit.services_domain.test_resolution import DRAFT, dataset, inputs, rows

MESSAGES = inputs(rows())
TALKS = dataclasses.replace(dataset(), id="talks")


def resolved(using: Inputs | None = None, **draft: Any) -> TrainSpec:
    return resolve(dataclasses.replace(DRAFT, **draft), using or inputs())


def complaints(using: Inputs | None = None, **draft: Any) -> dict[str, str]:
    with pytest.raises(InvalidField) as caught:
        resolved(using, **draft)
    return {violation.field: violation.description for violation in caught.value.violations}


def moved(**draft: Any) -> OptimizationSpec:
    return resolved(optimization=OptimizationDraft(**draft)).optimization


def warnings(using: Inputs | None = None, **draft: Any) -> tuple[str, ...]:
    using = using or inputs()
    return forecast(resolved(using, **draft), inputs=using, speeds=[], queue_s=None, free_bytes=None).warnings


@pytest.mark.parametrize(
    ("optimizer", "shown"),
    [
        (None, {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}),
        (Optimizer.ADAM, {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}),
        (Optimizer.SGD, {"momentum": 0.9, "nesterov": False}),
        (Optimizer.RMSPROP, {"beta2": 0.99, "epsilon": 1e-8, "momentum": 0.0}),
        (Optimizer.ADAFACTOR, {"epsilon": 1e-8}),
        (Optimizer.MUON, {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "momentum": 0.95, "nesterov": True}),
    ],
)
def test_each_optimizer_shows_what_it_reads_and_nothing_else(optimizer: Optimizer | None, shown: Any) -> None:
    spec = dataclasses.asdict(moved(optimizer=optimizer))
    own = {name: spec[name] for name in ("beta1", "beta2", "epsilon", "momentum", "nesterov")}
    assert {name: value for name, value in own.items() if value is not None} == shown


def test_what_an_optimizer_reads_is_said_of_every_optimizer() -> None:
    assert set(OWN_SETTINGS) == set(Optimizer)


@pytest.mark.parametrize("optimizer", Optimizer)
@pytest.mark.parametrize("name", ["beta1", "beta2", "epsilon", "momentum", "nesterov"])
def test_what_an_optimizer_does_not_read_is_refused(optimizer: Optimizer, name: str) -> None:
    draft = OptimizationDraft(optimizer=optimizer, **{name: True if name == "nesterov" else 0.5})  # type: ignore[arg-type]
    if name in OWN_SETTINGS[optimizer]:
        assert getattr(resolved(optimization=draft).optimization, name) is not None
    else:
        said = complaints(optimization=draft)[f"spec.optimization.{name}"]
        assert said.startswith(f"must be left out for OPTIMIZER_{optimizer.name}")
        assert "would read it" in said


def test_schedules_have_their_defaults() -> None:
    assert moved().schedule is Schedule.COSINE
    assert moved(schedule=Schedule.WARMUP_STABLE_DECAY).decay_ratio == 0.2
    assert moved(schedule=Schedule.LINEAR).decay_ratio is None
    assert moved(schedule=Schedule.CONSTANT).final_learning_rate_ratio == 1.0


@pytest.mark.parametrize(
    ("draft", "field", "said"),
    [
        ({"decay_ratio": 0.1}, "decay_ratio", "SCHEDULE_WARMUP_STABLE_DECAY would read it"),
        ({"schedule": Schedule.WARMUP_STABLE_DECAY, "decay_ratio": 0.0}, "decay_ratio", "above 0 and at most 1"),
        ({"schedule": Schedule.WARMUP_STABLE_DECAY, "decay_ratio": 1.5}, "decay_ratio", "got 1.5"),
        ({"schedule": Schedule.CONSTANT, "final_learning_rate_ratio": 0.1}, "final_learning_rate_ratio", "left out"),
        ({"optimizer": Optimizer.SGD, "nesterov": True, "momentum": 0.0}, "nesterov", "set momentum above 0"),
        ({"optimizer": Optimizer.SGD, "momentum": 1.0}, "momentum", "below 1, got 1.0"),
        ({"learning_rate": 0.0}, "learning_rate", "above 0 and at most 1, got 0.0"),
        ({"learning_rate": 1e6}, "learning_rate", "above 0 and at most 1, got 1000000.0"),
        ({"warmup_steps": 501}, "warmup_steps", "must be 0 to 500, got 501"),
    ],
)
def test_what_cannot_work_is_refused(draft: dict[str, Any], field: str, said: str) -> None:
    assert said in complaints(optimization=OptimizationDraft(**draft))[f"spec.optimization.{field}"]


def test_muon_without_momentum_does_not_look_ahead() -> None:
    assert moved(optimizer=Optimizer.MUON, momentum=0.0).nesterov is False


def test_the_micro_batch_of_a_large_preset_divides_whatever_batch_there_is() -> None:
    plenty = inputs(dataset(train_bytes=10**9, validation_bytes=10**7))
    assert resolved(plenty, preset="1b").optimization.micro_batch_size == 4
    asked = OptimizationDraft(batch_size=6)
    assert resolved(plenty, preset="1b", optimization=asked).optimization.micro_batch_size == 3


@pytest.mark.parametrize("name", ["residual_dropout", "attention_dropout", "embedding_dropout", "label_smoothing"])
@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_shares_are_below_one(name: str, value: float) -> None:
    said = complaints(regularization=RegularizationDraft(**{name: value}))  # type: ignore[arg-type]
    assert said[f"spec.regularization.{name}"] == f"must be at least 0 and below 1, got {value}"


def stopping(patience: int | None = None, min_delta: float | None = None) -> RegularizationDraft:
    return RegularizationDraft(early_stopping=EarlyStoppingDraft(patience=patience, min_delta=min_delta))


def test_where_training_stops_early_the_best_weights_are_published() -> None:
    assert resolved(regularization=stopping(3)).checkpoints.publish_best is True
    assert resolved(regularization=stopping(0)).checkpoints.publish_best is False
    asked = CheckpointsDraft(publish_best=False)
    assert resolved(regularization=stopping(3), checkpoints=asked).checkpoints.publish_best is False


@pytest.mark.parametrize(
    ("draft", "field", "said"),
    [
        ({"regularization": stopping(1001)}, "regularization.early_stopping.patience", "0 to 1000, got 1001"),
        ({"regularization": stopping(2, 11.0)}, "regularization.early_stopping.min_delta", "0 to 10, got 11.0"),
        ({"regularization": stopping(0, 0.1)}, "regularization.early_stopping.min_delta", "set patience to 1 or more"),
        (
            {"regularization": stopping(10)},
            "regularization.early_stopping.patience",
            "is 10 (one every 50 of 500 steps)",
        ),
        (
            {"regularization": stopping(1), "evaluation": EvaluationDraft(interval_steps=0)},
            "regularization.early_stopping.patience",
            "which is 1 (the one at the end)",
        ),
        (
            {"checkpoints": CheckpointsDraft(publish_best=True), "evaluation": EvaluationDraft(interval_steps=0)},
            "checkpoints.publish_best",
            "lower evaluation.interval_steps",
        ),
    ],
)
def test_what_hangs_on_evaluations_needs_some(draft: dict[str, Any], field: str, said: str) -> None:
    assert said in complaints(**draft)[f"spec.{field}"]


@pytest.mark.parametrize("precision", [Precision.TF32, Precision.FP16])
def test_arithmetic_of_gpus_is_refused_where_there_is_none(precision: Precision) -> None:
    said = complaints(inputs(devices=frozenset(["cpu"])), precision=precision)["spec.precision"]
    assert said.startswith(f"PRECISION_{precision.name} needs a GPU")
    assert resolved(inputs(devices=frozenset(["cpu", "cuda"])), precision=precision).precision is precision
    assert "No worker was heard from lately" in warnings(precision=precision)[0]


def test_plain_text_has_no_rows_to_speak_of() -> None:
    assert resolved().rows is None
    said = complaints(rows=RowsDraft(packing=True, loss_on=LossOn.ALL, chat_template="x", deduplicate=False))
    assert set(said) == {f"spec.rows.{name}" for name in ("packing", "loss_on", "chat_template", "deduplicate")}


def test_rows_are_packed_and_freed_of_repetitions() -> None:
    found = resolved(MESSAGES).rows
    assert found is not None
    assert (found.packing, found.loss_on, found.chat_template, found.deduplicate) == (True, LossOn.AUTO, None, True)


@pytest.mark.parametrize(
    ("kind", "draft", "field", "said"),
    [
        (RowKind.TEXT, RowsDraft(chat_template="x"), "chat_template", "the rows are texts"),
        (RowKind.PROMPT_COMPLETION, RowsDraft(chat_template="x"), "chat_template", "prompts and completions"),
        (RowKind.TEXT, RowsDraft(loss_on=LossOn.COMPLETION), "loss_on", "there is no completion"),
        (RowKind.MESSAGES, RowsDraft(chat_template=""), "chat_template", "1 to 20000 characters, got 0"),
        (RowKind.MESSAGES, RowsDraft(chat_template="x" * 20_001), "chat_template", "got 20001"),
    ],
)
def test_what_would_do_nothing_with_these_rows_is_refused(kind: RowKind, draft: Any, field: str, said: str) -> None:
    assert said in complaints(inputs(rows(kind)), rows=draft)[f"spec.rows.{field}"]


def test_a_dataset_without_rows_to_train_or_validate_on_is_refused() -> None:
    few = dataclasses.replace(rows(), split=dataclasses.replace(rows().split, train_rows=0))
    assert "no rows to train on" in complaints(inputs(few))["spec.dataset"]
    few = dataclasses.replace(rows(), split=dataclasses.replace(rows().split, validation_rows=0))
    assert "no rows to validate on" in complaints(inputs(few))["spec.dataset"]


def mixed(*weights: float | None) -> tuple[MixturePartDraft, ...]:
    return tuple(MixturePartDraft(dataset="projects/p/datasets/talks", weight=weight) for weight in weights)


def test_a_part_of_a_mixture_counts_as_much_as_the_first_dataset() -> None:
    (part,) = resolved(inputs(mixture=(TALKS,)), mixture=mixed(None)).mixture
    assert (part.dataset, part.weight) == ("projects/p/datasets/talks", 1.0)


@pytest.mark.parametrize("weight", [0.0, -1.0, 1000.5, math.nan, math.inf])
def test_weights_are_above_zero_and_not_absurd(weight: float) -> None:
    said = complaints(inputs(mixture=(TALKS,)), mixture=mixed(weight))
    assert said["spec.mixture[0].weight"] == f"must be above 0 and at most 1000, got {weight}"


def test_a_dataset_is_mixed_in_once() -> None:
    said = complaints(inputs(mixture=(TALKS, TALKS)), mixture=mixed(1.0, 2.0))
    assert "a second time" in said["spec.mixture[1].dataset"]
    said = complaints(inputs(mixture=(dataset(),)), mixture=mixed(1.0))
    assert "a second time" in said["spec.mixture[0].dataset"]


def test_fifteen_further_datasets_are_the_most() -> None:
    many = tuple(dataclasses.replace(TALKS, id=f"talks-{number}") for number in range(16))
    assert "at most 15" in complaints(inputs(mixture=many), mixture=mixed(*[1.0] * 16))["spec.mixture"]
    assert len(resolved(inputs(mixture=many[:15]), mixture=mixed(*[1.0] * 15)).mixture) == 15


def test_a_part_that_is_too_short_for_one_sequence_is_named() -> None:
    short = dataclasses.replace(dataset(train_bytes=100), id="short")
    said = complaints(inputs(mixture=(short,)), mixture=mixed(1.0))
    assert said["spec.mixture[0].dataset"].startswith("has 100 bytes to train on, and one sequence of 128 tokens")


@pytest.mark.parametrize(
    ("format", "way_out"),
    [(DatasetFormat.MODEL_FILES, "import it with ImportModel"), (DatasetFormat.TOKENIZER, "tokenizer.dataset")],
)
def test_what_holds_no_text_is_refused_with_the_way_out(format: DatasetFormat, way_out: str) -> None:
    other = dataclasses.replace(dataset(), format=format)
    assert way_out in complaints(inputs(other))["spec.dataset"]
    other = dataclasses.replace(other, id="other")
    assert way_out in complaints(inputs(mixture=(other,)), mixture=mixed(1.0))["spec.mixture[0].dataset"]


FILE = dataclasses.replace(dataset(), id="tokenizer", format=DatasetFormat.TOKENIZER)
FROM_FILE = TokenizerDraft(kind=TokenizerKind.FILE, dataset=FILE.name)


def test_a_tokenizer_file_says_how_many_tokens_there_are() -> None:
    spec = resolved(inputs(tokenizer=FILE, vocabulary_size=1000), tokenizer=FROM_FILE)
    assert (spec.tokenizer.vocabulary_size, spec.tokenizer.dataset) == (1000, FILE.name)
    assert spec.parameters == spec.architecture.parameters(1000)


@pytest.mark.parametrize(
    ("using", "draft", "field", "said"),
    [
        (inputs(), TokenizerDraft(kind=TokenizerKind.FILE), "dataset", "is required for TOKENIZER_KIND_FILE"),
        (inputs(tokenizer=TALKS), FROM_FILE, "dataset", "must be of DATASET_FORMAT_TOKENIZER"),
        (inputs(tokenizer=FILE), FROM_FILE, "dataset", "no tokenizer.json with a vocabulary"),
        (
            inputs(tokenizer=FILE, vocabulary_size=1000),
            dataclasses.replace(FROM_FILE, vocabulary_size=999),
            "vocabulary_size",
            "must be left out for a file, which has 1000 tokens, got 999",
        ),
        (
            inputs(tokenizer=FILE, vocabulary_size=9),
            TokenizerDraft(dataset=FILE.name),
            "dataset",
            "unless kind is TOKENIZER_KIND_FILE, and it is TOKENIZER_KIND_BYTES",
        ),
    ],
)
def test_each_mistake_about_a_tokenizer_file_is_named(using: Inputs, draft: Any, field: str, said: str) -> None:
    assert said in complaints(using, tokenizer=draft)[f"spec.tokenizer.{field}"]


@pytest.mark.parametrize(
    ("plain", "size"),
    [
        ({"model": {"vocab": {"a": 0, "b": 5}}}, 6),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 9, "content": "<s>"}]}, 10),
        ({"model": {"vocab": [["a", -1.0], ["b", -2.0]]}, "added_tokens": None}, 2),
        ({"model": {"vocab": {}}}, None),
        ({"model": {"vocab": {"a": "0"}}}, None),
        ({"model": {"vocab": {"a": True}}}, None),
        ({"vocab": {"a": 0}}, None),
        ([], None),
    ],
)
def test_the_vocabulary_of_a_file_is_counted(plain: Any, size: int | None) -> None:
    assert vocabulary_size_of(json.dumps(plain).encode()) == size


def test_a_file_that_is_no_json_has_no_vocabulary() -> None:
    assert vocabulary_size_of(b"\x80\x02}") is None
    assert vocabulary_size_of(b"[" * 100_000) is None


@pytest.mark.parametrize(
    ("optimization", "said"),
    [
        (OptimizationDraft(learning_rate=0.2), "very high for ADAMW"),
        (OptimizationDraft(learning_rate=1e-9), "hardly moves any weight"),
        (OptimizationDraft(optimizer=Optimizer.SGD), "is low for SGD"),
    ],
)
def test_unusual_learning_rates_are_warned_of(optimization: OptimizationDraft, said: str) -> None:
    (warning,) = warnings(optimization=optimization)
    assert said in warning


@pytest.mark.parametrize("rate", [0.1, 1e-3, limits.LEARNING_RATE_UNUSUAL_LOW])
def test_usual_learning_rates_are_not(rate: float) -> None:
    assert warnings(optimization=OptimizationDraft(learning_rate=rate)) == ()
    assert warnings(optimization=OptimizationDraft(optimizer=Optimizer.SGD, learning_rate=0.1)) == ()


def test_what_was_kept_before_reads_as_the_defaults() -> None:
    """A row of the first schema, in which there were one optimizer, one schedule and plain text only."""
    plain = resolved().to_json()
    new = ("mixture", "rows", "regularization", "compute")
    old = {name: value for name, value in plain.items() if name not in new}
    newer = ("optimizer", "schedule", "momentum", "nesterov", "decay_ratio")
    old["optimization"] = {name: value for name, value in plain["optimization"].items() if name not in newer}
    old["checkpoints"] = {"interval_steps": plain["checkpoints"]["interval_steps"]}
    old["tokenizer"] = {"kind": "BYTES", "vocabulary_size": 257}
    assert TrainSpec.from_json(json.loads(json.dumps(old))) == resolved()


_FLOATS = st.one_of(st.none(), st.floats())
_NUMBERS = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))


def some(kind: type) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.sampled_from(list(kind)))  # type: ignore[call-overload]


@settings(max_examples=200, deadline=None)
@given(
    optimization=st.builds(
        OptimizationDraft,
        optimizer=some(Optimizer),
        schedule=some(Schedule),
        momentum=_FLOATS,
        nesterov=st.one_of(st.none(), st.booleans()),
        decay_ratio=_FLOATS,
        beta2=_FLOATS,
        batch_size=_NUMBERS,
        micro_batch_size=_NUMBERS,
    ),
    regularization=st.builds(
        RegularizationDraft,
        residual_dropout=_FLOATS,
        label_smoothing=_FLOATS,
        early_stopping=st.builds(EarlyStoppingDraft, patience=_NUMBERS, min_delta=_FLOATS),
    ),
    rows=st.builds(RowsDraft, loss_on=some(LossOn), chat_template=st.one_of(st.none(), st.text(max_size=5))),
    checkpoints=st.builds(CheckpointsDraft, interval_steps=_NUMBERS, publish_best=st.one_of(st.none(), st.booleans())),
    precision=some(Precision),
    kind=some(RowKind),
)
def test_any_settings_are_either_shown_as_they_were_asked_for_or_refused(kind: RowKind | None, **draft: Any) -> None:
    using = inputs(rows(kind) if kind else None)
    try:
        spec = resolved(using, **draft)
    except InvalidField as error:
        assert error.violations
        assert all(violation.field.startswith("spec.") for violation in error.violations)
        return
    for part in ("optimization", "regularization", "rows", "checkpoints"):
        for field in dataclasses.fields(draft[part]):
            asked = getattr(draft[part], field.name)
            if asked is not None and not dataclasses.is_dataclass(asked):
                assert getattr(getattr(spec, part), field.name) == asked
    assert TrainSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_drafts_say_nothing_by_themselves() -> None:
    assert TrainDraft(dataset="d") == dataclasses.replace(DRAFT, dataset="d")
