"""What the base makes of the answers: computed once, before the first step, for the rows that the steps will read.

It is kept with the checkpoints, 8 bytes a pair: whoever goes on needs neither the base nor the time again, and compares
with the same numbers to the last bit, however many threads there are then. What a run comes to read besides, because it
went back and goes on with other rows, is computed when it does.

    P rows   A answers of each
"""

import contextlib
from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from trainer_worker.trainer.comparing import answered, lesson_logprobs
from trainer_worker.trainer.engine.answers import Lesson
from trainer_worker.trainer.engine.checkpoint import Checkpoint
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.samples import Samples
from trainer_worker.trainer.engine.stored_model import read_tensors
from trainer_worker.trainer.health import within_memory
from trainer_worker.trainer.preparation import Place
from trainer_worker.trainer.run import Reference, Run
from trainer_worker.trainer.subjects import base_of
from trainer_worker.trainer.telling import Told, info, progress
from tutelage_internal.v1 import pipe_pb2, workers_pb2

Base = Callable[[], contextlib.AbstractContextManager[Decoder]]


def take_reference(
    run: Run, assignment: workers_pb2.Assignment, place: Place, checkpoint: Checkpoint | None
) -> Generator[Told, None, None]:
    """Gives a run its reference. Raises: BadCheckpoint if that of the checkpoint does not fit the rows."""

    @contextlib.contextmanager
    def base() -> Iterator[Decoder]:
        if run.adapted:
            from trainer_worker.trainer.engine.lora import without_adapters  # of adapted runs only

            with without_adapters(run.model):
                yield run.model
        elif run.state.step == 0 and not run.resumed:
            yield run.model
        else:
            yield base_of(assignment, place).model.to(run.device)

    tensors = reference_tensors(run, checkpoint)
    run.reference = Reference(**tensors, complete=lambda rows: complete(run, base, rows))
    yield from run.reference.complete(rows_to_come(run))


def reference_tensors(run: Run, checkpoint: Checkpoint | None) -> dict[str, Tensor]:
    """Those of the checkpoint, or such in which nothing is known."""
    rows = {"training": answered(run.training).rows, "validation": answered(run.validation).rows}
    shapes = {name: (len(one), one.answers) for name, one in rows.items()}
    if checkpoint is None:
        return {name: torch.full(shape, torch.nan) for name, shape in shapes.items()}
    tensors = read_tensors(checkpoint.folder / "reference.safetensors")
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise BadCheckpoint("reference.safetensors is not for the rows of this job")
    return {name: tensor.clone() for name, tensor in tensors.items()}


def rows_to_come(run: Run) -> np.ndarray:
    """The rows that the steps from here on read; all of them, if that is an epoch."""
    state, count = run.state, run.training.count
    wanted = (run.spec.steps - state.step) * state.batch_size
    if wanted >= count:
        return np.arange(count)
    samples = np.arange(state.samples, state.samples + wanted)
    return np.unique(run.training.order(samples, seed=state.seed))


def complete(run: Run, base: Base, rows: np.ndarray) -> Generator[Told, None, None]:
    """Computes what is not known of these rows, and of those to evaluate on."""
    reference = run.reference
    assert reference is not None
    held_out = run.validation.spread(run.spec.evaluation.sequences)
    parts = ((run.training, reference.training, rows), (run.validation, reference.validation, held_out))
    missing = [unknown(known, wanted) for _, known, wanted in parts]
    total = sum(map(len, missing))
    if not total:
        return
    with base() as model:
        for (samples, known, _), lacking in zip(parts, missing, strict=True):
            rows = longest_first(samples, lacking)
            while len(rows):
                chunk, rows = np.split(rows, [run.state.micro_batch_size])
                known[chunk] = yield from logprobs(run, model, samples.read(chunk))
    yield info("reference", f"The base has read {total:,} rows to compare with.", {"rows": total})


def longest_first(samples: Samples, rows: np.ndarray) -> np.ndarray:
    """The same rows: those computed together are of like length, and memory runs out at once or not at all."""
    lengths = answered(samples).rows.lengths()[rows].sum(axis=1)
    return rows[np.argsort(-lengths, kind="stable")]


def unknown(known: Tensor, rows: np.ndarray) -> np.ndarray:
    return rows[torch.isnan(known[rows]).any(dim=1).numpy()]


def logprobs(run: Run, model: Decoder, lesson: Lesson) -> Generator[Told, None, Tensor]:
    """Shape (P, A), float32, on the CPU."""
    yield progress(pipe_pb2.SECTION_LOAD)
    return (yield from within_memory(run, lambda: lesson_logprobs(run, model, lesson)))
