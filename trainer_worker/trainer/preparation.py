"""From an assignment to a run that is ready for its next step: what pretraining and fine-tuning prepare alike."""

import dataclasses
import functools
import pathlib
import platform
import re
from collections.abc import Generator
from importlib.metadata import version

import numpy as np
import torch

from artifacts import FileSet, Store
from trainer_worker.trainer.engine import data, precision
from trainer_worker.trainer.engine.attention import plain_is_faster
from trainer_worker.trainer.engine.checkpoint import Checkpoint, TrainingState
from trainer_worker.trainer.engine.compilation import compiled, to_compile
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.optimizers import make_optimizers
from trainer_worker.trainer.engine.samples import Samples, Windows, require_one_batch
from trainer_worker.trainer.engine.text import Bytes, fetch_text
from trainer_worker.trainer.engine.tokenizers import Tokenizer, byte_counts
from trainer_worker.trainer.health import enter_lineage
from trainer_worker.trainer.resuming import put_the_rest_back, resumed
from trainer_worker.trainer.run import Kept, Run, Spec, spec_of
from trainer_worker.trainer.telling import Told, info, progress, warning
from trainer_worker.trainer.writing import Storing
from tutelage_internal.v1 import pipe_pb2, workers_pb2

PROMPT = re.compile(r"\s*((?:\S+\s+){0,7}\S+)")
PROMPT_CHARACTERS_MAX = 80


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run finds its input and leaves its checkpoints."""

    store: Store
    scratch: pathlib.Path
    storing: Storing


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is trained: a model that is as new, or as the checkpoint left it. `adapted`: only its adapters move."""

    model: Decoder
    tokenizer: Tokenizer
    adapted: bool = False


@dataclasses.dataclass(frozen=True)
class Data:
    """What it is trained and evaluated on. `opening` is held-out text that a prompt can be taken from."""

    training: Samples
    validation: Samples
    opening: str


def loading() -> Told:
    return progress(pipe_pb2.SECTION_LOAD)


def begin() -> torch.device:
    """Sets up arithmetic that gives the same bits each time, on the device that there is."""
    precision.make_reproducible()
    return precision.choose_device()


def make_run(
    assignment: workers_pb2.Assignment, place: Place, *, subject: Subject, data: Data, checkpoint: Checkpoint | None
) -> Generator[Told, None, Run]:
    """Puts the parts together, and says what was found. Raises: UnusableData, BadCheckpoint."""
    spec, device = spec_of(assignment), begin()
    require_one_batch(data.training, batch_size=spec.optimization.batch_size)
    model = subject.model.to(device)
    tokens = spec.steps * spec.optimization.batch_size * data.training.context_length
    state = checkpoint.state if checkpoint else new_state(assignment, spec, model, tokens=tokens)
    precision.set_products(state.precision)
    set_training(model, spec)
    run = Run(
        spec=spec,
        model=model,
        hidden=compiled(model, on=state.compiled),
        optimizer=make_optimizers(model.named_parameters(), spec.optimization),
        scaler=precision.LossScaler(state.precision),
        tokenizer=subject.tokenizer,
        training=data.training,
        validation=data.validation,
        bytes_of_token=byte_counts(subject.tokenizer),
        prompt=spec.samples.prompt if spec.samples.HasField("prompt") else first_words(data.opening),
        state=state,
        device=device,
        store=place.store,
        kept=Kept(place.storing),
        checkpoint_prefix=assignment.checkpoint_prefix,
        recorded_step=assignment.recorded_step,
        resumed=checkpoint is not None,
        adapted=subject.adapted,
        scratch=place.scratch,
    )
    yield from describe(run)
    if checkpoint:
        yield from go_on(run, assignment, checkpoint)
    return run


def go_on(run: Run, assignment: workers_pb2.Assignment, checkpoint: Checkpoint) -> Generator[Told, None, None]:
    yield resumed(run)
    named = assignment.resume
    put_the_rest_back(run, checkpoint)
    run.kept.newest = FileSet(named.artifact_prefix, named.manifest_sha256, 0)
    run.kept.newest_step = named.step
    if assignment.lineage > run.state.lineage:
        enter_lineage(run.state, run.spec, lineage=assignment.lineage)


def set_training(model: Decoder, spec: Spec) -> None:
    """Switches on what only training does."""
    rules = spec.regularization
    if rules.residual_dropout or rules.attention_dropout or rules.embedding_dropout:
        model.set_dropout(
            residual=rules.residual_dropout, attention=rules.attention_dropout, embedding=rules.embedding_dropout
        )
    if spec.compute.activation_checkpointing:
        model.activation_checkpointing = True
    model.train()


def new_state(assignment: workers_pb2.Assignment, spec: Spec, model: Decoder, *, tokens: int) -> TrainingState:
    """The beginning of a run over so many tokens. Raises: UnusableData if the device cannot do what is asked for."""
    device = model.embedding.weight.device
    try:
        arithmetic = precision.precision_of(spec.precision, device)
        to_be_compiled = to_compile(
            spec.compute.compilation, parameters=model.config.parameters, tokens=tokens, device=device
        )
    except ValueError as error:
        raise UnusableData(str(error)) from error
    return TrainingState(
        seed=spec.seed,
        lineage=assignment.lineage,
        precision=arithmetic,
        compiled=to_be_compiled,
        batch_size=spec.optimization.batch_size,
        micro_batch_size=spec.optimization.micro_batch_size or spec.optimization.batch_size,
        threads=torch.get_num_threads(),
        dataset_sha256=assignment.dataset.sha256,
        versions=versions(),
    )


def prepare_text(
    assignment: workers_pb2.Assignment, place: Place, *, tokenizer: Tokenizer, context_length: int
) -> Generator[Told, None, Data]:
    """The windows of a plain text."""
    part = assignment.dataset
    training_text, validation_text = yield from texts_of(assignment, place)
    name = f"{part.sha256}-{part.train_bytes}"
    tokens = yield from tokens_of(training_text, tokenizer, name=f"{name}-training", scratch=place.scratch)
    held_out = yield from tokens_of(validation_text, tokenizer, name=f"{name}-validation", scratch=place.scratch)
    windows = functools.partial(Windows, context_length=context_length, dataset=part.name, decode=tokenizer.decode)
    held_out_length = min(context_length, max(1, len(held_out) - 1))
    return Data(
        training=windows(tokens),
        validation=windows(held_out, context_length=held_out_length),
        opening=next((beginning_of(text) for text in (validation_text, training_text) if beginning_of(text)), ""),
    )


def texts_of(assignment: workers_pb2.Assignment, place: Place) -> Generator[Told, None, tuple[Bytes, Bytes]]:
    part = assignment.dataset
    yield loading()
    text = fetch_text(place.store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=place.scratch)
    return text[: part.train_bytes], text[part.train_bytes :]


def tokens_of(
    text: Bytes, tokenizer: Tokenizer, *, name: str, scratch: pathlib.Path
) -> Generator[Told, None, np.ndarray]:
    found = np.zeros(0, np.uint32)
    for tokens in data.tokenized(text, tokenizer=tokenizer, name=name, scratch=scratch):
        yield loading()
        found = tokens
    return found


def versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "safetensors", "tokenizers", "tutelage-server")}
    return packages | {"python": platform.python_version(), "torch": torch.__version__}


def beginning_of(text: Bytes) -> str:
    return text[: 8 * PROMPT_CHARACTERS_MAX].tobytes().decode(errors="ignore").strip()


def first_words(opening: str) -> str:
    words = PROMPT.match(opening)
    return words[1][:PROMPT_CHARACTERS_MAX] if words else ""


def describe(run: Run) -> Generator[Told, None, None]:
    """The notes that a run begins with."""
    state, config = run.state, run.model.config
    query = torch.empty(0, config.context_length, config.heads, config.head_width, device=run.device)
    moving = sum(weight.numel() for weight in run.model.parameters() if weight.requires_grad)
    details = versions() | {
        "device": str(run.device),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": state.precision,
        "compiled": state.compiled,
        "attention": "plain" if plain_is_faster(query, keys=config.context_length) else "fused",
        "parameters": config.parameters,
        "moving_parameters": moving,
        "vocabulary_size": config.vocabulary_size,
        "training_tokens": run.training.tokens,
        "validation_tokens": run.validation.tokens,
    }
    yield info("environment", f"Trains {moving:,} weights in {state.precision} on {run.device}.", details)
    if run.validation.count == 0:
        yield warning("no_validation", "The validation part is too short: nothing is evaluated.", {})
