"""Reading one of the files that a job has made."""

from typing import BinaryIO

from artifacts import NotStored
from services.domain.errors import InvalidField, NotFound, WrongOffset, WrongState
from services.domain.limits import FILE_CHUNK_BYTES
from services.domain.names import did_you_mean
from services.domain.projects import Caller
from services.jobs.list_job_files import complete_files, files_of
from services.jobs.own_job import find_own_job
from services.ports import House, store_errors


def read_job_file(house: House, *, caller: Caller, name: str, filename: str, offset_bytes: int = 0) -> BinaryIO:
    """Open a file of a job at an offset; the caller closes it.

    Raises: NotFound for the job and the file, InvalidField and WrongOffset for an offset outside of it, WrongState if
    the store has lost it.
    """
    if offset_bytes < 0:
        raise InvalidField.of("offset_bytes", f"must not be below 0, got {offset_bytes}")
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=name)
        complete = complete_files(uow, job)
    files = {file.name: file for file in files_of(house, job, complete)} if complete else {}
    file = files.get(filename)
    if file is None or complete is None:
        state = "" if complete else f"; it is {job.state.value}, and its files are there when it has succeeded"
        raise NotFound.of(f"{job.name} file {ascii(filename[:80])}", hint=did_you_mean(filename, files) or state)
    if offset_bytes > file.size_bytes:
        raise WrongOffset.beyond(offset=offset_bytes, size_bytes=file.size_bytes)
    try:
        with store_errors():
            return house.store.open_file(complete.artifact_prefix, file, offset=offset_bytes)
    except NotStored as error:
        raise WrongState.of(f"{filename} of {job.name} is gone from the store", state="CORRUPT") from error


def read_piece(file: BinaryIO) -> bytes:
    """Return the next bytes of a file, at most as many as one message holds; none at its end. Raises: Unavailable."""
    with store_errors():
        return file.read(FILE_CHUNK_BYTES)
