"""The last words that a trainer wrote to its standard error."""

import os
import re
import sys
import threading

TAIL_BYTES_MAX = 64 * 1024
_MESSAGE_CHARACTERS_MAX = 2000  # a stack dump of a dozen threads fits; a message is no log file
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(r"[^\n\t\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]")


class StderrTail:
    """Passes a trainer's standard error on to ours, and keeps the last 64 KiB of it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._tail = bytearray()
        self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
        self._thread.start()

    def text(self, *, wait_s: float = 1.0) -> str:
        """The end of it, fit for a message; waits a little for a dead trainer's last bytes."""
        self._thread.join(wait_s)
        return readable(bytes(self._tail))

    def _run(self) -> None:
        line = b""
        while data := _read(self._fd):
            self._tail += data
            del self._tail[:-TAIL_BYTES_MAX]
            whole, newline, line = (line + data).rpartition(b"\n")
            _pass_on(whole + newline)
            if len(line) > TAIL_BYTES_MAX:
                _pass_on(line + b"\n")
                line = b""
        _pass_on(line + b"\n" if line else b"")
        os.close(self._fd)


def readable(data: bytes) -> str:
    """The end of some output without colours, control characters and broken UTF-8."""
    text = _ESCAPES.sub("", data.decode("utf-8", errors="replace")).replace("\r", "\n")
    return _UNPRINTABLE.sub("", text).strip()[-_MESSAGE_CHARACTERS_MAX:]


def _pass_on(lines: bytes) -> None:
    """Whole lines in one write, so that those of several trainers and our own do not mix."""
    if lines:
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 64 * 1024)
    except OSError:
        return b""
