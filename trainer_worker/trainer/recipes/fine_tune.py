"""Fine-tuning: a model that is there goes on learning, all of it or through adapters."""

import pathlib
from collections.abc import Callable, Generator

from artifacts import Store
from trainer_worker.trainer.engine import rng
from trainer_worker.trainer.engine.checkpoint import Checkpoint, finite_tensors
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.precision import AUTOCAST
from trainer_worker.trainer.engine.stored_model import StoredModel, load_model
from trainer_worker.trainer.keeping import RETRY_DELAYS_S
from trainer_worker.trainer.preparation import Place, Subject, loading, make_run, prepare_samples
from trainer_worker.trainer.recipes import next_token
from trainer_worker.trainer.recipes.next_token import train
from trainer_worker.trainer.resuming import checkpoint_of
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.telling import Told
from trainer_worker.trainer.writing import Storing, StoringHere, closing
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2


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
    """Reads the base model, or what a checkpoint has made of it, puts adapters in if it is to learn through them, and
    reads the data with its tokenizer. Raises: UnusableData, BadCheckpoint."""
    spec = assignment.fine_tune
    yield loading()
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    subject = adapted(assignment, place, checkpoint) if spec.HasField("lora") else whole(assignment, place, checkpoint)
    yield loading()
    length = context_length(spec, subject)
    data = yield from prepare_samples(assignment, place, subject=subject, context_length=length)
    run = yield from make_run(assignment, place, method=next_token, subject=subject, data=data, checkpoint=checkpoint)
    if run.adapted and run.state.precision in AUTOCAST:
        from trainer_worker.trainer.engine.lora import hold_cast

        hold_cast(run.model, AUTOCAST[run.state.precision])
    return run


def whole(assignment: workers_pb2.Assignment, place: Place, checkpoint: Checkpoint | None) -> Subject:
    """All weights move."""
    stored = load_model(checkpoint.folder) if checkpoint else base_of(assignment, place)
    rng.seed_all(assignment.fine_tune.seed)
    return Subject(stored.model, stored.tokenizer)


def adapted(assignment: workers_pb2.Assignment, place: Place, checkpoint: Checkpoint | None) -> Subject:
    """Only adapters move. Raises: BadCheckpoint if those of the checkpoint do not fit."""
    from trainer_worker.trainer.engine.lora import add_adapters, restore_adapters  # of adapted runs only

    spec, stored = assignment.fine_tune, base_of(assignment, place)
    rng.seed_all(spec.seed)
    add_adapters(stored.model, spec.lora, seed=spec.seed)
    if checkpoint:
        try:
            restore_adapters(stored.model, finite_tensors(checkpoint.folder / "adapter.safetensors"))
        except (ValueError, RuntimeError) as error:
            raise BadCheckpoint(f"adapter.safetensors cannot be put back: {error}") from error
    return Subject(stored.model, stored.tokenizer, adapted=True)


def base_of(assignment: workers_pb2.Assignment, place: Place) -> StoredModel:
    return base_model(assignment.base, store=place.store, scratch=place.scratch)


def context_length(spec: training_pb2.FineTuneSpec, subject: Subject) -> int:
    """Raises: UnusableData if sequences are to be longer than the model can see."""
    longest = subject.model.config.context_length
    if spec.context_length > longest:
        raise UnusableData(f"context_length is {spec.context_length}, and the base model sees {longest} tokens")
    return spec.context_length or longest
