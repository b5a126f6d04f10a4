"""Fine-tuning: a model that is there goes on learning, all of it or through adapters, by one of several methods."""

import pathlib
from collections.abc import Callable, Generator
from importlib import import_module

from artifacts import Store
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.keeping import RETRY_DELAYS_S
from trainer_worker.trainer.preparation import Place, loading, make_run, prepare_samples
from trainer_worker.trainer.recipes import next_token
from trainer_worker.trainer.recipes.next_token import train
from trainer_worker.trainer.resuming import checkpoint_of
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.subjects import context_length, hold_cast, subject_of
from trainer_worker.trainer.telling import Told
from trainer_worker.trainer.writing import Storing, StoringHere, closing
from tutelage.v1 import jobs_pb2, training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

SFT = (training_pb2.METHOD_UNSPECIFIED, training_pb2.METHOD_SFT)
# Which recipe prepares a run of the other methods, and takes its steps; none needs what another one brings.
RECIPES = {
    training_pb2.METHOD_DPO: "preferences",
    training_pb2.METHOD_IPO: "preferences",
    training_pb2.METHOD_SIMPO: "preferences",
    training_pb2.METHOD_ORPO: "preferences",
    training_pb2.METHOD_KTO: "kto",
    training_pb2.METHOD_REWARD: "reward",
    training_pb2.METHOD_GRPO: "grpo",
}


def fine_tune(
    assignment: workers_pb2.Assignment,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool] = lambda: False,
    storing: Storing | None = None,
    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Trains to the last step, or to the one after which `stop` says so; yields facts and signs of progress.

    Without `storing`, checkpoints are stored in this process while training waits.
    Returns: ENDING_COMPLETE, or ENDING_STOPPED. Raises: TrainingFailed, UnusableData, BadCheckpoint.
    """
    with closing(storing or StoringHere(store)) as open_storing:
        run = yield from prepare(assignment, Place(store, scratch, open_storing))
        return (yield from train(run, stop=stop, retry_delays_s=retry_delays_s))


def prepare(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    """Makes a run ready by the recipe of its method. Raises: UnusableData, BadCheckpoint, TrainingFailed."""
    method = assignment.fine_tune.method
    if method in SFT:
        return (yield from prepare_examples(assignment, place))
    if method not in RECIPES:
        raise TrainingFailed(jobs_pb2.FAILURE_REASON_TRAINER_ERROR, f"this version does not know method {method}")
    recipe = import_module(f"trainer_worker.trainer.recipes.{RECIPES[method]}")
    prepared: Generator[Told, None, Run] = recipe.prepare(assignment, place)
    return (yield from prepared)


def prepare_examples(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    """Reads the base model, or what a checkpoint has made of it, puts adapters in if it is to learn through them, and
    reads the data with its tokenizer. Raises: UnusableData, BadCheckpoint."""
    spec = assignment.fine_tune
    yield loading()
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    subject = subject_of(assignment, place, checkpoint)
    yield loading()
    length = context_length(spec, subject)
    data = yield from prepare_samples(assignment, place, subject=subject, context_length=length)
    run = yield from make_run(assignment, place, method=next_token, subject=subject, data=data, checkpoint=checkpoint)
    hold_cast(run)
    return run
