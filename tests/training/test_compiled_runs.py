"""Compiled runs of every kind: they compute what plain ones do, and go on to the same bits from a checkpoint.

Rows that share a sequence, numbers that are left out at random, adapters: each takes another path through the compiler.
"""

import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.training.runs import Story, bench_with, resume_from, tiny_spec
from tests.training.test_resume import later
from tests.training.tuning import Workshop, tuning_spec, with_rows, workshop
from trainer_worker.trainer.engine import compilation
from tutelage.v1 import training_pb2
from tutelage.v1.training_pb2 import LoraSpec, RegularizationSpec, RowsSpec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(compilation.lacks(torch.device("cpu")) != "", reason="no C++ compiler here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

STEPS, KEPT = 4, 2
ON, OFF = training_pb2.COMPILATION_ON, training_pb2.COMPILATION_OFF
DROPOUT = RegularizationSpec(residual_dropout=0.2, attention_dropout=0.1, embedding_dropout=0.1)
PRETRAINING: dict[str, dict[str, Any]] = {
    "dropout": {"regularization": DROPOUT},
    "recomputed": {"activation_checkpointing": True},
    "recomputed-dropout": {"activation_checkpointing": True, "regularization": DROPOUT},
}
TUNING: dict[str, dict[str, Any]] = {
    "packed": {"rows": RowsSpec(packing=True)},
    "padded": {"rows": RowsSpec(packing=False)},
    "packed-dropout": {"rows": RowsSpec(packing=True), "regularization": DROPOUT},
    "lora": {"lora": LoraSpec(rank=4, alpha=8.0), "rows": RowsSpec(packing=True)},
    "lora-dropout": {"lora": LoraSpec(rank=4, alpha=8.0, dropout=0.2), "rows": RowsSpec(packing=True)},
}
# Lengths that fill up to one, two and three times 64: padded rows have three shapes.
ROWS = [{"text": f"row {number}: " + "to be or not to be, " * (number % 3 * 3 + 1)} for number in range(24)]

epochs = itertools.count(1)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    mode = torch.get_deterministic_debug_mode()
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch.set_deterministic_debug_mode(mode)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    base = workshop(tmp_path_factory.mktemp("schooled"), base_steps=4, context_length=192)
    return with_rows(base, ROWS[:-4], held_out=ROWS[-4:])


def same_run(plain: Story, fast: Story) -> bool:
    """Whether all losses and norms are alike; compiled products are added up in another order."""
    return all(
        values[key] == pytest.approx(plain.curve[step][key], rel=2e-4, abs=1e-6)
        for step, values in fast.curve.items()
        for key in values
        if key != "eval/perplexity"
    )


@pytest.mark.parametrize("kind", PRETRAINING)
def test_a_compiled_run_is_the_plain_one_and_goes_on_to_the_same_bits(tmp_path: pathlib.Path, kind: str) -> None:
    bench, changes = bench_with(tmp_path), dict(PRETRAINING[kind])
    recomputed = changes.pop("activation_checkpointing", False)

    def spec(compilation: "training_pb2.Compilation.ValueType") -> training_pb2.TrainSpec:
        compute = training_pb2.ComputeSpec(compilation=compilation, activation_checkpointing=recomputed)
        return tiny_spec(steps=STEPS, checkpoint_interval=KEPT, compute=compute, **changes)

    plain, whole = bench.run(spec(OFF)), bench.run(spec(ON), epoch=2)
    assert whole.notes("environment")[0].details["compiled"] == "True"
    assert same_run(plain, whole)
    again = bench.run(spec(ON), epoch=3, resume=resume_from(whole.checkpoints[KEPT]), recorded_step=KEPT)
    assert again.curve == later(whole, KEPT)
    assert bench.weights_sha256(again.complete) == bench.weights_sha256(whole.complete)


@pytest.mark.parametrize("kind", TUNING)
def test_compiled_tuning_is_the_plain_one_and_goes_on_to_the_same_bits(shop: Workshop, kind: str) -> None:
    def tuned(compilation: "training_pb2.Compilation.ValueType", **fields: Any) -> Story:
        compute = training_pb2.ComputeSpec(compilation=compilation)
        spec = tuning_spec(steps=STEPS, checkpoint_interval=KEPT, compute=compute, **TUNING[kind])
        return shop.run(spec, epoch=next(epochs), **fields)

    plain, whole = tuned(OFF), tuned(ON)
    assert same_run(plain, whole)
    again = tuned(ON, resume=resume_from(whole.checkpoints[KEPT]), recorded_step=KEPT)
    assert again.curve == later(whole, KEPT)
    assert shop.bench.weights_sha256(again.complete) == shop.bench.weights_sha256(whole.complete)
