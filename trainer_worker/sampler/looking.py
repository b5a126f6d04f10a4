"""From a checkpoint and a text to what happens inside a step."""

from __future__ import annotations

import dataclasses
import pathlib

import artifacts
from trainer_worker.sampler.errors import BrokenModel, InvalidRequest, NoRoomForModel, Unavailable, Violation
from trainer_worker.trainer.engine.checkpoint import Checkpoint, finite_tensors, read_checkpoint
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.inspect import InspectedToken, Inspection, changed_weights, inspect_step, trainable
from trainer_worker.trainer.engine.lora import add_adapters, restore_adapters
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.optimizers import make_optimizers
from trainer_worker.trainer.engine.schedule import learning_rate
from trainer_worker.trainer.engine.stored_model import StoredModel, load_model, read_tensors
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from tutelage.v1 import inspection_pb2, training_pb2
from tutelage_internal.v1 import access_pb2, workers_pb2

Spec = training_pb2.TrainSpec | training_pb2.FineTuneSpec

# The weights, what they were before the step, and their gradients, beside a checkpoint with the state of the optimizer.
BYTES_PER_STORED_BYTE = 2


@dataclasses.dataclass(frozen=True)
class Place:
    """Where files come from, and where they may lie meanwhile."""

    store: artifacts.Store
    scratch: pathlib.Path


def look(
    resolved: access_pb2.ResolveCheckpointResponse,
    *,
    place: Place,
    text: str,
    predictions: int,
    size_bytes_max: int,
) -> inspection_pb2.InspectStepResponse:
    """Takes one step on the text from the checkpoint, and throws its outcome away.

    Raises: InvalidRequest, NoRoomForModel, Unavailable; BrokenModel if the files are damaged.
    """
    try:
        refuse_if_too_large(resolved, place.store, size_bytes_max=size_bytes_max)
        return _look(resolved, place=place, text=text, predictions=predictions)
    except (artifacts.StoreUnavailable, artifacts.NoSpace) as error:
        raise Unavailable("the files of the checkpoint cannot be read just now") from error
    except (BadCheckpoint, UnusableData, artifacts.ArtifactError) as error:
        raise BrokenModel(str(error)) from error


def refuse_if_too_large(
    resolved: access_pb2.ResolveCheckpointResponse, store: artifacts.Store, *, size_bytes_max: int
) -> None:
    """Raises: NoRoomForModel."""
    prefixes = [resolved.checkpoint.artifact_prefix]
    if resolved.HasField("base"):
        prefixes.append(resolved.base.artifact_prefix)
    sizes = [files.size_bytes for prefix in prefixes if (files := store.find_file_set(prefix))]
    needed = BYTES_PER_STORED_BYTE * sum(sizes)
    if needed > size_bytes_max:
        raise NoRoomForModel(f"the look takes about {needed} bytes of memory, of {size_bytes_max} there are")


def _look(
    resolved: access_pb2.ResolveCheckpointResponse, *, place: Place, text: str, predictions: int
) -> inspection_pb2.InspectStepResponse:
    spec: Spec = resolved.fine_tune if resolved.WhichOneof("spec") == "fine_tune" else resolved.train
    checkpoint = _read(resolved.checkpoint, place)
    stored = _model(resolved, checkpoint, spec=spec, place=place)
    tokens = _tokens(text or spec.samples.prompt, stored)
    optimizers = make_optimizers(stored.model.named_parameters(), spec.optimization)
    try:
        optimizers.restore(finite_tensors(checkpoint.folder / "optimizer.safetensors"))
    except ValueError as error:
        raise BadCheckpoint(str(error)) from error
    changed = _changed(stored.model, resolved, place)
    next_step = min(checkpoint.state.step + 1, spec.steps)
    rate = learning_rate(next_step, steps=spec.steps, spec=spec.optimization)
    inspection = inspect_step(
        stored.model,
        optimizers,
        tokens,
        learning_rate=rate,
        clip_norm=spec.optimization.clip_norm,
        predictions=predictions,
    )
    answer = _told(inspection, stored.tokenizer)
    moving = sum(weight.numel() for _, weight in trainable(stored.model))
    answer.step, answer.learning_rate = checkpoint.state.step, rate
    answer.trainable_weights = moving
    answer.weights = sum(weight.numel() for weight in stored.model.parameters())
    answer.adjusted_steps = checkpoint.state.step - checkpoint.state.skipped_steps
    answer.adjustments = float(moving) * answer.adjusted_steps
    if changed is not None:
        answer.changed_weights = changed
    return answer


def _read(artifact: workers_pb2.CheckpointArtifact, place: Place) -> Checkpoint:
    return read_checkpoint(
        place.store, artifact.artifact_prefix, manifest_sha256=artifact.manifest_sha256, scratch=place.scratch
    )


def _model(
    resolved: access_pb2.ResolveCheckpointResponse, checkpoint: Checkpoint, *, spec: Spec, place: Place
) -> StoredModel:
    """The model as training saw it: with adapters beside the weights, not in them."""
    if not (isinstance(spec, training_pb2.FineTuneSpec) and spec.HasField("lora")):
        return load_model(checkpoint.folder)
    stored = base_model(resolved.base, store=place.store, scratch=place.scratch)
    add_adapters(stored.model, spec.lora, seed=spec.seed)
    try:
        restore_adapters(stored.model, finite_tensors(checkpoint.folder / "adapter.safetensors"))
    except (ValueError, RuntimeError) as error:
        raise BadCheckpoint(f"adapter.safetensors cannot be put back: {error}") from error
    return stored


def _tokens(text: str, stored: StoredModel) -> list[int]:
    """As many as the context holds, and the one that follows: those of a prompt, as samples go on from it.

    Raises: InvalidRequest if there is nothing to predict.
    """
    if not text:
        raise InvalidRequest(Violation("text", "is needed: no prompt was set for the samples of this job"))
    tokens = stored.tokenizer.encode_prompt(text)[: stored.model.config.context_length + 1]
    if len(tokens) < 2:
        wrong = f"must have at least two tokens, one to be given and one to follow, got {len(tokens)}"
        raise InvalidRequest(Violation("text", wrong))
    return tokens


def _changed(model: Decoder, resolved: access_pb2.ResolveCheckpointResponse, place: Place) -> int | None:
    """How many weights differ from those of the first checkpoint; None if that is this one, or gone."""
    if not resolved.HasField("first") or resolved.first.artifact_prefix == resolved.checkpoint.artifact_prefix:
        return None
    first = _read(resolved.first, place).folder
    names = [name for name in ("adapter.safetensors", "model.safetensors") if (first / name).exists()]
    return changed_weights(model, read_tensors(first / names[0])) if names else None


def _told(inspection: Inspection, tokenizer: Tokenizer) -> inspection_pb2.InspectStepResponse:
    return inspection_pb2.InspectStepResponse(
        loss=inspection.loss,
        gradient_norm=inspection.gradient_norm,
        tokens=[_told_token(token, tokenizer) for token in inspection.tokens],
        parts=[inspection_pb2.InspectedPart(**dataclasses.asdict(part)) for part in inspection.parts],
    )


def _told_token(token: InspectedToken, tokenizer: Tokenizer) -> inspection_pb2.InspectedToken:
    return inspection_pb2.InspectedToken(
        token=token.token,
        text=_text(token.token, tokenizer),
        loss=token.loss,
        probability=token.probability,
        predictions=[
            inspection_pb2.Prediction(token=one.token, text=_text(one.token, tokenizer), probability=one.probability)
            for one in token.predictions
        ],
    )


def _text(token: int, tokenizer: Tokenizer) -> str:
    """What a token adds to a text; special tokens add nothing, and are shown by their names."""
    if added := tokenizer.token_bytes(token):
        return added.decode(errors="backslashreplace")
    return next((name for name, special in tokenizer.special_tokens.items() if special.number == token), "")
