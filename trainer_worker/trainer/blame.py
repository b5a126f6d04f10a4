"""Which rows the model finds hardest: often damaged, foreign or wrong.

B rows of a batch   T positions
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from trainer_worker.trainer.engine.batch import IGNORED, Batch
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.telling import Told
from tutelage.v1 import jobs_pb2

ROWS_MAX = 10


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A document in a batch, or a whole sequence; `place` is its first position. Its mean loss is in nats per token."""

    sequence: int
    place: int
    loss: float


def remember(run: Run, batch: object, samples: np.ndarray, losses: np.ndarray, *, mean: float) -> None:
    """Keeps the hardest rows since the last evaluation, from losses that the step has computed anyway.

    What counts is how much harder a row was than its batch: else the rows of the first steps would be the hardest,
    whatever is in them. Shapes: samples (B,) int64, numbers of the sequences; losses (B, T) of a `Batch`, 0 without a
    target, or (B,) of anything else; `mean` is that of the batch.
    """
    state = run.state
    if not np.isfinite(mean):
        return
    least = state.blamed[-1]["excess"] if len(state.blamed) >= ROWS_MAX else 0.0
    found = [stretch for stretch in stretches(batch, losses) if stretch.loss - mean > least]
    for stretch in sorted(found, key=lambda stretch: -stretch.loss)[:ROWS_MAX]:
        insert(run, stretch, sequence=int(samples[stretch.sequence]), excess=stretch.loss - mean)


def stretches(batch: object, losses: np.ndarray) -> Iterator[Stretch]:
    """The mean loss of each document of a batch, or the loss of each row of something else."""
    if isinstance(batch, Batch):
        yield from documents(batch, losses)
    else:
        yield from (Stretch(row, 0, float(loss)) for row, loss in enumerate(losses))


def documents(batch: Batch, losses_BT: np.ndarray) -> Iterator[Stretch]:
    if batch.documents_BT is None:
        means_B = losses_BT.sum(axis=1) / np.maximum(1, batch.supervised_B)
        yield from (Stretch(row, 0, float(loss)) for row, loss in enumerate(means_B) if batch.supervised_B[row])
        return
    documents_BT = batch.documents_BT.cpu().numpy()
    counted_BT = batch.targets_BT.cpu().numpy() != IGNORED
    for row, (documents_T, counted_T) in enumerate(zip(documents_BT, counted_BT, strict=True)):
        begins = np.flatnonzero(np.diff(documents_T, prepend=documents_T[0] - 1))
        sums, counts = np.add.reduceat(losses_BT[row], begins), np.add.reduceat(counted_T.astype(np.int64), begins)
        for begin, total, count in zip(begins, sums, counts, strict=True):
            if count:
                yield Stretch(row, int(begin), float(total) / int(count))


def insert(run: Run, stretch: Stretch, *, sequence: int, excess: float) -> None:
    """Puts a row among the hardest; one that is there already stands with its largest excess."""
    origin = run.training.origin(sequence, stretch.place)
    row = {
        "step": run.state.step,
        "dataset": origin.dataset,
        "row": origin.row,
        "token": origin.token if origin.row == 0 else 0,
        "loss": stretch.loss,
        "excerpt": origin.excerpt.replace("\0", "\ufffd"),
        "excess": excess,
    }
    same = ("dataset", "row", "token")
    others = [other for other in run.state.blamed if any(other[key] != row[key] for key in same)]
    before = [other for other in run.state.blamed if all(other[key] == row[key] for key in same)]
    rows = [*others, max([*before, row], key=lambda other: other["excess"])]
    run.state.blamed = sorted(rows, key=lambda other: -other["excess"])[:ROWS_MAX]


def blame(run: Run) -> Iterator[Told]:
    """Tells the hardest rows since the last time, and forgets them."""
    rows, run.state.blamed = run.state.blamed, []
    if not rows or run.told_before:
        return
    told = [{key: value for key, value in row.items() if key != "excess"} for row in rows]
    told.sort(key=lambda row: -row["loss"])
    yield jobs_pb2.RowsBlamed(step=run.state.step, rows=[jobs_pb2.BlamedRow(**row) for row in told])
