"""Messages between a trainer and its supervisor: four bytes of length, then protobuf."""

import os
import struct
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from tutelage_internal.v1 import pipe_pb2

LENGTH = struct.Struct(">I")
MESSAGE_BYTES_MAX = 4 << 20


class SupervisorGone(Exception):
    """The other end of the pipe is closed, or speaks no protobuf. There is nobody left to tell."""


class Reader:
    """Takes messages from a file descriptor; nothing is read ahead that another reader would miss."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read(self) -> pipe_pb2.ToTrainer:
        """The next message, waited for. Raises: SupervisorGone at the end of the pipe."""
        (size,) = LENGTH.unpack(self.read_exactly(LENGTH.size))
        if size > MESSAGE_BYTES_MAX:
            raise SupervisorGone(f"a message of {size} bytes was announced, at most {MESSAGE_BYTES_MAX} are allowed")
        try:
            return pipe_pb2.ToTrainer.FromString(self.read_exactly(size))
        except DecodeError as error:
            raise SupervisorGone(f"a message of {size} bytes is no protobuf") from error

    def read_exactly(self, size: int) -> bytes:
        return b"".join(self.blocks(size))

    def blocks(self, size: int) -> Iterator[bytes]:
        while size:
            block = os.read(self.descriptor, size)
            if not block:
                raise SupervisorGone("the pipe from the supervisor has ended")
            size -= len(block)
            yield block


class Writer:
    """Puts messages into a file descriptor, whole."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, message: pipe_pb2.FromTrainer) -> None:
        """Raises: SupervisorGone if nobody reads."""
        body = message.SerializeToString()
        if len(body) > MESSAGE_BYTES_MAX:
            raise ValueError(f"a message of {len(body)} bytes does not fit into {MESSAGE_BYTES_MAX}")
        left = memoryview(LENGTH.pack(len(body)) + body)
        try:
            while left:
                left = left[os.write(self.descriptor, left) :]
        except BrokenPipeError as error:
            raise SupervisorGone("the supervisor no longer reads") from error
