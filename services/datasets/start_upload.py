"""Begins an upload."""

import dataclasses
import datetime
import re

from services.domain.datasets import DatasetFormat, Upload
from services.domain.errors import (
    AlreadyExists,
    DomainError,
    FieldViolation,
    InvalidField,
    LimitReached,
    NoSpace,
    NotFound,
)
from services.domain.limits import (
    FILENAME_CHARACTERS_MAX,
    OPEN_UPLOADS_MAX,
    TOKENIZER_FILE_BYTES_MAX,
    UPLOAD_BYTES_MAX,
    UPLOAD_LIFETIME_S,
    VALIDATION_FRACTION_DEFAULT,
    VALIDATION_FRACTION_MAX,
    VALIDATION_FRACTION_MIN,
)
from services.domain.names import DATASET, PROJECT, UPLOAD, check_chosen_id, check_request_id, ids_in_own_project
from services.domain.projects import Caller
from services.domain.requests import RequestKey
from services.domain.words import check_words
from services.ports import House, UnitOfWork, store_errors

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COPIES = 2  # its parts, and the dataset that they become, lie in the store at the same time


@dataclasses.dataclass(frozen=True, kw_only=True)
class UploadDraft:
    """An upload as a caller asks for it."""

    parent: str
    dataset_id: str
    size_bytes: int
    sha256: str = ""
    format: DatasetFormat | None = None
    filename: str = ""
    validation_fraction: float | None = None


def start_upload(house: House, *, caller: Caller, draft: UploadDraft, request: RequestKey) -> Upload:
    """Make an upload, or return the one that the same request made before.

    Raises: InvalidField with every wrong field, AlreadyExists for the dataset id, LimitReached, NoSpace,
    RequestIdReused.
    """
    ids_in_own_project(draft.parent, pattern=PROJECT, own_project=caller.project_id, field="parent")
    check_request_id(request.request_id)
    _check(draft)
    with house.storage.write() as uow:
        earlier = uow.requests.find(caller, request)
        if earlier is not None:
            return _earlier_upload(uow, caller, name=earlier)
        _check_room(house, uow, caller, draft)
        now = uow.now()
        upload = _upload(house, draft, caller=caller, now=now)
        uow.uploads.add(upload)
        uow.requests.remember(caller, request, resource=upload.name, time=now)
        uow.audit.record(caller, resource=upload.name, time=now)
        uow.commit()
    return upload


def check_sha256(value: str, *, field: str = "sha256") -> str:
    """Return a hash, or nothing if nothing was given. Raises: InvalidField."""
    if value and not _SHA256.fullmatch(value):
        raise InvalidField.of(field, "must be 64 hexadecimal digits in lower case")
    return value


def _check(draft: UploadDraft) -> None:
    violations: list[FieldViolation] = []
    for check in (_check_id, _check_size, _check_hash, _check_filename, _check_fraction):
        try:
            check(draft)
        except DomainError as error:
            violations += error.violations
    if violations:
        raise InvalidField.of_all(violations)


def _check_id(draft: UploadDraft) -> None:
    check_chosen_id(draft.dataset_id, field="dataset_id")


def _check_size(draft: UploadDraft) -> None:
    most = TOKENIZER_FILE_BYTES_MAX if draft.format is DatasetFormat.TOKENIZER else UPLOAD_BYTES_MAX
    if not 1 <= draft.size_bytes <= most:
        raise InvalidField.of("size_bytes", f"must be 1 to {most:,} bytes, got {draft.size_bytes:,}")


def _check_hash(draft: UploadDraft) -> None:
    check_sha256(draft.sha256)


def _check_filename(draft: UploadDraft) -> None:
    check_words(draft.filename, field="filename", characters_max=FILENAME_CHARACTERS_MAX)


def _check_fraction(draft: UploadDraft) -> None:
    fraction = draft.validation_fraction
    if fraction is not None and not VALIDATION_FRACTION_MIN <= fraction <= VALIDATION_FRACTION_MAX:
        limits = f"{VALIDATION_FRACTION_MIN} to {VALIDATION_FRACTION_MAX}"
        raise InvalidField.of("validation_fraction", f"must be {limits}, got {fraction}")


def _check_room(house: House, uow: UnitOfWork, caller: Caller, draft: UploadDraft) -> None:
    if uow.datasets.find(caller.project_id, draft.dataset_id) is not None:
        raise AlreadyExists.of(DATASET.format(caller.project_id, draft.dataset_id))
    if uow.uploads.count_open(caller.project_id) >= OPEN_UPLOADS_MAX:
        raise LimitReached(f"{OPEN_UPLOADS_MAX} uploads are open; finish one, or wait until one expires")
    with store_errors():
        free_bytes = house.store.free_bytes()
    if free_bytes is not None and free_bytes < _COPIES * draft.size_bytes:
        raise NoSpace(f"an upload of {draft.size_bytes:,} bytes needs twice that, but {free_bytes:,} bytes are free")


def _upload(house: House, draft: UploadDraft, *, caller: Caller, now: datetime.datetime) -> Upload:
    fraction = draft.validation_fraction
    return Upload(
        project_id=caller.project_id,
        uid=house.chance.uid(),
        dataset_id=draft.dataset_id,
        dataset_uid=house.chance.uid(),
        size_bytes=draft.size_bytes,
        received_bytes=0,
        parts=0,
        sha256=draft.sha256,
        format=draft.format or DatasetFormat.TEXT,
        filename=draft.filename,
        validation_fraction=VALIDATION_FRACTION_DEFAULT if fraction is None else fraction,
        create_time=now,
        expire_time=now + datetime.timedelta(seconds=UPLOAD_LIFETIME_S),
        creator=caller.api_key,
    )


def _earlier_upload(uow: UnitOfWork, caller: Caller, *, name: str) -> Upload:
    (uid,) = ids_in_own_project(name, pattern=UPLOAD, own_project=caller.project_id)
    upload = uow.uploads.find(caller.project_id, uid)
    if upload is None:
        raise NotFound.of(name)
    return upload
