"""Import: the files of a model from elsewhere become a model of the house."""

import pathlib
import tempfile
from collections.abc import Callable, Generator
from typing import TypeVar

from artifacts import Store
from artifacts.disk import no_space_is_told
from trainer_worker.trainer.complete_files import keep_complete
from trainer_worker.trainer.engine.archives import folder_with, unpack
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.families.reading import read_folder
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.peft_files import merge_peft
from trainer_worker.trainer.engine.stored_model import StoredModel, save_model
from trainer_worker.trainer.engine.text import fetch_file
from trainer_worker.trainer.telling import Told, info, progress
from tutelage_internal.v1 import pipe_pb2, workers_pb2

Result = TypeVar("Result")

MODEL, ADAPTER = "config.json", "adapter_config.json"


def import_model(
    assignment: workers_pb2.Assignment,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Unpacks the archive, reads what is in it, and keeps it as the files of a model; yields facts and progress.

    It is short work: `stop` is not listened to, and an attempt that is ended is begun again.

    Returns: ENDING_COMPLETE. Raises: UnusableData that names the file and the tensor; TrainingFailed without room.
    """
    del stop
    with tempfile.TemporaryDirectory(prefix="import-") as name, no_space_is_told():
        work = pathlib.Path(name)

        # Unpack: what a stranger packed is not believed.
        yield progress(pipe_pb2.SECTION_LOAD)
        part = assignment.dataset
        archive = fetch_file(store, key=part.key, sha256=part.sha256, size_bytes=part.size_bytes, scratch=scratch)
        yield from with_signs(unpack(archive, work / "files"))
        folder = folder_with(work / "files", (ADAPTER, MODEL))

        # Understand: a whole model, or what another one has learnt.
        if (folder / ADAPTER).exists():
            stored = yield from adapted(assignment, folder, store=store, scratch=scratch)
        else:
            stored = yield from whole(assignment, folder)

        # Keep.
        (work / "model").mkdir()
        yield progress(pipe_pb2.SECTION_CHECKPOINT)
        save_model(work / "model", stored.model, stored.tokenizer)
        yield from keep_complete(assignment, work / "model", store=store, parameters=stored.model.config.parameters)
    return pipe_pb2.ENDING_COMPLETE


def with_signs(work: Generator[None, None, Result]) -> Generator[Told, None, Result]:
    """Does the work, and gives a sign of progress wherever it pauses."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
        yield progress(pipe_pb2.SECTION_LOAD)


def whole(assignment: workers_pb2.Assignment, folder: pathlib.Path) -> Generator[Told, None, StoredModel]:
    """A folder of Hugging Face. Raises: UnusableData."""
    if assignment.HasField("base"):
        message = f"the archive holds a whole model, and {assignment.base.name} is named as the base of an adapter"
        raise UnusableData(message, help="Leave the base out.")
    found = yield from with_signs(read_folder(folder))
    shape, tokenizer = found.stored.model.config, found.stored.tokenizer
    details = {
        "architecture": found.family.architecture,
        "parameters": shape.parameters,
        "context_length": shape.context_length,
        "vocabulary_size": shape.vocabulary_size,
        "chat_template": "yes" if tokenizer.chat_template else "no",
    }
    message = f"A model of the kind {found.family.architecture} with {shape.parameters:,} weights was read."
    yield info("imported", message, details)
    for words in found.notes:
        yield info("import_note", words, {})
    return found.stored


def adapted(
    assignment: workers_pb2.Assignment, folder: pathlib.Path, *, store: Store, scratch: pathlib.Path
) -> Generator[Told, None, StoredModel]:
    """The base with the adapter of a PEFT folder merged into it. Raises: UnusableData."""
    if not assignment.HasField("base"):
        help = "Name the model that it belongs to as `base`, or merge it before packing."
        raise UnusableData("the archive holds an adapter without the model that it belongs to", help=help)
    base = base_model(assignment.base, store=store, scratch=scratch)
    yield progress(pipe_pb2.SECTION_LOAD)
    try:
        stored = merge_peft(folder, base)
    except BadCheckpoint as error:
        raise UnusableData(str(error), help=error.help) from error
    message = f"An adapter was merged into {assignment.base.name}."
    yield info("imported", message, {"base": assignment.base.name, "parameters": stored.model.config.parameters})
    return stored
