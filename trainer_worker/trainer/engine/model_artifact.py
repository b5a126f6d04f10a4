"""The model that other work begins with: a version, or a checkpoint that serves as one."""

import pathlib

from artifacts import CorruptFileSet, Store
from trainer_worker.trainer.engine.adapter_files import has_adapters, read_adapters
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.stored_model import StoredModel, load_model
from tutelage_internal.v1 import workers_pb2

MODEL = "model.safetensors"


def base_model(artifact: workers_pb2.ModelArtifact, *, store: Store, scratch: pathlib.Path) -> StoredModel:
    """Reads it with every hash. Adapters of a checkpoint that holds nothing else are merged into their base.

    Raises: UnusableData if it is damaged or not what it should be; artifacts.NotStored if it is gone.
    """
    try:
        folder = store.read_file_set(
            artifact.artifact_prefix, manifest_sha256=artifact.manifest_sha256, scratch=scratch
        )
        if (folder / MODEL).exists() or not has_adapters(folder):
            return load_model(folder)
        if not artifact.HasField("base"):
            raise BadCheckpoint("it holds adapters only, and the model that they belong to is not named")
        base = base_model(artifact.base, store=store, scratch=scratch)
        return StoredModel(model=read_adapters(folder).merged_into(base.model), tokenizer=base.tokenizer)
    except (BadCheckpoint, CorruptFileSet) as error:
        raise UnusableData(
            f"{artifact.name} cannot be used: {error}", help="Choose another version or checkpoint to begin with."
        ) from error
