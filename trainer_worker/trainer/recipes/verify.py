"""Verification: steps of another job are computed again, to see whether they come out the same to the last bit."""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import Any

import torch

from artifacts import Store
from trainer_worker.trainer.engine.errors import UnusableData
from trainer_worker.trainer.health import is_lost
from trainer_worker.trainer.preparation import Place, versions
from trainer_worker.trainer.recipes import fine_tune, pretrain
from trainer_worker.trainer.recipes.next_token import step
from trainer_worker.trainer.run import Run
from trainer_worker.trainer.snapshots import store_snapshot
from trainer_worker.trainer.telling import Told, info, progress, warning
from trainer_worker.trainer.writing import StoringHere
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

FORMAT = 1
REPORT = "report.json"


@dataclasses.dataclass(frozen=True)
class Difference:
    """The first step that did not come out the same, and whether it trained on other data or had another loss."""

    step: int
    what: str
    recorded: str
    computed: str


def verify(
    assignment: workers_pb2.Assignment, *, store: Store, scratch: pathlib.Path, stop: Callable[[], bool] = lambda: False
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Computes the steps from the checkpoint on, compares the chains of those asked for, and stores a report.

    Returns: ENDING_COMPLETE whatever was found; ENDING_STOPPED, without a report, if it was told to stop.
    Raises: UnusableData if there is nothing to compare, BadCheckpoint if the checkpoint to begin at is no good.
    """
    recorded = {one.step: one for one in assignment.verification.recorded}
    if not recorded:
        raise UnusableData("no recorded step was given to compare with")
    run = yield from prepare(as_training(assignment), Place(store, scratch, StoringHere(store)))
    first, last = max(assignment.verification.first_step, min(recorded)), max(recorded)
    difference = None
    while difference is None and run.state.step < last and not is_lost(run):
        yield from signs_of(step(run))
        yield from measured(run)
        found = recorded.get(run.state.step)
        if found is not None and run.state.step >= first:
            difference = compare(found, run)
        if stop():
            return pipe_pb2.ENDING_STOPPED
    report = report_of(run, assignment, first=first, difference=difference)
    yield verdict(report, difference)
    yield from write_report(run, report)
    return pipe_pb2.ENDING_COMPLETE


def as_training(assignment: workers_pb2.Assignment) -> workers_pb2.Assignment:
    """The assignment of the job that is verified, as far as its steps depend on it."""
    training = workers_pb2.Assignment()
    training.CopyFrom(assignment)
    kind = assignment.verification.WhichOneof("spec")
    if kind is None:
        raise UnusableData("it is not said what the job that is to be verified does")
    getattr(training, kind).CopyFrom(getattr(assignment.verification, kind))
    return training


def prepare(training: workers_pb2.Assignment, place: Place) -> Generator[Told, None, Run]:
    recipe = pretrain if training.WhichOneof("spec") == "train" else fine_tune
    return (yield from recipe.prepare(training, place))


def signs_of(telling: Iterator[Told]) -> Iterator[Told]:
    """Signs of life only: what the steps have to say was said when they were taken first."""
    yield from (told for told in telling if isinstance(told, pipe_pb2.Progress))


def measured(run: Run) -> Iterator[Told]:
    state = run.state
    if not run.told_before:
        chains = {"data_chain": state.data_chain, "loss_chain": state.loss_chain}
        yield jobs_pb2.MetricLogged(step=state.step, values=state.metrics, **chains)


def compare(recorded: workers_pb2.RecordedStep, run: Run) -> Difference | None:
    state = run.state
    if recorded.data_chain != state.data_chain:
        return Difference(state.step, "data", recorded.data_chain, state.data_chain)
    if recorded.loss_chain != state.loss_chain:
        return Difference(state.step, "loss", recorded.loss_chain, state.loss_chain)
    return None


def report_of(
    run: Run, assignment: workers_pb2.Assignment, *, first: int, difference: Difference | None
) -> dict[str, Any]:
    """What was compared, where, and what came out."""
    state = run.state
    loss = {one.step: one.loss for one in assignment.verification.recorded if one.HasField("loss")}
    return {
        "format": FORMAT,
        "job": assignment.job,
        "outcome": "verified" if difference is None else "differs",
        "from_checkpoint": assignment.resume.artifact_prefix,
        "from_checkpoint_step": assignment.resume.step,
        "first_step": first,
        "last_step": state.step,
        "first_difference": dataclasses.asdict(difference) if difference else None,
        "loss": {"recorded": loss.get(state.step), "computed": state.metrics.get("train/loss")},
        "data_chain": state.data_chain,
        "loss_chain": state.loss_chain,
        "precision": state.precision,
        "threads": {"recorded": state.threads, "now": torch.get_num_threads()},
        "versions": {"recorded": state.versions, "now": versions()},
    }


def verdict(report: dict[str, Any], difference: Difference | None) -> Told:
    """The note that says it in a sentence."""
    details = {"first_step": report["first_step"], "last_step": report["last_step"]}
    if difference is None:
        message = f"Steps {report['first_step']} to {report['last_step']} came out the same to the last bit."
        return info("verified", message, details)
    what = "trained on other samples" if difference.what == "data" else "had another loss or gradient"
    message = f"Step {difference.step} is the first that {what} than was recorded."
    return warning("differs", message, details | {"step": difference.step, "what": difference.what})


def write_report(run: Run, report: dict[str, Any]) -> Iterator[Told]:
    """Stores the report as the complete file set of this job."""
    yield progress(pipe_pb2.SECTION_CHECKPOINT, step=run.state.step)
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        (pathlib.Path(folder) / REPORT).write_text(json.dumps(report, indent=1, sort_keys=True))
        place = f"{run.checkpoint_prefix}/step-{run.state.step}"
        files = store_snapshot(run.store, place, pathlib.Path(folder))
    yield facts_pb2.CheckpointWritten(
        step=run.state.step,
        artifact_prefix=files.prefix,
        manifest_sha256=files.manifest_sha256,
        size_bytes=files.size_bytes,
        complete=True,
        parameters=run.model.config.parameters,
    )
