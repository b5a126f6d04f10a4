"""The rows that the model finds hardest."""

import pathlib
import random
import string
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.runs import TEXT, Bench, bench_with, resume_from, tiny_spec
from trainer_worker.trainer.blame import ROWS_MAX, remember, stretches
from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.engine.samples import Origin
from tutelage.v1 import jobs_pb2

NOISE = "".join(random.Random(1).choices(string.punctuation, k=64)).encode()


@pytest.fixture
def bench_with_noise(tmp_path: pathlib.Path) -> Bench:
    """Python, and in the middle of it 64 bytes that follow from nothing."""
    return bench_with(tmp_path, TEXT[:4096] + NOISE + TEXT[4096:8000])


def test_a_damaged_stretch_of_text_is_blamed(bench_with_noise: Bench) -> None:
    spec = tiny_spec(steps=120, evaluation_interval=60, samples_interval=0, batch_size=8, context_length=32)
    blamed = bench_with_noise.run(spec).of(jobs_pb2.RowsBlamed)
    assert [event.step for event in blamed] == [60, 120]
    hardest = blamed[-1].rows[0]
    assert hardest.token in range(4096 - 32, 4096 + 64)
    assert hardest.row == 0
    assert 60 < hardest.step <= 120
    assert set(hardest.excerpt) & set(NOISE.decode())
    losses = [row.loss for row in blamed[-1].rows]
    assert losses == sorted(losses, reverse=True) and len(losses) <= ROWS_MAX


def test_going_on_blames_the_same_rows(bench: Bench) -> None:
    spec = tiny_spec(steps=12, evaluation_interval=6)
    whole = bench.run(spec)
    again = bench.run(spec, resume=resume_from(whole.checkpoints[4]), epoch=2, recorded_step=4)
    assert again.of(jobs_pb2.RowsBlamed) == whole.of(jobs_pb2.RowsBlamed)


def packed() -> tuple[Batch, np.ndarray]:
    """One row of two documents, the first of them with two tokens that do not count; and a row of one document."""
    targets = torch.tensor([[IGNORED, IGNORED, 5, 5, 6, 6], [7, 7, 7, 7, 7, 7]])
    documents = torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]])
    losses = np.array([[0, 0, 1, 3, 8, 8], [1, 1, 1, 1, 1, 1]], np.float32)
    return Batch(torch.zeros_like(targets), targets, None, documents), losses


def test_documents_that_share_a_sequence_are_told_apart() -> None:
    batch, losses = packed()
    found = [(stretch.sequence, stretch.place, stretch.loss) for stretch in stretches(batch, losses)]
    assert found == [(0, 0, 2.0), (0, 4, 8.0), (1, 0, 1.0)]


def run_of(rows: int) -> Any:
    """As much of a run as blame needs."""
    training = SimpleNamespace(origin=lambda index, place: Origin("d", index % rows + 1, place, f"row {index % rows}"))
    return SimpleNamespace(state=SimpleNamespace(step=1, blamed=[]), training=training)


def test_what_counts_is_how_much_harder_a_row_was_than_its_batch() -> None:
    run = run_of(rows=100)
    targets = torch.ones(2, 1, dtype=torch.int64)
    batch = Batch(targets, targets)
    remember(run, batch, np.array([0, 1]), np.array([[9.0], [8.9]]), mean=8.95)
    run.state.step = 2
    remember(run, batch, np.array([2, 3]), np.array([[4.0], [1.0]]), mean=2.5)
    assert [row["row"] for row in run.state.blamed] == [3, 1]


def test_a_row_is_blamed_once_for_its_worst_step() -> None:
    run = run_of(rows=2)
    targets = torch.ones(2, 1, dtype=torch.int64)
    for step, loss in ((1, 3.0), (2, 5.0), (3, 4.0)):
        run.state.step = step
        remember(run, Batch(targets, targets), np.array([0, 1]), np.array([[loss], [1.0]]), mean=(loss + 1) / 2)
    [row] = run.state.blamed
    assert (row["row"], row["step"], row["loss"]) == (1, 2, 5.0)


def test_a_loss_that_is_no_number_blames_nobody() -> None:
    run = run_of(rows=2)
    targets = torch.ones(2, 1, dtype=torch.int64)
    remember(run, Batch(targets, targets), np.array([0, 1]), np.array([[np.nan], [1.0]]), mean=np.nan)
    assert run.state.blamed == []
