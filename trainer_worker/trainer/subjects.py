"""From a base to what is tuned: all of it or adapters, as new or as a checkpoint left it."""

from collections.abc import Callable

from trainer_worker.trainer.engine import rng
from trainer_worker.trainer.engine.checkpoint import Checkpoint, finite_tensors
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.model_artifact import any_model, base_model
from trainer_worker.trainer.engine.precision import AUTOCAST
from trainer_worker.trainer.engine.stored_model import StoredModel, load_any_model
from trainer_worker.trainer.preparation import Place, Subject
from trainer_worker.trainer.run import Run
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import workers_pb2

Change = Callable[[Decoder], Decoder]


def subject_of(
    assignment: workers_pb2.Assignment, place: Place, checkpoint: Checkpoint | None, *, change: Change | None = None
) -> Subject:
    """What a spec tunes. `change` turns the base into another kind of model first.

    Raises: UnusableData if the base is no good, BadCheckpoint if the checkpoint does not fit.
    """
    if assignment.fine_tune.HasField("lora"):
        return adapted(assignment, place, checkpoint, change)
    return whole(assignment, place, checkpoint, change)


def whole(
    assignment: workers_pb2.Assignment, place: Place, checkpoint: Checkpoint | None, change: Change | None
) -> Subject:
    """All weights move."""
    stored = load_any_model(checkpoint.folder) if checkpoint else base_of(assignment, place, change)
    rng.seed_all(assignment.fine_tune.seed)
    return Subject(stored.model, stored.tokenizer)


def adapted(
    assignment: workers_pb2.Assignment, place: Place, checkpoint: Checkpoint | None, change: Change | None
) -> Subject:
    """Only adapters move. Raises: BadCheckpoint if those of the checkpoint do not fit."""
    from trainer_worker.trainer.engine.lora import add_adapters, restore_adapters  # of adapted runs only

    spec, stored = assignment.fine_tune, base_of(assignment, place, change)
    rng.seed_all(spec.seed)
    add_adapters(stored.model, spec.lora, seed=spec.seed)
    if checkpoint:
        try:
            restore_adapters(stored.model, finite_tensors(checkpoint.folder / "adapter.safetensors"))
        except (ValueError, RuntimeError) as error:
            raise BadCheckpoint(f"adapter.safetensors cannot be put back: {error}") from error
    return Subject(stored.model, stored.tokenizer, adapted=True)


def base_of(assignment: workers_pb2.Assignment, place: Place, change: Change | None = None) -> StoredModel:
    """The base as it is stored, or changed. Raises: UnusableData; one that is not changed must predict text."""
    if change is None:
        return base_model(assignment.base, store=place.store, scratch=place.scratch)
    stored = any_model(assignment.base, store=place.store, scratch=place.scratch)
    return StoredModel(model=change(stored.model), tokenizer=stored.tokenizer)


def context_length(spec: training_pb2.FineTuneSpec, subject: Subject) -> int:
    """Raises: UnusableData if sequences are to be longer than the model can see."""
    longest = subject.model.config.context_length
    if spec.context_length > longest:
        raise UnusableData(f"context_length is {spec.context_length}, and the base model sees {longest} tokens")
    return spec.context_length or longest


def hold_cast(run: Run) -> None:
    """Casts frozen weights once, where steps would do it again and again."""
    if run.adapted and run.state.precision in AUTOCAST:
        from trainer_worker.trainer.engine.lora import hold_cast

        hold_cast(run.model, AUTOCAST[run.state.precision])
