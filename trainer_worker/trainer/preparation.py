"""From an assignment to a run that is ready for its next step: what pretraining and fine-tuning prepare alike."""

import dataclasses
import pathlib
import platform
from collections.abc import Generator
from importlib.metadata import version
from typing import TypeVar

import torch

from artifacts import FileSet, Store
from trainer_worker.trainer.engine import precision
from trainer_worker.trainer.engine.attention import has_avx2_only
from trainer_worker.trainer.engine.checkpoint import Checkpoint, TrainingState
from trainer_worker.trainer.engine.compilation import compiled, lacks, to_compile
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.optimizers import make_optimizers
from trainer_worker.trainer.engine.samples import Samples
from trainer_worker.trainer.engine.tokenizers import Tokenizer, byte_counts
from trainer_worker.trainer.engine.training_data import Remark, prepare_data
from trainer_worker.trainer.health import enter_lineage
from trainer_worker.trainer.resuming import put_the_rest_back, resumed
from trainer_worker.trainer.run import Kept, Method, Run, Spec, spec_of
from trainer_worker.trainer.telling import Told, info, progress, warning
from trainer_worker.trainer.writing import Storing
from tutelage_internal.v1 import pipe_pb2, workers_pb2

REMARKS_FOR_INFORMATION = ("rows",)

Result = TypeVar("Result")


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
    """What it is trained and evaluated on. `opening` is what samples go on from, unless the spec says otherwise."""

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
    assignment: workers_pb2.Assignment,
    place: Place,
    *,
    method: Method,
    subject: Subject,
    data: Data,
    checkpoint: Checkpoint | None,
) -> Generator[Told, None, Run]:
    """Puts the parts together, and says what was found. Raises: UnusableData, BadCheckpoint."""
    spec, device = spec_of(assignment), begin()
    model = subject.model.to(device)
    tokens = spec.steps * spec.optimization.batch_size * data.training.context_length
    state = checkpoint.state if checkpoint else new_state(assignment, spec, model, tokens=tokens)
    precision.set_products(state.precision)
    model.fused_if_short = has_avx2_only(state.processor)
    set_training(model, spec)
    run = Run(
        spec=spec,
        method=method,
        model=model,
        hidden=compiled(model, on=state.compiled and not lacks(device)),
        optimizer=make_optimizers(model.named_parameters(), spec.optimization),
        scaler=precision.LossScaler(state.precision),
        tokenizer=subject.tokenizer,
        training=data.training,
        validation=data.validation,
        bytes_of_token=byte_counts(subject.tokenizer),
        prompt=spec.samples.prompt if spec.samples.HasField("prompt") else data.opening,
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
    if run.state.compiled and (missing := lacks(run.device)):
        message = f"Steps were compiled before, and this worker has no {missing}: results may differ in the last bits."
        yield warning("not_compiled", message, {"missing": missing})
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
    processor = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    try:
        arithmetic = precision.precision_of(spec.precision, device)
        to_be_compiled = to_compile(
            spec.compute.compilation,
            parameters=model.config.parameters,
            tokens=tokens,
            device=device,
            processor=processor,
        )
    except ValueError as error:
        raise UnusableData(str(error)) from error
    return TrainingState(
        seed=spec.seed,
        lineage=assignment.lineage,
        precision=arithmetic,
        compiled=to_be_compiled,
        processor=processor,
        batch_size=spec.optimization.batch_size,
        micro_batch_size=spec.optimization.micro_batch_size or spec.optimization.batch_size,
        threads=torch.get_num_threads(),
        dataset_sha256=assignment.dataset.sha256,
        versions=versions(),
    )


def prepare_samples(
    assignment: workers_pb2.Assignment, place: Place, *, subject: Subject, context_length: int
) -> Generator[Told, None, Data]:
    """The sequences of the datasets of an assignment. Raises: UnusableData."""
    found = yield from with_remarks(
        prepare_data(
            assignment,
            tokenizer=subject.tokenizer,
            context_length=context_length,
            store=place.store,
            scratch=place.scratch,
        )
    )
    return Data(*found)


def with_remarks(signs: Generator[Remark | None, None, Result]) -> Generator[Told, None, Result]:
    """Tells signs of life and remarks of something that takes a while. Returns what came out of it."""
    while True:
        try:
            remark = next(signs)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield progress(pipe_pb2.SECTION_LOAD)
        if remark is not None:
            note = info if remark.kind in REMARKS_FOR_INFORMATION else warning
            yield note(remark.kind, remark.message, remark.details)


def versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "safetensors", "tokenizers", "tutelage-server")}
    return packages | {"python": platform.python_version(), "torch": torch.__version__}


def attention_of(run: Run) -> str:
    """How sequences of the full length are computed."""
    model, length = run.model, run.model.config.context_length
    whole = torch.empty(0, length, model.config.width, device=run.device)
    return "plain" if model.is_plain(whole, None, length, model.dropout) else "fused"


def describe(run: Run) -> Generator[Told, None, None]:
    """The notes that a run begins with."""
    state, config = run.state, run.model.config
    moving = sum(weight.numel() for weight in run.model.parameters() if weight.requires_grad)
    details = versions() | {
        "device": str(run.device),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": state.precision,
        "compiled": state.compiled,
        "attention": attention_of(run),
        "parameters": config.parameters,
        "moving_parameters": moving,
        "vocabulary_size": config.vocabulary_size,
        "training_tokens": run.training.tokens,
        "validation_tokens": run.validation.tokens,
    }
    yield info("environment", f"Trains {moving:,} weights in {state.precision} on {run.device}.", details)
    if run.validation.count == 0:
        yield warning("no_validation", "The validation part is too short: nothing is evaluated.", {})
