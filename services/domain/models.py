"""Models: names under which jobs publish versions that never change."""

import dataclasses
import datetime

from services.domain.training import TrainSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One published set of weights: a checkpoint file set with its origin."""

    project_id: str
    model_id: str
    version: int
    uid: str
    create_time: datetime.datetime
    job_uid: str
    job_id: str
    train: TrainSpec
    parameters: int
    steps: int
    size_bytes: int
    artifact_prefix: str
    manifest_sha256: str
    dataset_sha256: str
    software_version: str
    validation_loss: float | None = None
    validation_bits_per_byte: float | None = None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/models/{self.model_id}/versions/{self.version}"

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
