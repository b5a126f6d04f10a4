"""Facts wait here, numbered and in order, until services have appended them."""

import collections
import os
import pathlib
import threading

from tutelage_internal.v1 import facts_pb2

MEMORY_BYTES_MAX = 4 * 1024 * 1024  # about 20,000 metrics: minutes of an outage without touching the disk
_LENGTH_BYTES = 4


class SpoolError(Exception):
    """The spool file cannot be read back."""


class FactSpool:
    """The facts of one attempt that are not acknowledged yet: the oldest in memory, the rest in an append-only file.

    The file only relieves memory during an outage; facts of a dead supervisor are worthless, because its trainers died
    with it, so nothing is synced. When the file is full, `append` refuses, and the reader stops reading the trainer's
    pipe. The file begins anew whenever everything in it has been read back.
    """

    def __init__(self, path: pathlib.Path, *, file_bytes_max: int, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self._path = path
        self._file_bytes_max, self._memory_bytes_max = file_bytes_max, memory_bytes_max
        self._changed = threading.Condition()
        self._memory: collections.deque[tuple[int, bytes]] = collections.deque()
        self._memory_bytes = 0
        self._fd = -1
        self._read_at = self._write_at = 0
        self._closed = False
        self.last_seq = 0
        self.acknowledged_seq = 0

    def append(self, fact: facts_pb2.Fact) -> bool:
        """Gives the fact its number and keeps it. False: no room, nothing happened."""
        with self._changed:
            fact.seq = self.last_seq + 1
            body = fact.SerializeToString()
            if not self._store(fact.seq, body):
                return False
            self.last_seq = fact.seq
            self._changed.notify_all()
            return True

    def wait_for_change(self, timeout_s: float) -> None:
        """Returns when a fact was appended or acknowledged, or after the time."""
        with self._changed:
            if not self._closed:
                self._changed.wait(timeout_s)

    def batch(self, *, facts_max: int, bytes_max: int) -> list[facts_pb2.Fact]:
        """The oldest unacknowledged facts; they stay. At least one, if there is one."""
        with self._changed:
            chosen: list[facts_pb2.Fact] = []
            size = 0
            for _, body in self._memory:
                size += len(body)
                if chosen and (len(chosen) >= facts_max or size > bytes_max):
                    break
                chosen.append(facts_pb2.Fact.FromString(body))
            return chosen

    def pending(self) -> int:
        """Number of facts not acknowledged."""
        return self.last_seq - self.acknowledged_seq

    def acknowledge(self, seq: int) -> None:
        """Forgets the facts up to `seq`. An older number changes nothing. Raises SpoolError."""
        with self._changed:
            self.acknowledged_seq = max(self.acknowledged_seq, min(seq, self.last_seq))
            while self._memory and self._memory[0][0] <= self.acknowledged_seq:
                self._memory_bytes -= len(self._memory.popleft()[1])
                if not self._memory:
                    self._refill()
            self._changed.notify_all()

    def close(self) -> None:
        """Gives up everything and removes the file."""
        with self._changed:
            self._closed = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                self._path.unlink(missing_ok=True)
            self._changed.notify_all()

    def _store(self, seq: int, body: bytes) -> bool:
        if self._read_at < self._write_at or self._memory_bytes + len(body) > self._memory_bytes_max:
            return self._spill(body)
        self._memory.append((seq, body))
        self._memory_bytes += len(body)
        return True

    def _spill(self, body: bytes) -> bool:
        record = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        if self._closed or self._write_at + len(record) > self._file_bytes_max:
            return False
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            if os.pwrite(self._fd, record, self._write_at) != len(record):
                return False  # a full disk writes a part; the next try overwrites it
        except OSError:
            return False
        self._write_at += len(record)
        return True

    def _refill(self) -> None:
        while self._read_at < self._write_at and self._memory_bytes < self._memory_bytes_max // 2:
            body = self._read_record()
            self._memory.append((facts_pb2.Fact.FromString(body).seq, body))
            self._memory_bytes += len(body)
        if self._fd >= 0 and self._read_at == self._write_at:
            self._read_at = self._write_at = 0
            os.ftruncate(self._fd, 0)

    def _read_record(self) -> bytes:
        size = int.from_bytes(os.pread(self._fd, _LENGTH_BYTES, self._read_at), "big")
        body = os.pread(self._fd, size, self._read_at + _LENGTH_BYTES)
        if size == 0 or len(body) != size:
            raise SpoolError(f"{self._path} was changed by somebody else at byte {self._read_at}")
        self._read_at += _LENGTH_BYTES + size
        return body
