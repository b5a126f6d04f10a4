"""Rows whose loss counts in part: what a step makes of them."""

import json
import math
import pathlib

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.training.runs import Bench, Story, bench_with, resume_from, tiny_spec
from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.evaluate import evaluate
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer, byte_counts
from tutelage.v1 import datasets_pb2, jobs_pb2, training_pb2

ROWS = [{"prompt": f"{n} + {n} = ", "completion": str(2 * n) * (1 + n % 7)} for n in range(60)]
TRAIN_ROWS = 50


def bench_with_rows(folder: pathlib.Path) -> Bench:
    bench = bench_with(folder, "".join(json.dumps(row) + "\n" for row in ROWS).encode())
    bench.dataset.format = datasets_pb2.DATASET_FORMAT_JSONL
    bench.dataset.row_kind = datasets_pb2.ROW_KIND_PROMPT_COMPLETION
    bench.dataset.rows, bench.dataset.train_rows = len(ROWS), TRAIN_ROWS
    bench.dataset.name = "projects/p/datasets/sums"
    return bench


def run_rows(folder: pathlib.Path, **changes: object) -> Story:
    return bench_with_rows(folder).run(tiny_spec(**{"context_length": 32, "samples_interval": 0} | changes))


@pytest.mark.parametrize("packing", [True, False])
def test_parts_count_by_their_targets_so_that_accumulation_is_the_big_batch(
    tmp_path: pathlib.Path, packing: bool
) -> None:
    rows = training_pb2.RowsSpec(packing=packing)
    whole = run_rows(tmp_path / "whole", micro_batch_size=4, rows=rows)
    parts = run_rows(tmp_path / "parts", micro_batch_size=1, rows=rows)
    for step, values in whole.curve.items():
        assert parts.curve[step] == pytest.approx(values, rel=1e-4), step
    assert whole.curve[12]["eval/loss"] < whole.curve[3]["eval/loss"]


def test_rows_resume_to_the_last_bit(tmp_path: pathlib.Path) -> None:
    bench = bench_with_rows(tmp_path)
    spec = tiny_spec(context_length=32, samples_interval=0)
    whole = bench.run(spec)
    again = bench.run(spec, resume=resume_from(whole.checkpoints[4]), epoch=2, recorded_step=4)
    assert again.chains == {step: chains for step, chains in whole.chains.items() if step > 4}
    assert bench.weights_sha256(again.complete) == bench.weights_sha256(whole.complete)


def test_blame_names_the_row_in_its_dataset(tmp_path: pathlib.Path) -> None:
    [*_, last] = run_rows(tmp_path, steps=30, evaluation_interval=15).of(jobs_pb2.RowsBlamed)
    assert last.rows
    assert {row.dataset for row in last.rows} == {"projects/p/datasets/sums"}
    for row in last.rows:
        assert 1 <= row.row <= TRAIN_ROWS
        assert row.excerpt.startswith(ROWS[row.row - 1]["prompt"])


def test_an_evaluation_counts_what_the_loss_counts_and_its_bytes() -> None:
    """Against cross-entropy by hand; bits per byte of the text of the targets that count."""
    shape = ModelConfig(
        layers=1, width=8, heads=1, key_value_heads=1, feed_forward_width=8, context_length=4, tied_head=True,
        rotary_base=1e4, vocabulary_size=257,
    )  # fmt: skip
    model = Decoder(shape)
    model.initialize(1)
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    targets = torch.tensor([[IGNORED, 3, 4, 256], [IGNORED, IGNORED, IGNORED, 9]])
    found = [*evaluate(model, [Batch(tokens, targets)], token_bytes_V=byte_counts(ByteTokenizer()), precision="fp32")]
    nats = functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), reduction="sum").item()
    assert found[-1] is not None
    assert found[-1].loss == pytest.approx(nats / 4)
    assert found[-1].bits_per_byte == pytest.approx(nats / math.log(2) / 3)  # the end of a text has no bytes
    assert model.training
    assert np.isfinite(found[-1].loss)
