"""Pretraining: a new decoder learns to predict the next token."""

import pathlib
from collections.abc import Callable, Generator

from artifacts import Store
from trainer_worker.trainer.engine import rng
from trainer_worker.trainer.engine.checkpoint import Checkpoint
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.stored_model import load_model
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from trainer_worker.trainer.engine.training_data import make_tokenizer
from trainer_worker.trainer.keeping import RETRY_DELAYS_S
from trainer_worker.trainer.preparation import (
    Place,
    Subject,
    loading,
    make_run,
    prepare_samples,
    with_remarks,
)
from trainer_worker.trainer.recipes import next_token
from trainer_worker.trainer.recipes.next_token import train
from trainer_worker.trainer.resuming import checkpoint_of, not_of_this_job
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.telling import Told, warning
from trainer_worker.trainer.writing import Storing, StoringHere, closing
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2


def pretrain(
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
    """Makes a tokenizer, builds the model or takes both from the checkpoint to resume from, and reads the data.

    Raises: UnusableData if the text is too short for one batch; BadCheckpoint if there is one and it does not serve.
    """
    spec = assignment.train
    yield loading()
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    if checkpoint:
        subject = as_left(assignment, checkpoint)
    else:
        subject = yield from new_subject(assignment, place)
    length = spec.architecture.context_length
    data = yield from prepare_samples(assignment, place, subject=subject, context_length=length)
    return (
        yield from make_run(assignment, place, method=next_token, subject=subject, data=data, checkpoint=checkpoint)
    )


def as_left(assignment: workers_pb2.Assignment, checkpoint: Checkpoint) -> Subject:
    """The model of a checkpoint. Raises: BadCheckpoint if it is not the one that the spec describes."""
    stored = load_model(checkpoint.folder)
    config = stored.model.config
    if config != model_config(assignment.train, vocabulary_size=config.vocabulary_size):
        raise not_of_this_job(assignment.resume)
    return Subject(stored.model, stored.tokenizer)


def new_subject(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Subject]:
    """A tokenizer made or read, and a model with new weights. Raises: UnusableData."""
    spec = assignment.train
    making = make_tokenizer(spec.tokenizer, assignment, store=place.store, scratch=place.scratch)
    try:
        tokenizer = yield from with_remarks(making)
    except BadCheckpoint as error:
        raise UnusableData(f"the tokenizer cannot be used: {error}") from error
    yield from small_vocabulary(spec, tokenizer)
    rng.seed_all(spec.seed)
    model = Decoder(model_config(spec, vocabulary_size=tokenizer.vocabulary_size))
    model.initialize(spec.seed)
    return Subject(model, tokenizer)


def small_vocabulary(spec: training_pb2.TrainSpec, tokenizer: Tokenizer) -> Generator[Told, None, None]:
    found, asked = tokenizer.vocabulary_size, spec.tokenizer.vocabulary_size
    if found < asked and spec.tokenizer.kind == training_pb2.TOKENIZER_KIND_BPE:
        message = f"The text yields {found} tokens, not the {asked} asked for."
        yield warning("small_vocabulary", message, {"vocabulary_size": found, "asked": asked})


def model_config(spec: training_pb2.TrainSpec, *, vocabulary_size: int) -> ModelConfig:
    shape = spec.architecture
    return ModelConfig(
        layers=shape.layers,
        width=shape.width,
        heads=shape.heads,
        key_value_heads=shape.key_value_heads,
        feed_forward_width=shape.feed_forward_width,
        context_length=shape.context_length,
        tied_head=shape.tied_head,
        rotary_base=shape.rotary_base,
        vocabulary_size=vocabulary_size,
    )
