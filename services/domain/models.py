"""Models: names under which jobs publish versions that never change."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from services.domain.fine_tuning import FineTuneSpec
from services.domain.methods import Method
from services.domain.training import TrainSpec
from services.domain.work import ImportModelSpec, PublishedWork


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """The files that a job begins with: those of a model version, or of a checkpoint that serves as one.

    `name` is that of the version or checkpoint. The checkpoint of a run with adapters holds nothing else: `base` is
    then what that run was tuned from.
    """

    name: str
    artifact_prefix: str
    manifest_sha256: str
    base: "ModelFiles | None" = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "ModelFiles":
        """Return the files behind plain values."""
        return cls(**{**plain, "base": cls.from_json(plain["base"]) if plain["base"] else None})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One published set of weights: a checkpoint file set with its origin. `aliases` are those that it has now."""

    project_id: str
    model_id: str
    version: int
    uid: str
    create_time: datetime.datetime
    job_uid: str
    job_id: str
    spec: PublishedWork
    parameters: int
    steps: int
    size_bytes: int
    artifact_prefix: str
    manifest_sha256: str
    dataset_sha256: str
    software_version: str
    validation_loss: float | None = None
    validation_bits_per_byte: float | None = None
    parent_version: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/models/{self.model_id}/versions/{self.version}"

    @property
    def files(self) -> ModelFiles:
        """Its files, for a job that begins with them."""
        return ModelFiles(name=self.name, artifact_prefix=self.artifact_prefix, manifest_sha256=self.manifest_sha256)

    @property
    def kind(self) -> str:
        """What kind of work made it."""
        return self.spec.kind

    @property
    def reward_model(self) -> bool:
        """Whether it scores texts, and cannot write any."""
        return makes_reward_model(self.spec)

    @property
    def train(self) -> TrainSpec | None:
        """What it was pretrained with, if it was."""
        return self.spec if isinstance(self.spec, TrainSpec) else None

    @property
    def import_model(self) -> ImportModelSpec | None:
        """What it was imported from, if it was."""
        return self.spec if isinstance(self.spec, ImportModelSpec) else None

    @property
    def fine_tune(self) -> FineTuneSpec | None:
        """What it was tuned with, if it was."""
        return self.spec if isinstance(self.spec, FineTuneSpec) else None

    @property
    def job(self) -> str:
        """Resource name of the job that trained it."""
        return f"projects/{self.project_id}/jobs/{self.job_id}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A name with the versions published under it."""

    project_id: str
    id: str
    uid: str
    create_time: datetime.datetime
    update_time: datetime.datetime
    versions: int
    latest_version: ModelVersion

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/models/{self.id}"


def makes_reward_model(spec: PublishedWork) -> bool:
    """Whether what comes out of this work scores texts, and cannot write any."""
    return isinstance(spec, FineTuneSpec) and spec.method is Method.REWARD
