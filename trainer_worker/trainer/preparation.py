"""From an assignment to a run that is ready for its next step."""

import dataclasses
import pathlib
import platform
import re
from collections.abc import Generator
from importlib.metadata import version

import numpy as np
import torch

from artifacts import Store
from trainer_worker.trainer.engine import data, precision, rng
from trainer_worker.trainer.engine.attention import plain_is_faster
from trainer_worker.trainer.engine.checkpoint import Checkpoint, TrainingState, is_finite, read_checkpoint, restore
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.model import Decoder, ModelConfig
from trainer_worker.trainer.engine.optimizers import adamw
from trainer_worker.trainer.engine.text import Bytes, fetch_text
from trainer_worker.trainer.engine.tokenizers import BytePairTokenizer, ByteTokenizer, Tokenizer, byte_counts
from trainer_worker.trainer.telling import Told, info, progress, warning
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

PROMPT = re.compile(r"\s*((?:\S+\s+){0,7}\S+)")
PROMPT_CHARACTERS_MAX = 80
PRECISIONS = {training_pb2.PRECISION_FP32: "fp32", training_pb2.PRECISION_BF16: "bf16"}


@dataclasses.dataclass
class Run:
    """All that the steps of one attempt work on."""

    spec: training_pb2.TrainSpec
    model: Decoder
    optimizer: torch.optim.Optimizer
    tokenizer: Tokenizer
    windows: data.Windows
    validation_tokens: np.ndarray
    bytes_of_token: np.ndarray
    prompt: str
    state: TrainingState
    device: torch.device
    store: Store
    checkpoint_prefix: str
    recorded_step: int
    resumed: bool

    def weights_are_finite(self) -> bool:
        return is_finite(self.model)


def prepare(assignment: workers_pb2.Assignment, *, store: Store, scratch: pathlib.Path) -> Generator[Told, None, Run]:
    """Reads the text, makes or reads tokens, and builds the model or takes it from the checkpoint to resume from.

    Raises: UnusableData if the text is too short for one batch; BadCheckpoint if there is one and it does not serve.
    """
    spec, part = assignment.train, assignment.dataset
    yield loading()
    precision.make_reproducible()
    device = precision.choose_device()
    checkpoint = checkpoint_of(assignment, store, scratch)
    text = fetch_text(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
    training_text, validation_text = text[: part.train_bytes], text[part.train_bytes :]
    yield loading()
    tokenizer = checkpoint.stored.tokenizer if checkpoint else make_tokenizer(spec.tokenizer, training_text)
    name = f"{part.sha256}-{part.train_bytes}"
    tokens = yield from tokens_of(training_text, tokenizer, name=f"{name}-training", scratch=scratch)
    validation_tokens = yield from tokens_of(validation_text, tokenizer, name=f"{name}-validation", scratch=scratch)
    windows = data.Windows(tokens, context_length=spec.architecture.context_length)
    data.require_one_batch(windows, batch_size=spec.optimization.batch_size)
    state = checkpoint.state if checkpoint else new_state(assignment, device)
    model = checkpoint.stored.model if checkpoint else new_model(spec, tokenizer)
    run = Run(
        spec=spec,
        model=model.to(device),
        optimizer=make_optimizer(model, spec.optimization),
        tokenizer=tokenizer,
        windows=windows,
        validation_tokens=validation_tokens,
        bytes_of_token=byte_counts(tokenizer),
        prompt=spec.samples.prompt if spec.samples.HasField("prompt") else first_words(validation_text, training_text),
        state=state,
        device=device,
        store=store,
        checkpoint_prefix=assignment.checkpoint_prefix,
        recorded_step=assignment.recorded_step,
        resumed=checkpoint is not None,
    )
    yield from describe(run)
    if checkpoint:
        yield resumed(checkpoint)
        restore(checkpoint, model, run.optimizer)
    return run


def loading() -> Told:
    return progress(pipe_pb2.SECTION_LOAD)


def checkpoint_of(assignment: workers_pb2.Assignment, store: Store, scratch: pathlib.Path) -> Checkpoint | None:
    """Raises: BadCheckpoint if it is damaged, or not of this job."""
    if not assignment.HasField("resume"):
        return None
    named = assignment.resume
    checkpoint = read_checkpoint(store, named.artifact_prefix, manifest_sha256=named.manifest_sha256, scratch=scratch)
    state, config, spec = checkpoint.state, checkpoint.stored.model.config, assignment.train
    same = (
        state.step == named.step
        and state.seed == spec.seed
        and state.dataset_sha256 == assignment.dataset.sha256
        and state.batch_size == spec.optimization.batch_size
        and config == model_config(spec, vocabulary_size=config.vocabulary_size)
    )
    if not same:
        raise BadCheckpoint(f"checkpoint {named.artifact_prefix} is not of step {named.step} of this job")
    return checkpoint


def make_tokenizer(spec: training_pb2.TokenizerSpec, text: Bytes) -> Tokenizer:
    if spec.kind == training_pb2.TOKENIZER_KIND_BPE:
        return BytePairTokenizer.train(text, vocabulary_size=spec.vocabulary_size)
    return ByteTokenizer()


def tokens_of(
    text: Bytes, tokenizer: Tokenizer, *, name: str, scratch: pathlib.Path
) -> Generator[Told, None, np.ndarray]:
    found = np.zeros(0, np.uint32)
    for tokens in data.tokenized(text, tokenizer=tokenizer, name=name, scratch=scratch):
        yield loading()
        found = tokens
    return found


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


def new_model(spec: training_pb2.TrainSpec, tokenizer: Tokenizer) -> Decoder:
    rng.seed_all(spec.seed)
    model = Decoder(model_config(spec, vocabulary_size=tokenizer.vocabulary_size))
    model.initialize(spec.seed)
    return model


def make_optimizer(model: Decoder, spec: training_pb2.OptimizationSpec) -> torch.optim.Optimizer:
    return adamw(
        model,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        beta1=spec.beta1,
        beta2=spec.beta2,
        epsilon=spec.epsilon,
    )


def new_state(assignment: workers_pb2.Assignment, device: torch.device) -> TrainingState:
    spec = assignment.train
    return TrainingState(
        seed=spec.seed,
        lineage=assignment.lineage,
        precision=PRECISIONS.get(spec.precision) or precision.choose_precision(device),
        batch_size=spec.optimization.batch_size,
        micro_batch_size=spec.optimization.micro_batch_size or spec.optimization.batch_size,
        threads=torch.get_num_threads(),
        dataset_sha256=assignment.dataset.sha256,
        versions=versions(),
    )


def versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "safetensors", "tokenizers", "tutelage-server")}
    return packages | {"python": platform.python_version(), "torch": torch.__version__}


def first_words(*texts: Bytes) -> str:
    """The first words of the first text that has any."""
    for text in texts:
        beginning = text[: 8 * PROMPT_CHARACTERS_MAX].tobytes().decode(errors="ignore")
        if words := PROMPT.match(beginning):
            return words[1][:PROMPT_CHARACTERS_MAX]
    return ""


def describe(run: Run) -> Generator[Told, None, None]:
    """The notes that a run begins with."""
    state, config = run.state, run.model.config
    query = torch.empty(0, config.context_length, config.heads, config.head_width, device=run.device)
    details = versions() | {
        "device": str(run.device),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": state.precision,
        "attention": "plain" if plain_is_faster(query, keys=config.context_length) else "fused",
        "parameters": config.parameters,
        "vocabulary_size": config.vocabulary_size,
        "training_tokens": len(run.windows.tokens),
        "validation_tokens": len(run.validation_tokens),
    }
    yield info("environment", f"Trains {config.parameters:,} weights in {state.precision} on {run.device}.", details)
    asked = run.spec.tokenizer.vocabulary_size
    if config.vocabulary_size < asked:
        message = f"The text yields {config.vocabulary_size} tokens, not the {asked} asked for."
        yield warning("small_vocabulary", message, {"vocabulary_size": config.vocabulary_size, "asked": asked})
    if len(run.validation_tokens) < 2:
        yield warning("no_validation", "The validation part is too short: nothing is evaluated.", {})


def resumed(checkpoint: Checkpoint) -> Told:
    state = checkpoint.state
    details = {"step": state.step, "samples": state.samples, "precision": state.precision, "threads": state.threads}
    if state.threads == torch.get_num_threads():
        return info("resumed", f"Goes on from the checkpoint after step {state.step}.", details)
    message = f"Goes on after step {state.step} with {torch.get_num_threads()} threads instead of {state.threads}: "
    return warning("resumed", message + "results may differ in the last bits.", details)
