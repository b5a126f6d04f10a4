"""One job from launch to goodbye."""

import pathlib
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from typing import Any

import safetensors

from artifacts import ArtifactError, NotStored, open_store
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.memory import is_out_of_memory
from trainer_worker.trainer.failures import TrainingFailed
from trainer_worker.trainer.pipe import SupervisorGone, Writer
from trainer_worker.trainer.starting import Start
from trainer_worker.trainer.telling import Told, message_of
from trainer_worker.trainer.writing import StoringProcess
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import pipe_pb2

EXIT_INTERRUPTED = 1

Recipe = Generator[Told, None, "pipe_pb2.Ending.ValueType"]


def work(launch: pipe_pb2.Launch, *, writer: Writer, stop: Callable[[], bool], start: Start | None = None) -> int:
    """Runs the recipe, tells what it yields, and says goodbye. Returns the exit code.

    Trouble that may be over next time (the store does not answer, the disk fails) ends without a goodbye: the
    supervisor then counts an interruption, and another attempt goes on from the last checkpoint.
    """
    try:
        goodbye = pipe_pb2.Goodbye(ending=run_recipe(launch, writer=writer, stop=stop, start=start or Start()))
    except SupervisorGone:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        answer = goodbye_for(error)
        if answer is None:
            return EXIT_INTERRUPTED
        goodbye = answer
    writer.write(pipe_pb2.FromTrainer(goodbye=goodbye))
    return 0


def run_recipe(
    launch: pipe_pb2.Launch, *, writer: Writer, stop: Callable[[], bool], start: Start
) -> "pipe_pb2.Ending.ValueType":
    recipe = recipe_of(launch, stop=stop)
    ending = pipe_pb2.ENDING_UNSPECIFIED

    def ended() -> Iterator[Told]:
        nonlocal ending
        ending = yield from recipe

    for told in ended():
        writer.write(message_of(told))
        for word in start.watch(told):
            writer.write(message_of(word))
    return ending


def recipe_of(launch: pipe_pb2.Launch, *, stop: Callable[[], bool]) -> Recipe:
    """The recipe for the kind of work, which is loaded only now: none needs what another one brings."""
    assignment, kind = launch.assignment, launch.assignment.WhichOneof("spec")
    common: dict[str, Any] = {
        "store": open_store(launch.artifacts_url),
        "scratch": pathlib.Path(launch.scratch_dir),
        "stop": stop,
    }
    match kind:
        case "train" | "fine_tune":
            common["storing"] = StoringProcess(launch.artifacts_url)
            name = "pretrain" if kind == "train" else "fine_tune"
        case "import_model" | "export_model" | "draw" | "evaluate":
            name = kind
        case "verification":
            name = "verify"
        case _:
            raise TrainingFailed(jobs_pb2.FAILURE_REASON_TRAINER_ERROR, "this version does not know such work")
    recipe: Callable[..., Recipe] = getattr(import_module(f"trainer_worker.trainer.recipes.{name}"), name)
    return recipe(assignment, **common)


def goodbye_for(error: Exception) -> pipe_pb2.Goodbye | None:
    """How an error ends the attempt; None if another attempt may fare better."""
    if isinstance(error, BadCheckpoint):
        return bad_checkpoint(error)
    failure = failure_for(error)
    return pipe_pb2.Goodbye(ending=pipe_pb2.ENDING_FAILED, failure=failure) if failure else None


def bad_checkpoint(error: BadCheckpoint) -> pipe_pb2.Goodbye:
    failure = jobs_pb2.JobFailure(
        reason=jobs_pb2.FAILURE_REASON_NO_CHECKPOINT,
        message=str(error),
        help="An older checkpoint is tried next, if there is one.",
    )
    return pipe_pb2.Goodbye(ending=pipe_pb2.ENDING_BAD_CHECKPOINT, failure=failure)


def failure_for(error: Exception) -> jobs_pb2.JobFailure | None:
    """Why a job fails for good with this error; None if another attempt may fare better."""
    match error:
        case TrainingFailed():
            return error.failure
        case UnusableData():
            return failure(jobs_pb2.FAILURE_REASON_BAD_INPUT, error, help=error.help)
        case NotStored():
            return failure(jobs_pb2.FAILURE_REASON_INPUT_GONE, error, help="Upload the dataset again.")
        case _ if is_out_of_memory(error):
            help = "Use a smaller micro_batch_size, context_length or model, or a worker with more memory."
            return failure(jobs_pb2.FAILURE_REASON_OUT_OF_MEMORY, error, help=help)
        case OSError() | ArtifactError() | safetensors.SafetensorError():  # the last: a disk that does not take a file
            return None
    return trainer_error(error)


def trainer_error(error: Exception) -> jobs_pb2.JobFailure:
    help = "This looks like a fault of Tutelage; the log of the worker has the trace."
    return failure(jobs_pb2.FAILURE_REASON_TRAINER_ERROR, f"{type(error).__name__}: {error}", help=help)


def failure(reason: "jobs_pb2.FailureReason.ValueType", message: object, *, help: str) -> jobs_pb2.JobFailure:
    return jobs_pb2.JobFailure(reason=reason, message=str(message)[:2000], help=help)
