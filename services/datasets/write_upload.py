"""Keeps bytes of an upload, a part at a time.

A part is stored first and counted then, under the row of the upload: `received_bytes` is the truth. Each try has its
own key, so that two writers of the same offset never touch each other's bytes; the one that comes second is told
where the upload stands.
"""

from services.datasets.get_upload import find_upload, lock_upload
from services.domain.datasets import Upload, UploadPart, part_key
from services.domain.errors import InvalidField, WrongOffset, WrongState
from services.domain.projects import Caller
from services.ports import House, store_errors


def write_part(house: House, *, caller: Caller, name: str, offset_bytes: int, data: bytes) -> Upload:
    """Store some bytes at an offset, and return the upload as it stands then.

    Raises: NotFound, WrongState if it is finished, WrongOffset, InvalidField for more bytes than declared, NoSpace.
    """
    with house.storage.read() as uow:
        upload = find_upload(uow, caller=caller, name=name)
    check_place(upload, offset_bytes=offset_bytes, size_bytes=len(data))
    if not data:
        return upload
    number = upload.parts + 1
    key = part_key(upload.uid, number=number, mark=house.chance.uid()[:8])
    with store_errors():
        house.store.put(key, data)
    part = UploadPart(number=number, key=key, offset_bytes=offset_bytes, size_bytes=len(data))
    try:
        return _count(house, caller=caller, name=name, part=part)
    except WrongOffset:
        house.store.delete(key)
        raise


def check_place(upload: Upload, *, offset_bytes: int, size_bytes: int) -> None:
    """Check that bytes may be added there. Raises: WrongState, WrongOffset, InvalidField."""
    if upload.finished:
        raise WrongState.of(f"{upload.name} is finished: it is {upload.dataset} now", state="FINISHED")
    if offset_bytes != upload.received_bytes:
        raise WrongOffset.of(offset=offset_bytes, received_bytes=upload.received_bytes)
    end = offset_bytes + size_bytes
    if end > upload.size_bytes:
        words = f"would make {end:,} bytes, but the upload was declared with {upload.size_bytes:,}"
        raise InvalidField.of("data", words)


def _count(house: House, *, caller: Caller, name: str, part: UploadPart) -> Upload:
    with house.storage.write() as uow:
        upload = lock_upload(uow, caller=caller, name=name)
        check_place(upload, offset_bytes=part.offset_bytes, size_bytes=part.size_bytes)
        uow.uploads.add_part(upload.uid, part)
        counted = uow.uploads.find(caller.project_id, upload.uid)
        uow.commit()
    return counted or upload
