"""From a draft of fine-tuning to its specification."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.architecture import Architecture
from services.domain.datasets import Dataset, DatasetFormat
from services.domain.errors import InvalidField
from services.domain.fine_tuning import LORA_TARGETS, BaseModel, FineTuneDraft, FineTuneSpec, LoraDraft, LoraSpec
from services.domain.resolution import resolve_fine_tune
from services.domain.stored_models import base_model_of
from services.domain.training import OptimizationDraft
from tests.unit.services_domain.test_resolution import inputs, rows

SHAPE = Architecture(
    layers=2, width=64, heads=4, key_value_heads=2, feed_forward_width=192, context_length=4096, tied_head=True
)
FOUND = BaseModel(architecture=SHAPE, vocabulary_size=1000, parameters=SHAPE.parameters(1000))
DRAFT = FineTuneDraft(base="projects/p/models/m", dataset="projects/p/datasets/plays")
BASE = "projects/p/models/m/versions/3"


def tuned(of: Dataset | None = None, *, found: BaseModel = FOUND, **draft: Any) -> FineTuneSpec:
    asked = dataclasses.replace(DRAFT, **draft)
    return resolve_fine_tune(asked, inputs(of or rows()), base=BASE, model="m", found=found)


def complaints(of: Dataset | None = None, *, found: BaseModel = FOUND, **draft: Any) -> dict[str, str]:
    with pytest.raises(InvalidField) as caught:
        tuned(of, found=found, **draft)
    return {violation.field: violation.description for violation in caught.value.violations}


def test_an_empty_draft_moves_all_weights_of_the_base_with_every_value_shown() -> None:
    spec = tuned()
    assert (spec.base, spec.model, spec.steps, spec.lora) == (BASE, "m", 200, None)
    assert (spec.optimization.learning_rate, spec.optimization.batch_size) == (1e-4, 8)
    assert spec.context_length == 2048
    assert (spec.parameters, spec.trained_parameters) == (FOUND.parameters, FOUND.parameters)
    assert spec.tokens_per_step == 8 * 2048


def test_a_short_context_of_the_base_is_taken_whole() -> None:
    short = dataclasses.replace(FOUND, architecture=dataclasses.replace(SHAPE, context_length=512))
    assert tuned(found=short).context_length == 512
    assert complaints(found=short, context_length=513) == {
        "spec.context_length": "must be 8 to 512, the context of the base, got 513"
    }


def test_adapters_come_with_a_rate_and_a_scale_of_their_own() -> None:
    spec = tuned(lora=LoraDraft())
    assert spec.lora == LoraSpec(rank=16, alpha=32.0, targets=LORA_TARGETS)
    assert spec.optimization.learning_rate == 2e-4
    assert tuned(lora=LoraDraft(rank=4)).lora == LoraSpec(rank=4, alpha=8.0)


def test_the_weights_of_adapters_are_counted_by_hand() -> None:
    spec = tuned(lora=LoraDraft(rank=4, targets=("query", "key", "down")))
    assert spec.trained_parameters == 2 * 4 * ((64 + 64) + (64 + 32) + (192 + 64))
    wide = dataclasses.replace(FOUND, head_width=32)
    assert tuned(found=wide, lora=LoraDraft(rank=1, targets=("query",))).trained_parameters == 2 * (64 + 128)


def test_adapters_save_the_gradients_of_the_weights_that_stay() -> None:
    whole, part = tuned(), tuned(lora=LoraDraft(rank=1, targets=("query",)))
    attention = 6 * 2 * 64 * 2048
    assert whole.flops_per_step == (6 * whole.parameters + attention) * whole.tokens_per_step
    saved = 4 * part.parameters + 6 * part.trained_parameters + attention
    assert part.flops_per_step == saved * part.tokens_per_step


@pytest.mark.parametrize(
    ("lora", "field", "said"),
    [
        (LoraDraft(rank=0), "spec.lora.rank", "1 to 1024, got 0"),
        (LoraDraft(rank=1025), "spec.lora.rank", "got 1025"),
        (LoraDraft(alpha=0.0), "spec.lora.alpha", "above 0 and at most 4096, got 0.0"),
        (LoraDraft(alpha=math.nan), "spec.lora.alpha", "got nan"),
        (LoraDraft(dropout=1.0), "spec.lora.dropout", "below 1, got 1.0"),
        (LoraDraft(targets=("query", "valeu")), "spec.lora.targets[1]", "did you mean 'value'?"),
        (LoraDraft(targets=("q_proj",)), "spec.lora.targets[0]", "did you mean 'query'?"),
        (LoraDraft(targets=("up", "down", "up")), "spec.lora.targets[2]", "'up' a second time"),
    ],
)
def test_each_mistake_of_adapters_is_named(lora: LoraDraft, field: str, said: str) -> None:
    assert said in complaints(lora=lora)[field]


def test_all_mistakes_are_named_at_once() -> None:
    said = complaints(
        steps=0,
        model="X",
        context_length=4,
        lora=LoraDraft(rank=0, targets=("heads",)),
        optimization=OptimizationDraft(learning_rate=0.0, momentum=0.5),
    )
    assert set(said) == {
        "spec.steps",
        "spec.model",
        "spec.context_length",
        "spec.lora.rank",
        "spec.lora.targets[0]",
        "spec.optimization.learning_rate",
        "spec.optimization.momentum",
    }


def test_files_of_a_model_are_no_rows() -> None:
    said = complaints(dataclasses.replace(rows(), format=DatasetFormat.MODEL_FILES))
    assert "import it with ImportModel" in said["spec.dataset"]


@pytest.mark.parametrize("lora", [None, LoraDraft(rank=2, rank_stabilized=True)])
def test_a_specification_survives_json(lora: LoraDraft | None) -> None:
    spec = tuned(lora=lora)
    assert FineTuneSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def config(**changed: Any) -> bytes:
    plain = {"architecture": {**dataclasses.asdict(SHAPE), "qkv_bias": True}, "vocabulary_size": 1000, "format": 2}
    return json.dumps({**plain, **changed}).encode()


def test_a_stored_model_says_its_shape() -> None:
    assert base_model_of(config(), parameters=77) == dataclasses.replace(FOUND, parameters=77)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", config(architecture=[]), config(vocabulary_size="many"), b"[" * 100_000],
)
def test_a_file_that_says_no_shape_is_none(content: bytes) -> None:
    assert base_model_of(content, parameters=1) is None


@settings(max_examples=100, deadline=None)
@given(
    rank=st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    alpha=st.one_of(st.none(), st.floats()),
    dropout=st.one_of(st.none(), st.floats()),
    targets=st.lists(st.one_of(st.sampled_from(LORA_TARGETS), st.text(max_size=8)), max_size=8),
    context_length=st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
)
def test_any_adapters_are_either_used_or_refused_with_their_fields(context_length: Any, **lora: Any) -> None:
    lora["targets"] = tuple(lora["targets"])
    try:
        spec = tuned(context_length=context_length, lora=LoraDraft(**lora))
    except InvalidField as error:
        assert error.violations
        assert all(violation.field.startswith("spec.") for violation in error.violations)
    else:
        assert spec.trained_parameters > 0
        assert math.isfinite(spec.flops_per_step)
