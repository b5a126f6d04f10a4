"""The line to the supervisor: a pipe that takes one word, and sometimes a job, a line."""

import contextlib
import os
import re

# Nothing but a UUID passes: a forged bell can make the supervisor ask for a job that is not there, and no more.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Line:
    """Writes to the inherited pipe. It never waits: when the supervisor does not read, the bell is lost."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    def ring(self, job_id: object) -> bool:
        """Passes on the id of a job; False if it is none."""
        if not isinstance(job_id, str) or not _UUID.fullmatch(job_id):
            return False
        self._write(f"bell {job_id}\n")
        return True

    def alive(self) -> None:
        """Says that the way from the broker to here is open, or that the broker is known to be away."""
        self._write("alive\n")

    def _write(self, text: str) -> None:
        # Shorter than PIPE_BUF: it is written whole or not at all.
        with contextlib.suppress(BlockingIOError):
            os.write(self._fd, text.encode("ascii"))
