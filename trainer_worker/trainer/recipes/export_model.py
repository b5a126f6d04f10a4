"""Export: a model of the house as files that others read."""

import pathlib
import tempfile
from collections.abc import Callable, Generator, Iterator

from artifacts import CorruptFileSet, Store
from artifacts.disk import no_space_is_told
from trainer_worker.trainer.complete_files import keep_complete
from trainer_worker.trainer.engine.adapter_files import has_adapters, read_adapters
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.families.writing import write_folder
from trainer_worker.trainer.engine.model_artifact import base_model
from trainer_worker.trainer.engine.peft_files import write_peft
from trainer_worker.trainer.engine.reward_model import not_for_text
from trainer_worker.trainer.engine.stored_model import StoredModel, read_config
from trainer_worker.trainer.telling import Told, info, progress
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2


def export_model(
    assignment: workers_pb2.Assignment,
    *,
    store: Store,
    scratch: pathlib.Path,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Told, None, "pipe_pb2.Ending.ValueType"]:
    """Reads the model, writes it in the form that is wanted, and keeps the files; yields facts and progress.

    It is short work: `stop` is not listened to, and an attempt that is ended is begun again.

    Returns: ENDING_COMPLETE. Raises: UnusableData if the form cannot express the model; TrainingFailed without room.
    """
    del stop
    with tempfile.TemporaryDirectory(prefix="export-") as name, no_space_is_told():
        folder = pathlib.Path(name)
        yield progress(pipe_pb2.SECTION_LOAD)
        if assignment.export_model.format == training_pb2.EXPORT_FORMAT_PEFT:
            parameters = yield from export_adapters(assignment, folder, store=store, scratch=scratch)
        else:
            stored = base_model(assignment.base, store=store, scratch=scratch)
            yield progress(pipe_pb2.SECTION_LOAD)
            parameters = stored.model.config.parameters
            yield from export_whole(assignment, stored, folder)
        yield from keep_complete(assignment, folder, store=store, parameters=parameters)
    return pipe_pb2.ENDING_COMPLETE


def export_whole(assignment: workers_pb2.Assignment, stored: StoredModel, folder: pathlib.Path) -> Iterator[Told]:
    if assignment.export_model.format == training_pb2.EXPORT_FORMAT_GGUF:
        from trainer_worker.trainer.engine.gguf import write_gguf  # the library is of no use to other work

        kinds = write_gguf(folder / "model.gguf", stored, name=assignment.base.name)
        message = f"Written for llama.cpp as {kinds.architecture}, matrices in {kinds.matrices}."
        yield info("exported", message, {"architecture": kinds.architecture, "matrices": kinds.matrices})
        return
    family = write_folder(folder, stored)
    message = f"Written for transformers as {family.architecture}, in float32."
    yield info("exported", message, {"architecture": family.architecture})


def export_adapters(
    assignment: workers_pb2.Assignment, folder: pathlib.Path, *, store: Store, scratch: pathlib.Path
) -> Generator[Told, None, int]:
    """Writes a folder for `peft`; returns the number of weights of the whole model. Raises: UnusableData."""
    base = assignment.base
    try:
        source = store.read_file_set(base.artifact_prefix, manifest_sha256=base.manifest_sha256, scratch=scratch)
        if not has_adapters(source):
            help = "Only a version that was tuned with `lora` has some; export the whole model instead."
            raise UnusableData(f"{base.name} holds no adapters", help=help)
        adapters = read_adapters(source)
        shape, config = read_config(source)
    except (BadCheckpoint, CorruptFileSet) as error:
        raise UnusableData(f"{base.name} cannot be used: {error}") from error
    if "head" in config:
        raise not_for_text(base.name)
    write_peft(folder, adapters, base=base.base.name)
    message = f"Written for peft: adapters of rank {adapters.settings.rank}."
    yield info("exported", message, {"rank": adapters.settings.rank, "base": base.base.name})
    return shape.parameters
