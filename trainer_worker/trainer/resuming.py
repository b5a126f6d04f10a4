"""Going on from a checkpoint: which one, whether it serves, and putting everything back."""

import pathlib

import torch

from artifacts import Store
from trainer_worker.trainer.engine.checkpoint import Checkpoint, finite_tensors, read_checkpoint, restore
from trainer_worker.trainer.engine.errors import BadCheckpoint
from trainer_worker.trainer.engine.precision import LossScaler
from trainer_worker.trainer.engine.stored_model import read_tensors
from trainer_worker.trainer.run import Run, spec_of
from trainer_worker.trainer.telling import Told, info, warning
from trainer_worker.trainer.weights import put_back
from tutelage_internal.v1 import workers_pb2


def checkpoint_of(assignment: workers_pb2.Assignment, store: Store, *, scratch: pathlib.Path) -> Checkpoint | None:
    """The checkpoint to go on from; None for a new run. Raises: BadCheckpoint if it is damaged, or not of this job."""
    if not assignment.HasField("resume"):
        return None
    named, spec = assignment.resume, spec_of(assignment)
    checkpoint = read_checkpoint(store, named.artifact_prefix, manifest_sha256=named.manifest_sha256, scratch=scratch)
    state = checkpoint.state
    same = (
        state.step == named.step
        and state.seed == spec.seed
        and state.dataset_sha256 == assignment.dataset.sha256
        and state.batch_size == spec.optimization.batch_size
    )
    if not same:
        raise not_of_this_job(named)
    return checkpoint


def not_of_this_job(named: workers_pb2.CheckpointArtifact) -> BadCheckpoint:
    return BadCheckpoint(f"checkpoint {named.artifact_prefix} is not of step {named.step} of this job")


def read_newest(run: Run) -> Checkpoint:
    """The newest checkpoint that this run has stored or begun with. Raises: BadCheckpoint."""
    files = run.kept.newest
    assert files is not None
    return read_checkpoint(run.store, files.prefix, manifest_sha256=files.manifest_sha256, scratch=run.scratch)


def go_on_from(run: Run, checkpoint: Checkpoint) -> None:
    """Puts the weights and all that moves them back, as they were. Raises: BadCheckpoint."""
    name = "adapter" if run.adapted else "model"
    try:
        put_back(run, finite_tensors(checkpoint.folder / f"{name}.safetensors"))
    except (ValueError, RuntimeError) as error:
        raise BadCheckpoint(f"{name}.safetensors cannot be put back: {error}") from error
    put_the_rest_back(run, checkpoint)


def put_the_rest_back(run: Run, checkpoint: Checkpoint) -> None:
    """All but the weights. Raises: BadCheckpoint."""
    run.optimizer.zero_grad()
    restore(checkpoint, run.optimizer)
    best = checkpoint.folder / "best.safetensors"
    run.best = {name: tensor.clone() for name, tensor in read_tensors(best).items()} if best.exists() else None
    run.state = checkpoint.state
    run.scaler = LossScaler(run.state.precision)
    if run.state.scaler:
        try:
            run.scaler.restore(run.state.scaler)
        except ValueError as error:
            raise BadCheckpoint(str(error)) from error


def resumed(run: Run) -> Told:
    """The note that says where the run goes on."""
    state = run.state
    details = {"step": state.step, "samples": state.samples, "precision": state.precision, "threads": state.threads}
    if state.threads == torch.get_num_threads():
        return info("resumed", f"Goes on from the checkpoint after step {state.step}.", details)
    message = f"Goes on after step {state.step} with {torch.get_num_threads()} threads instead of {state.threads}: "
    return warning("resumed", message + "results may differ in the last bits.", details)
