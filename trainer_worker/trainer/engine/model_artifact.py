"""The model that other work begins with: a version, or a checkpoint that serves as one."""

import pathlib

from artifacts import CorruptFileSet, Store
from trainer_worker.trainer.engine.adapter_files import has_adapters, read_adapters
from trainer_worker.trainer.engine.errors import BadCheckpoint, UnusableData
from trainer_worker.trainer.engine.reward_model import HEAD, RewardModel, not_for_text, with_reward_head
from trainer_worker.trainer.engine.stored_model import StoredModel, load_any_model, read_config
from trainer_worker.trainer.engine.tokenizers import Tokenizer
from tutelage_internal.v1 import workers_pb2

MODEL = "model.safetensors"


def base_model(artifact: workers_pb2.ModelArtifact, *, store: Store, scratch: pathlib.Path) -> StoredModel:
    """Reads it with every hash. Adapters of a checkpoint that holds nothing else are merged into their base.

    Raises: UnusableData if it is damaged or not what it should be, or scores texts; artifacts.NotStored if it is gone.
    """
    stored = any_model(artifact, store=store, scratch=scratch)
    if isinstance(stored.model, RewardModel):
        raise not_for_text(artifact.name)
    return stored


def reward_model(
    artifact: workers_pb2.ModelArtifact, *, store: Store, scratch: pathlib.Path
) -> tuple[RewardModel, Tokenizer]:
    """One that scores texts, with its tokenizer. Raises: UnusableData, also if it is a model of another kind."""
    stored = any_model(artifact, store=store, scratch=scratch)
    if not isinstance(stored.model, RewardModel):
        raise UnusableData(f"{artifact.name} is no reward model", help="Train one: `method` REWARD.")
    return stored.model, stored.tokenizer


def any_model(artifact: workers_pb2.ModelArtifact, *, store: Store, scratch: pathlib.Path) -> StoredModel:
    """The same, also of a reward model."""
    try:
        folder = store.read_file_set(
            artifact.artifact_prefix, manifest_sha256=artifact.manifest_sha256, scratch=scratch
        )
        if (folder / MODEL).exists() or not has_adapters(folder):
            return load_any_model(folder)
        if not artifact.HasField("base"):
            raise BadCheckpoint("it holds adapters only, and the model that they belong to is not named")
        base = any_model(artifact.base, store=store, scratch=scratch)
        model = base.model
        if read_config(folder)[1].get("head") == HEAD:
            model = with_reward_head(model, seed=0)  # the head is among what the adapters bring
        return StoredModel(model=read_adapters(folder).merged_into(model), tokenizer=base.tokenizer)
    except (BadCheckpoint, CorruptFileSet) as error:
        raise UnusableData(
            f"{artifact.name} cannot be used: {error}", help="Choose another version or checkpoint to begin with."
        ) from error
