"""From a draft to a specification: defaults filled in, every mistake named with what would be right."""

import dataclasses
import datetime
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.datasets import Dataset, DatasetFormat, DatasetSplit, DatasetState, RowKind, RowStatistics
from services.domain.errors import InvalidField
from services.domain.inputs import Inputs
from services.domain.presets import PRESETS, feed_forward_width_for
from services.domain.resolution import resolve
from services.domain.training import (
    ArchitectureDraft,
    CheckpointsDraft,
    EvaluationDraft,
    OptimizationDraft,
    Optimizer,
    Precision,
    SamplesDraft,
    TokenizerDraft,
    TokenizerKind,
    TrainDraft,
    TrainSpec,
)

DRAFT = TrainDraft(dataset="projects/p/datasets/plays")


def dataset(*, train_bytes: int = 1_000_000, validation_bytes: int = 50_000) -> Dataset:
    split = DatasetSplit(train_bytes=train_bytes, validation_bytes=validation_bytes, train_rows=1, validation_rows=1)
    return Dataset(
        project_id="p",
        id="plays",
        uid="u",
        state=DatasetState.READY,
        format=DatasetFormat.TEXT,
        size_bytes=train_bytes + validation_bytes,
        sha256="0" * 64,
        rows=2,
        characters=1,
        split=split,
        create_time=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        creator="c",
        filename="f",
    )


def rows(kind: RowKind = RowKind.MESSAGES, **values: Any) -> Dataset:
    statistics = RowStatistics(
        kind=kind,
        duplicate_rows=0,
        duplicate_examples=(),
        bytes_min=10,
        bytes_median=20,
        bytes_p95=30,
        bytes_max=40,
    )
    return dataclasses.replace(dataset(), format=DatasetFormat.JSONL, row_statistics=statistics, **values)


def inputs(of: Dataset | None = None, **values: Any) -> Inputs:
    return Inputs(dataset=of or dataset(), **{"opening": "To be", "seed": 7, **values})


def resolved(of: Dataset | None = None, **draft: Any) -> TrainSpec:
    return resolve(dataclasses.replace(DRAFT, **draft), inputs(of))


def complaints(of: Dataset | None = None, **draft: Any) -> dict[str, str]:
    with pytest.raises(InvalidField) as caught:
        resolved(of, **draft)
    return {violation.field: violation.description for violation in caught.value.violations}


@pytest.mark.parametrize(("optimizer", "times"), [("ADAMW", 1), ("SGD", 1), ("MUON", 5), ("ADAFACTOR", 25)])
def test_the_default_learning_rate_is_of_the_size_that_the_optimizer_wants(optimizer: str, times: float) -> None:
    preset = PRESETS["nano"].learning_rate
    draft = OptimizationDraft(optimizer=Optimizer[optimizer])
    assert resolved(preset="nano", optimization=draft).optimization.learning_rate == pytest.approx(times * preset)
    named = dataclasses.replace(draft, learning_rate=3e-3)
    assert resolved(preset="nano", optimization=named).optimization.learning_rate == 3e-3


def test_an_empty_draft_is_the_tiny_preset_with_every_value_shown() -> None:
    spec = resolved()
    assert (spec.preset, spec.architecture, spec.steps) == ("tiny", PRESETS["tiny"].architecture, 500)
    assert (spec.seed, spec.samples.prompt, spec.model) == (7, "To be", "plays-tiny")
    assert (spec.optimization.warmup_steps, spec.evaluation.interval_steps, spec.checkpoints.interval_steps) == (
        25,
        50,
        50,
    )
    assert (spec.tokenizer.kind, spec.tokenizer.vocabulary_size) == (TokenizerKind.BYTES, 257)
    assert spec.precision is Precision.AUTO


def test_what_a_job_shows_can_be_submitted_again() -> None:
    spec = resolved(steps=70, optimization=OptimizationDraft(batch_size=8, micro_batch_size=2))
    again = resolved(
        preset=spec.preset,
        steps=spec.steps,
        seed=spec.seed,
        model=spec.model,
        precision=spec.precision,
        architecture=ArchitectureDraft(**dataclasses.asdict(spec.architecture)),
        tokenizer=TokenizerDraft(kind=spec.tokenizer.kind, vocabulary_size=spec.tokenizer.vocabulary_size),
        optimization=OptimizationDraft(**dataclasses.asdict(spec.optimization)),
        evaluation=EvaluationDraft(**dataclasses.asdict(spec.evaluation)),
        samples=SamplesDraft(**dataclasses.asdict(spec.samples)),
        checkpoints=CheckpointsDraft(**dataclasses.asdict(spec.checkpoints)),
    )
    assert again == spec


def test_a_specification_survives_json() -> None:
    spec = resolved(tokenizer=TokenizerDraft(kind=TokenizerKind.BPE), precision=Precision.FP32)
    assert TrainSpec.from_json(spec.to_json()) == spec


def test_zero_is_a_value_and_not_a_gap() -> None:
    spec = resolved(
        seed=0,
        optimization=OptimizationDraft(warmup_steps=0, weight_decay=0.0, clip_norm=0.0),
        evaluation=EvaluationDraft(interval_steps=0),
        samples=SamplesDraft(interval_steps=0, prompt=""),
    )
    assert (spec.seed, spec.optimization.warmup_steps, spec.optimization.clip_norm) == (0, 0, 0.0)
    assert (spec.evaluation.interval_steps, spec.samples.interval_steps, spec.samples.prompt) == (0, 0, "")


def test_what_follows_from_another_width_is_derived() -> None:
    shape = resolved(architecture=ArchitectureDraft(width=96, heads=4)).architecture
    assert (shape.key_value_heads, shape.feed_forward_width) == (4, feed_forward_width_for(96))


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    assert "did you mean 'small'?" in complaints(preset="smal")["spec.preset"]


def test_heads_that_do_not_divide_are_answered_with_heads_that_do() -> None:
    said = complaints(architecture=ArchitectureDraft(width=200))
    assert said == {
        "spec.architecture.heads": "must divide width into even numbers, but 200 / 6 = 33.3333; "
        "for this width choose 2, 4, 5"
    }
    assert "choose an even width" in complaints(architecture=ArchitectureDraft(width=9))["spec.architecture.heads"]
    said = complaints(architecture=ArchitectureDraft(key_value_heads=4))
    assert said["spec.architecture.key_value_heads"] == "must divide heads = 6, got 4; choose one of 1, 2, 3, 6"


@pytest.mark.parametrize(
    ("draft", "field", "said"),
    [
        ({"steps": 0}, "spec.steps", "1 to 10000000, got 0"),
        ({"steps": 10**9}, "spec.steps", "got 1000000000"),
        ({"architecture": ArchitectureDraft(layers=0)}, "spec.architecture.layers", "1 to 128, got 0"),
        ({"architecture": ArchitectureDraft(heads=0)}, "spec.architecture.heads", "got 0"),
        ({"architecture": ArchitectureDraft(heads=-6)}, "spec.architecture.heads", "got -6"),
        ({"architecture": ArchitectureDraft(width=1_000_000)}, "spec.architecture.width", "got 1000000"),
        ({"architecture": ArchitectureDraft(context_length=0)}, "spec.architecture.context_length", "got 0"),
        ({"architecture": ArchitectureDraft(rotary_base=math.nan)}, "spec.architecture.rotary_base", "got nan"),
        ({"optimization": OptimizationDraft(learning_rate=math.nan)}, "spec.optimization.learning_rate", "got nan"),
        ({"optimization": OptimizationDraft(learning_rate=math.inf)}, "spec.optimization.learning_rate", "got inf"),
        ({"optimization": OptimizationDraft(learning_rate=0.0)}, "spec.optimization.learning_rate", "above 0"),
        ({"optimization": OptimizationDraft(beta1=1.0)}, "spec.optimization.beta1", "below 1, got 1.0"),
        ({"optimization": OptimizationDraft(epsilon=0.0)}, "spec.optimization.epsilon", "above 0"),
        ({"optimization": OptimizationDraft(clip_norm=math.inf)}, "spec.optimization.clip_norm", "finite, got inf"),
        ({"optimization": OptimizationDraft(weight_decay=-0.1)}, "spec.optimization.weight_decay", "0 to 1"),
        ({"optimization": OptimizationDraft(warmup_steps=501)}, "spec.optimization.warmup_steps", "0 to 500"),
        ({"optimization": OptimizationDraft(batch_size=0)}, "spec.optimization.batch_size", "got 0"),
        (
            {"optimization": OptimizationDraft(batch_size=32, micro_batch_size=5)},
            "spec.optimization.micro_batch_size",
            "must divide batch_size = 32, got 5; 4 would be right",
        ),
        (
            {"optimization": OptimizationDraft(batch_size=8, micro_batch_size=0)},
            "spec.optimization.micro_batch_size",
            "got 0; 1 would be right",
        ),
        (
            {"tokenizer": TokenizerDraft(vocabulary_size=4096)},
            "spec.tokenizer.vocabulary_size",
            "always has 257 tokens",
        ),
        (
            {"tokenizer": TokenizerDraft(kind=TokenizerKind.BPE, vocabulary_size=257)},
            "spec.tokenizer.vocabulary_size",
            "258 to 131072",
        ),
        ({"samples": SamplesDraft(prompt="x" * 2001)}, "spec.samples.prompt", "at most 2000 characters, got 2001"),
        ({"samples": SamplesDraft(prompt="a\x00")}, "spec.samples.prompt", "NUL character"),
        ({"samples": SamplesDraft(tokens=0)}, "spec.samples.tokens", "1 to 1000"),
        ({"checkpoints": CheckpointsDraft(interval_steps=0)}, "spec.checkpoints.interval_steps", "1 to"),
        ({"evaluation": EvaluationDraft(sequences=0)}, "spec.evaluation.sequences", "1 to 100000"),
        ({"evaluation": EvaluationDraft(sequences=1000)}, "spec.evaluation.sequences", "must be at most 390"),
        ({"model": "No Way"}, "spec.model", "lower-case letters"),
        ({"model": "../x"}, "spec.model", "lower-case letters"),
        (
            {"architecture": ArchitectureDraft(layers=128, width=16384, heads=128)},
            "spec.architecture",
            "the most is 20,000,000,000",
        ),
        (
            {
                "architecture": ArchitectureDraft(context_length=32768),
                "optimization": OptimizationDraft(batch_size=65536),
            },
            "spec.optimization.batch_size",
            "tokens a step",
        ),
    ],
)
def test_each_mistake_is_named_with_what_would_be_right(draft: dict[str, Any], field: str, said: str) -> None:
    assert said in complaints(**draft)[field]


def test_all_mistakes_are_named_at_once() -> None:
    said = complaints(
        steps=0,
        model="X",
        architecture=ArchitectureDraft(layers=0),
        optimization=OptimizationDraft(learning_rate=math.nan, beta2=2.0),
        samples=SamplesDraft(tokens=5000),
    )
    assert set(said) == {
        "spec.architecture.layers",
        "spec.optimization.learning_rate",
        "spec.optimization.beta2",
        "spec.steps",
        "spec.model",
        "spec.samples.tokens",
    }


def test_too_little_text_for_a_batch_is_counted() -> None:
    said = complaints(dataset(train_bytes=4096))
    assert said["spec.dataset"].startswith(
        "has 4,096 bytes to train on, and one batch of 32 sequences of 128 tokens needs 4,097"
    )
    assert resolved(dataset(train_bytes=4097)).steps == 500


def test_too_little_text_to_validate_on_is_counted() -> None:
    said = complaints(dataset(validation_bytes=128))
    assert said["spec.dataset"].startswith("has 128 bytes to validate on, and one sequence of 128 tokens needs 129")
    assert resolved(dataset(validation_bytes=129)).evaluation.sequences == 1


_NUMBERS = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))
_FLOATS = st.one_of(st.none(), st.floats())


@settings(max_examples=300, deadline=None)
@given(
    architecture=st.builds(
        ArchitectureDraft,
        layers=_NUMBERS,
        width=_NUMBERS,
        heads=_NUMBERS,
        key_value_heads=_NUMBERS,
        feed_forward_width=_NUMBERS,
        context_length=_NUMBERS,
        rotary_base=_FLOATS,
    ),
    optimization=st.builds(
        OptimizationDraft,
        learning_rate=_FLOATS,
        warmup_steps=_NUMBERS,
        epsilon=_FLOATS,
        clip_norm=_FLOATS,
        batch_size=_NUMBERS,
        micro_batch_size=_NUMBERS,
    ),
    steps=_NUMBERS,
)
def test_any_numbers_are_either_used_or_refused_with_their_fields(**draft: Any) -> None:
    try:
        spec = resolved(**draft)
    except InvalidField as error:
        assert error.violations
        assert all(violation.field.startswith("spec.") for violation in error.violations)
    else:
        assert spec.parameters > 0
        assert math.isfinite(spec.flops_per_step)
