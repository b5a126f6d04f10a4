"""What verbs may ask of the keepers of datasets, models, projects and keys."""

import datetime
from collections.abc import Collection, Sequence
from typing import Protocol

from services.domain.datasets import Dataset, Upload, UploadPart
from services.domain.models import Model, ModelVersion
from services.domain.pages import Page
from services.domain.projects import ApiKey, AuditEntry, Caller, Project, Role


class Datasets(Protocol):
    """Keeps datasets."""

    def add(self, dataset: Dataset) -> None:
        """Keep a new dataset. Raises: AlreadyExists."""
        ...

    def find(self, project_id: str, dataset_id: str) -> Dataset | None:
        """Return the dataset that is READY under this id."""
        ...

    def find_by_uid(self, uid: str) -> Dataset | None: ...

    def lock(self, project_id: str, dataset_id: str) -> Dataset | None: ...

    def ids(self, project_id: str) -> Sequence[str]: ...

    def page(self, project_id: str, *, page: Page) -> Sequence[Dataset]:
        """Return at most `page.size` + 1 datasets that are READY, in the order of (create_time, uid)."""
        ...

    def mark_deleted(self, uid: str) -> None: ...

    def ready_among(self, uids: Collection[str]) -> Collection[str]: ...


class Uploads(Protocol):
    """Keeps uploads on their way."""

    def add(self, upload: Upload) -> None: ...

    def find(self, project_id: str, uid: str) -> Upload | None: ...

    def lock(self, project_id: str, uid: str) -> Upload | None: ...

    def add_part(self, uid: str, part: UploadPart) -> None:
        """Count a part as arrived; the row of the upload must be held."""
        ...

    def parts(self, uid: str) -> Sequence[UploadPart]: ...

    def mark_finished(self, uid: str) -> None:
        """Remember that its dataset was made, and forget its parts."""
        ...

    def remove(self, uid: str) -> None: ...

    def expired(self, *, now: datetime.datetime, count_max: int) -> Sequence[Upload]: ...

    def count_open(self, project_id: str) -> int: ...

    def known_among(self, uids: Collection[str]) -> Collection[str]:
        """Return which of these exist and are not finished."""
        ...

    def dataset_uids_among(self, dataset_uids: Collection[str]) -> Collection[str]:
        """Return which of these an unfinished upload is about to become."""
        ...


class Models(Protocol):
    """Keeps models and their versions."""

    def publish(self, version: ModelVersion) -> ModelVersion:
        """Keep a version under the next number of its model, made if need be, and return it with that number.

        `version.version` is 0 when it comes. UNIQUE(job_uid): a job publishes once, and a repetition returns the first.
        """
        ...

    def find(self, project_id: str, model_id: str) -> Model | None: ...

    def find_version(self, project_id: str, model_id: str, version: int) -> ModelVersion | None: ...

    def page(self, project_id: str, *, page: Page) -> Sequence[Model]:
        """Return at most `page.size` + 1 models, in the order of (update_time, uid)."""
        ...

    def page_of_versions(self, project_id: str, model_id: str, *, page: Page) -> Sequence[ModelVersion]:
        """Return at most `page.size` + 1 versions, in the order of their numbers."""
        ...

    def ids(self, project_id: str) -> Sequence[str]: ...


class Projects(Protocol):
    """Keeps projects."""

    def add(self, project: Project) -> None:
        """Keep a new project. Raises: AlreadyExists."""
        ...

    def find(self, project_id: str) -> Project | None: ...

    def lock(self, project_id: str) -> Project | None: ...


class ApiKeys(Protocol):
    """Keeps API keys, with keyed hashes of their secrets."""

    def add(self, key: ApiKey, *, secret_hash: bytes) -> None: ...

    def find(self, project_id: str, key_id: str) -> ApiKey | None: ...

    def find_with_secret(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """Return a key of whatever project, and the hash of its secret."""
        ...

    def working_among(self, key_ids: Collection[str], *, now: datetime.datetime) -> Collection[str]:
        """Return which of these are neither revoked nor expired."""
        ...

    def count_working(self, project_id: str, *, role: Role, now: datetime.datetime) -> int: ...

    def set_revoked(self, key_id: str, *, time: datetime.datetime) -> None: ...

    def set_last_use(self, key_id: str, *, time: datetime.datetime) -> None: ...

    def page(self, project_id: str, *, page: Page) -> Sequence[ApiKey]:
        """Return at most `page.size` + 1 keys, in the order of (create_time, id)."""
        ...


class Audit(Protocol):
    """Keeps the record of what was done."""

    def record(self, caller: Caller, *, resource: str, time: datetime.datetime) -> None:
        """Keep that the caller's method did something to a resource, as an AuditEntry of the caller's project."""
        ...

    def page(self, project_id: str, *, page: Page) -> Sequence[tuple[int, AuditEntry]]:
        """Return at most `page.size` + 1 entries with their numbers, in the order of those."""
        ...
