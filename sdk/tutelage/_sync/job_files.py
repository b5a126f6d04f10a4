# Generated from tutelage/_async/job_files.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The files that a job has made: listed, read, and brought to a folder."""

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable, Generator

from tutelage import _blocking as colour
from tutelage._download_target import DownloadTarget
from tutelage._errors import NotFound, TutelageError
from tutelage._names import job_name, short_name
from tutelage._retry import Backoff, Patience, is_broken_line
from tutelage._sync.transport import Transport
from tutelage._values.jobs import JobFile
from tutelage.v1 import jobs_pb2

# A stream is asked for anew after this long, so that one that fell silent without breaking is left too.
STREAM_S = 300.0
# How long to try to come back without receiving anything.
RECONNECT_S = 600.0


def list_files(transport: Transport, name: str, *, timeout: float | None) -> tuple[JobFile, ...]:
    """Returns the files of a job, by name."""
    request = jobs_pb2.ListJobFilesRequest(parent=job_name(name))
    answer = transport.call("Jobs", "ListJobFiles", request, timeout=timeout)
    return tuple(JobFile.from_message(message) for message in answer.files)


def read_file(transport: Transport, name: str, file: JobFile, *, offset_bytes: int = 0) -> Generator[bytes, None]:
    """Yields the bytes of a file from an offset on; a line that drops is resumed where it dropped."""
    backoff, patience = Backoff(), Patience(RECONNECT_S)
    while offset_bytes < file.size_bytes:
        request = jobs_pb2.ReadJobFileRequest(name=job_name(name), filename=file.filename, offset_bytes=offset_bytes)
        before = offset_bytes
        error = None
        try:
            messages = transport.stream("Jobs", "ReadJobFile", request, timeout=STREAM_S)
            with contextlib.closing(messages):
                for message in messages:
                    offset_bytes += len(message.data)
                    yield message.data
        except TutelageError as broken:
            error = broken
        if offset_bytes > before:
            backoff.reset()
            patience.renew()
        if error is not None and not is_broken_line(error):
            raise error
        if offset_bytes < file.size_bytes:
            failure = error or TutelageError(f"{file.filename} ended at byte {offset_bytes} of {file.size_bytes}")
            wait_s = backoff.next_wait_s(failure)
            if not patience.covers(wait_s):
                raise failure
            colour.sleep(wait_s)


def download_files(
    transport: Transport,
    name: str,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool,
    on_progress: Callable[[int, int], object],
    timeout: float | None,
) -> tuple[pathlib.Path, ...]:
    """Brings every file of a job to a folder and returns their paths."""
    files = list_files(transport, name, timeout=timeout)
    if not files:
        raise NotFound(f"{short_name(job_name(name))} has made no files yet; they are there once it has succeeded")
    open_target = functools.partial(DownloadTarget, pathlib.Path(folder), overwrite=overwrite)
    total, done, paths = sum(file.size_bytes for file in files), 0, []
    for file in files:
        target = colour.in_thread(open_target, file)
        try:
            on_progress(done + target.received_bytes, total)
            pieces = read_file(transport, name, file, offset_bytes=target.received_bytes)
            with contextlib.closing(pieces):
                for data in pieces:
                    colour.in_thread(target.write, data)
                    on_progress(done + target.received_bytes, total)
            paths.append(colour.in_thread(target.finish))
        finally:
            target.close()
        done += file.size_bytes
    return tuple(paths)
