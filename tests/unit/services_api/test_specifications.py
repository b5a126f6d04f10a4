"""Specifications on their way: what a caller sends is what is decided on, and what a job shows can be sent again."""

import dataclasses
from typing import Any

import pytest
from google.protobuf.message import Message

from services.api.translation import from_message, to_message
from services.domain import architecture, fine_tuning, optimization, run_settings
from services.domain.fine_tuning import FineTuneDraft, FineTuneSpec
from services.domain.optimization import Optimizer, Schedule
from services.domain.resolution import resolve, resolve_fine_tune
from services.domain.run_settings import Compilation, LossOn, Precision
from services.domain.training import TrainDraft, TrainSpec
from tests.unit.services_api.test_translation import _prefix, attributes
from tests.unit.services_domain.test_fine_tuning import FOUND
from tests.unit.services_domain.test_resolution import inputs, rows
from tutelage.v1 import training_pb2 as pb

PARTS: list[tuple[type, type, type[Message]]] = [
    (fine_tuning.FineTuneSpec, fine_tuning.FineTuneDraft, pb.FineTuneSpec),
    (fine_tuning.LoraSpec, fine_tuning.LoraDraft, pb.LoraSpec),
    (optimization.OptimizationSpec, optimization.OptimizationDraft, pb.OptimizationSpec),
    (run_settings.RowsSpec, run_settings.RowsDraft, pb.RowsSpec),
    (run_settings.MixturePart, run_settings.MixturePartDraft, pb.MixturePart),
    (run_settings.RegularizationSpec, run_settings.RegularizationDraft, pb.RegularizationSpec),
    (run_settings.EarlyStoppingSpec, run_settings.EarlyStoppingDraft, pb.EarlyStoppingSpec),
    (run_settings.ComputeSpec, run_settings.ComputeDraft, pb.ComputeSpec),
    (run_settings.CheckpointsSpec, run_settings.CheckpointsDraft, pb.CheckpointsSpec),
    (architecture.TokenizerSpec, architecture.TokenizerDraft, pb.TokenizerSpec),
]
ENUMS = [
    (optimization.Optimizer, pb.Optimizer),
    (optimization.Schedule, pb.Schedule),
    (run_settings.Compilation, pb.Compilation),
    (run_settings.LossOn, pb.LossOn),
    (run_settings.Precision, pb.Precision),
]
EVERYTHING = pb.TrainSpec(
    dataset="projects/p/datasets/plays",
    preset="nano",
    steps=400,
    seed=3,
    model="novel",
    precision=pb.PRECISION_FP32,
    optimization=pb.OptimizationSpec(
        optimizer=pb.OPTIMIZER_MUON,
        schedule=pb.SCHEDULE_WARMUP_STABLE_DECAY,
        learning_rate=0.01,
        momentum=0.9,
        nesterov=False,
        decay_ratio=0.5,
    ),
    regularization=pb.RegularizationSpec(
        residual_dropout=0.1, label_smoothing=0.05, early_stopping=pb.EarlyStoppingSpec(patience=3, min_delta=0.01)
    ),
    compute=pb.ComputeSpec(activation_checkpointing=True, compilation=pb.COMPILATION_OFF),
    rows=pb.RowsSpec(packing=False, loss_on=pb.LOSS_ON_ALL, chat_template="{{ messages }}", deduplicate=False),
    mixture=[pb.MixturePart(dataset="projects/p/datasets/talks", weight=0.5)],
    checkpoints=pb.CheckpointsSpec(interval_steps=7, publish_best=False),
)


@pytest.mark.parametrize(("spec", "draft", "message"), PARTS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_part_has_its_place_in_the_house(spec: type, draft: type, message: type[Message]) -> None:
    fields = {field.name for field in message.DESCRIPTOR.fields}
    assert fields == {field.name for field in dataclasses.fields(draft)}
    assert fields <= attributes(spec)


@pytest.mark.parametrize(("members", "numbers"), ENUMS, ids=lambda kind: getattr(kind, "__name__", ""))
def test_an_enum_has_the_same_words_on_both_sides(members: Any, numbers: Any) -> None:
    words = {name.partition(f"{_prefix(numbers)}_")[2] for name in numbers.DESCRIPTOR.values_by_name}
    assert words - {"UNSPECIFIED"} == {member.name for member in members} - {"AUTO"}


def resolved(message: pb.TrainSpec) -> TrainSpec:
    talks = rows(id="talks")
    mixture = (talks,) if message.mixture else ()
    return resolve(from_message(message, TrainDraft), inputs(mixture=mixture))


def tuned(message: pb.FineTuneSpec) -> FineTuneSpec:
    draft = from_message(message, FineTuneDraft)
    return resolve_fine_tune(draft, inputs(rows()), base="projects/p/models/m/versions/2", model="m", found=FOUND)


def test_everything_that_is_asked_for_is_decided_on_and_shown() -> None:
    spec = resolved(EVERYTHING)
    assert (spec.optimization.optimizer, spec.optimization.schedule) == (Optimizer.MUON, Schedule.WARMUP_STABLE_DECAY)
    assert (spec.precision, spec.compute.compilation) == (Precision.FP32, Compilation.OFF)
    assert spec.rows is not None
    assert spec.rows.loss_on is LossOn.ALL
    shown = to_message(spec, pb.TrainSpec)
    for field, value in EVERYTHING.ListFields():
        if isinstance(value, Message):
            merged = type(value)()
            merged.CopyFrom(getattr(shown, field.name))
            merged.MergeFrom(value)
            assert merged == getattr(shown, field.name), field.name
        else:
            assert getattr(shown, field.name) == value, field.name


@pytest.mark.parametrize(
    "optimizer", [pb.OPTIMIZER_UNSPECIFIED, *(number for number in pb.Optimizer.values() if number)]
)
@pytest.mark.parametrize("schedule", pb.Schedule.values())
def test_what_a_job_shows_can_be_sent_again(optimizer: Any, schedule: Any) -> None:
    asked = pb.TrainSpec(dataset="projects/p/datasets/plays", seed=1)
    asked.optimization.optimizer = optimizer
    asked.optimization.schedule = schedule
    shown = to_message(resolved(asked), pb.TrainSpec)
    assert to_message(resolved(shown), pb.TrainSpec) == shown


def test_everything_that_is_shown_can_be_sent_again() -> None:
    shown = to_message(resolved(EVERYTHING), pb.TrainSpec)
    assert to_message(resolved(shown), pb.TrainSpec) == shown


def test_a_fine_tuning_job_can_be_sent_again() -> None:
    asked = pb.FineTuneSpec(base="projects/p/models/m", dataset="projects/p/datasets/plays")
    shown = to_message(tuned(asked), pb.FineTuneSpec)
    assert shown.base == "projects/p/models/m/versions/2"
    assert not shown.HasField("lora")
    assert to_message(tuned(shown), pb.FineTuneSpec) == shown
    asked.lora.SetInParent()
    shown = to_message(tuned(asked), pb.FineTuneSpec)
    assert (shown.lora.rank, shown.lora.alpha, len(shown.lora.targets)) == (16, 32, 7)
    assert to_message(tuned(shown), pb.FineTuneSpec) == shown


def test_an_enum_that_is_sent_as_unspecified_is_as_good_as_not_sent() -> None:
    asked = pb.TrainSpec(dataset="projects/p/datasets/plays", precision=pb.PRECISION_UNSPECIFIED)
    asked.optimization.optimizer = pb.OPTIMIZER_UNSPECIFIED
    draft = from_message(asked, TrainDraft)
    assert (draft.precision, draft.optimization.optimizer) == (None, None)
