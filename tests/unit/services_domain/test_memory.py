"""Memory: what is predicted from the shape, against what processes of the trainer took."""

import dataclasses
from typing import Any

import pytest

from services.domain import memory
from services.domain.fine_tuning import BaseModel, LoraDraft
from services.domain.memory import load_of, peak_bytes
from services.domain.presets import PRESETS
from services.domain.training import (
    ArchitectureDraft,
    ComputeDraft,
    OptimizationDraft,
    Optimizer,
    Precision,
    RegularizationDraft,
    TokenizerDraft,
    TokenizerKind,
)
from tests.unit.services_domain.test_fine_tuning import tuned
from tests.unit.services_domain.test_resolution import dataset, inputs
from tests.unit.services_domain.test_training_settings import resolved

TEXT_BYTES = 5_400_000
PLENTY = inputs(dataset(train_bytes=10**9, validation_bytes=10**7))
RECOMPUTED = {"compute": ComputeDraft(activation_checkpointing=True)}
MANY_TOKENS = {"tokenizer": TokenizerDraft(kind=TokenizerKind.BPE, vocabulary_size=8192)}
DROPOUT = {"regularization": RegularizationDraft(residual_dropout=0.1, attention_dropout=0.1)}
BF16 = {"precision": Precision.BF16}


def batch(size: int, *, micro: int | None = None, optimizer: Optimizer | None = None) -> dict[str, Any]:
    return {"optimization": OptimizationDraft(batch_size=size, micro_batch_size=micro, optimizer=optimizer)}


# Peak of the process in MB, one thread, AVX2, fp32 unless said otherwise; see docs/lab/2026-11-forecast.md.
MEASURED: list[tuple[str, dict[str, Any], float]] = [
    ("nano", batch(1), 296.5),
    ("tiny", batch(8), 417.4),
    ("tiny", batch(16), 549.0),
    ("tiny", batch(32), 800.0),
    ("tiny", batch(32, micro=8), 455.7),
    ("tiny", batch(32) | RECOMPUTED, 661.5),
    ("tiny", batch(8) | BF16, 374.0),
    ("tiny", batch(32) | BF16, 606.0),
    ("tiny", batch(2) | {"architecture": ArchitectureDraft(context_length=1024)}, 513.6),
    ("tiny", batch(1) | MANY_TOKENS, 615.5),
    ("tiny", batch(8) | MANY_TOKENS, 827.9),
    ("tiny", batch(16) | MANY_TOKENS, 1230.8),
    ("tiny", batch(16) | DROPOUT, 610.3),
    ("mini", batch(8), 703.3),
    ("mini", batch(16), 1117.0),
    ("mini", batch(16) | RECOMPUTED, 895.1),
    ("small", batch(1), 518.5),
    ("small", batch(4), 771.8),
    ("small", batch(4, optimizer=Optimizer.ADAFACTOR), 671.5),
    ("small", batch(4, optimizer=Optimizer.MUON), 739.2),
    ("small", batch(8), 1095.9),
    ("small", batch(16, micro=8), 1300.3),
    ("small", batch(8, micro=2), 676.6),
    ("medium", batch(1), 987.3),
]
# The same of fine-tuning the preset `small`: adapters, batch.
MEASURED_TUNING = [
    (LoraDraft(), 4, 745.6),
    (LoraDraft(rank=8), 8, 1107.2),
    (None, 4, 840.5),
]


@pytest.mark.parametrize(("preset", "draft", "megabytes"), MEASURED)
def test_what_is_predicted_is_within_a_fifth_of_what_was_taken(
    preset: str, draft: dict[str, Any], megabytes: float
) -> None:
    spec = resolved(PLENTY, preset=preset, **({"precision": Precision.FP32} | draft))
    assert peak_bytes(load_of(spec, text_bytes=TEXT_BYTES)) / 1e6 == pytest.approx(megabytes, rel=0.2)


@pytest.mark.parametrize(("lora", "size", "megabytes"), MEASURED_TUNING)
def test_what_tuning_takes_is_predicted_too(lora: LoraDraft | None, size: int, megabytes: float) -> None:
    shape = PRESETS["small"].architecture
    found = BaseModel(architecture=shape, vocabulary_size=257, parameters=shape.parameters(257))
    spec = tuned(found=found, lora=lora, precision=Precision.FP32, **batch(size))
    assert peak_bytes(load_of(spec)) / 1e6 == pytest.approx(megabytes, rel=0.2)


def test_less_is_kept_in_sixteen_bits_and_on_a_gpu_attention_keeps_nothing() -> None:
    spec = resolved(PLENTY, preset="small")
    auto, gpu = load_of(spec), load_of(spec, on_gpu=True)
    assert auto.number_bytes == memory.FP32
    assert gpu.number_bytes == memory.HALF
    full = dataclasses.replace(gpu, precision=Precision.FP32)
    assert peak_bytes(gpu) < peak_bytes(full) < peak_bytes(auto)


@pytest.mark.parametrize(
    ("optimizer", "numbers"),
    [(Optimizer.ADAMW, 2), (Optimizer.ADAM, 2), (Optimizer.SGD, 1), (Optimizer.RMSPROP, 1)],
)
def test_each_optimizer_remembers_so_many_numbers_a_weight(optimizer: Optimizer, numbers: int) -> None:
    spec = resolved(optimization=OptimizationDraft(optimizer=optimizer))
    assert memory.state_bytes(load_of(spec)) == numbers * 4 * spec.parameters


def test_what_remembers_less_says_so() -> None:
    states = [
        memory.state_bytes(load_of(resolved(optimization=OptimizationDraft(optimizer=optimizer))))
        for optimizer in (Optimizer.ADAFACTOR, Optimizer.MUON, Optimizer.ADAMW)
    ]
    assert states == sorted(states)
    forgetful = OptimizationDraft(optimizer=Optimizer.SGD, momentum=0.0)
    assert memory.state_bytes(load_of(resolved(optimization=forgetful))) == 0


def test_products_of_sixteen_bits_keep_weights_of_their_own() -> None:
    large = resolved(PLENTY, preset="1b", optimization=OptimizationDraft(batch_size=1), precision=Precision.BF16)
    alone = load_of(large)
    stays = 18 * large.parameters + memory.PROCESS_BYTES
    assert stays < peak_bytes(alone) < 2 * stays
