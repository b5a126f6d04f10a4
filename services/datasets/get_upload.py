"""Returns an upload."""

from services.domain.datasets import Upload
from services.domain.errors import NotFound
from services.domain.names import UPLOAD, ids_in_own_project
from services.domain.projects import Caller
from services.ports import House, UnitOfWork


def get_upload(house: House, *, caller: Caller, name: str) -> Upload:
    """Return an upload and how many bytes of it have arrived. Raises: NotFound, also when its time is over."""
    with house.storage.read() as uow:
        return find_upload(uow, caller=caller, name=name)


def find_upload(uow: UnitOfWork, *, caller: Caller, name: str) -> Upload:
    """Return the upload of this name. Raises: NotFound."""
    (uid,) = ids_in_own_project(name, pattern=UPLOAD, own_project=caller.project_id)
    return _living(uow, uow.uploads.find(caller.project_id, uid), name=name)


def lock_upload(uow: UnitOfWork, *, caller: Caller, name: str) -> Upload:
    """Return the upload of this name, and hold its row. Raises: NotFound."""
    (uid,) = ids_in_own_project(name, pattern=UPLOAD, own_project=caller.project_id)
    return _living(uow, uow.uploads.lock(caller.project_id, uid), name=name)


def _living(uow: UnitOfWork, upload: Upload | None, *, name: str) -> Upload:
    if upload is None or upload.expire_time <= uow.now():
        raise NotFound.of(name)
    return upload
