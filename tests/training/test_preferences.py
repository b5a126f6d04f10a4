"""Learning from preferences: going on is the same to the last bit, what is planted is learnt, and what cannot be is told.

P pairs   2 a pair: chosen, rejected
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.runs import Story, resume_from
from tests.training.test_resume import later
from tests.training.tuning import Workshop, tuning_spec, with_rows, workshop
from trainer_worker.trainer.engine.errors import UnusableData
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage.v1.training_pb2 import EarlyStoppingSpec, LoraSpec, PreferenceSpec, RegularizationSpec

LORA = LoraSpec(rank=4, alpha=8.0)
METHODS = {name: getattr(training_pb2, f"METHOD_{name}") for name in ("DPO", "IPO", "SIMPO", "ORPO", "KTO", "REWARD")}
OF_PAIRS = [name for name in METHODS if name != "KTO"]
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
HELD_OUT = 2


def pairs() -> list[dict[str, Any]]:
    """After every number people want a full stop, and no question mark."""
    return [
        {"prompt": f"{word} is", "chosen": " so" * (1 + place % 3) + ".", "rejected": " no?"}
        for place, word in enumerate(NUMBERS)
    ]


def labels() -> list[dict[str, Any]]:
    return [
        {"prompt": row["prompt"], "completion": row[field], "label": field == "chosen"}
        for row in pairs()
        for field in ("chosen", "rejected")
    ]


def conversations() -> list[dict[str, Any]]:
    return [row | {"prompt": [{"role": "user", "content": row["prompt"]}]} for row in pairs()]


@pytest.fixture(scope="module")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop(tmp_path_factory.mktemp("schooled"), base_steps=4, context_length=96)


def shop_for(schooled: Workshop, method: str) -> Workshop:
    rows = labels() if method == "KTO" else pairs()
    held_out = HELD_OUT * (2 if method == "KTO" else 1)
    return with_rows(schooled, rows[:-held_out], held_out=rows[-held_out:])


epochs: Iterator[int] = iter(range(1, 10_000))


def tuned(shop: Workshop, spec: training_pb2.FineTuneSpec, **fields: Any) -> Story:
    return shop.run(spec, epoch=next(epochs), **fields)


def small(method: str, **changes: Any) -> training_pb2.FineTuneSpec:
    fields: dict[str, Any] = {"steps": 4, "checkpoint_interval": 1, "batch_size": 4, "micro_batch_size": 3}
    fields |= {"samples_interval": 3, "method": METHODS[method]}
    return tuning_spec(**fields | changes)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("method", METHODS)
def test_resuming_from_every_step_gives_the_same_metrics_and_weights(
    schooled: Workshop, method: str, lora: LoraSpec | None
) -> None:
    shop = shop_for(schooled, method)
    dropout = RegularizationSpec(residual_dropout=0.1)
    spec = small(method, lora=lora, regularization=dropout, preference=PreferenceSpec(sft_weight=0.1))
    whole = tuned(shop, spec)
    weights = shop.bench.weights_sha256(whole.complete)
    assert all("eval/loss" in whole.curve[step] for step in (3, 4))
    for step in range(spec.steps):
        again = tuned(shop, spec, resume=resume_from(whole.checkpoints[step]), recorded_step=step)
        assert again.curve == later(whole, step)
        assert again.chains == {at: chains for at, chains in whole.chains.items() if at > step}
        assert shop.bench.weights_sha256(again.complete) == weights
