"""Pretraining: a new decoder learns to predict the next token."""

import pathlib
from collections.abc import Callable, Generator

from artifacts import Store
from trainer_worker.trainer.engine import rng
from trainer_worker.trainer.engine.checkpoint import Checkpoint
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.stored_model import load_model
from trainer_worker.trainer.engine.text import Bytes
from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer, ByteTokenizer, Tokenizer
from trainer_worker.trainer.keeping import RETRY_DELAYS_S
from trainer_worker.trainer.preparation import Place, Subject, loading, make_run, prepare_text, texts_of
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
    """Reads the text, makes or reads tokens, and builds the model or takes it from the checkpoint to resume from.

    Raises: UnusableData if the text is too short for one batch; BadCheckpoint if there is one and it does not serve.
    """
    spec = assignment.train
    yield loading()
    checkpoint = checkpoint_of(assignment, place.store, scratch=place.scratch)
    if checkpoint:
        subject = as_left(assignment, checkpoint)
    else:
        training_text, _ = yield from texts_of(assignment, place)
        yield loading()
        subject = new_subject(spec, training_text)
        yield from small_vocabulary(spec, subject.tokenizer)
    length = spec.architecture.context_length
    data = yield from prepare_text(assignment, place, tokenizer=subject.tokenizer, context_length=length)
    return (yield from make_run(assignment, place, subject=subject, data=data, checkpoint=checkpoint))


def as_left(assignment: workers_pb2.Assignment, checkpoint: Checkpoint) -> Subject:
    """The model of a checkpoint. Raises: BadCheckpoint if it is not the one that the spec describes."""
    stored = load_model(checkpoint.folder)
    config = stored.model.config
    if config != model_config(assignment.train, vocabulary_size=config.vocabulary_size):
        raise not_of_this_job(assignment.resume)
    return Subject(stored.model, stored.tokenizer)


def new_subject(spec: training_pb2.TrainSpec, text: Bytes) -> Subject:
    tokenizer = make_tokenizer(spec.tokenizer, text)
    rng.seed_all(spec.seed)
    model = Decoder(model_config(spec, vocabulary_size=tokenizer.vocabulary_size))
    model.initialize(spec.seed)
    return Subject(model, tokenizer)


def make_tokenizer(spec: training_pb2.TokenizerSpec, text: Bytes) -> Tokenizer:
    if spec.kind == training_pb2.TOKENIZER_KIND_BPE:
        return BytePairTokenizer.train(text, vocabulary_size=spec.vocabulary_size)
    return ByteTokenizer()


def small_vocabulary(spec: training_pb2.TrainSpec, tokenizer: Tokenizer) -> Generator[Told, None, None]:
    found, asked = tokenizer.vocabulary_size, spec.tokenizer.vocabulary_size
    if found < asked:
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
