"""The language of the two pipes between a supervisor and its trainer: four bytes of length, then a message."""

from tutelage_internal.v1 import pipe_pb2

FRAME_BYTES_MAX = 4 * 1024 * 1024
_LENGTH_BYTES = 4


class PipeError(Exception):
    """The trainer does not speak the language of the pipe."""


def frame(message: pipe_pb2.ToTrainer | pipe_pb2.FromTrainer) -> bytes:
    """One message as it travels. Raises PipeError if it is longer than 4 MiB."""
    body = message.SerializeToString()
    if len(body) > FRAME_BYTES_MAX:
        raise PipeError(f"a message of {len(body)} bytes is longer than {FRAME_BYTES_MAX}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameDecoder:
    """Turns the bytes that arrive into messages, however they were cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[pipe_pb2.FromTrainer]:
        """Takes bytes and returns the messages that are complete now. Raises PipeError."""
        self._buffer += data
        messages = []
        while (body := self._next_body()) is not None:
            messages.append(_parse(body))
        return messages

    def _next_body(self) -> bytes | None:
        if len(self._buffer) < _LENGTH_BYTES:
            return None
        size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        if size > FRAME_BYTES_MAX:
            raise PipeError(f"a message of {size} bytes was announced; {FRAME_BYTES_MAX} are allowed")
        end = _LENGTH_BYTES + size
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH_BYTES:end])
        del self._buffer[:end]
        return body


def _parse(body: bytes) -> pipe_pb2.FromTrainer:
    message = pipe_pb2.FromTrainer()
    try:
        message.ParseFromString(body)
    except Exception as error:  # protobuf's DecodeError has another base class in each of its implementations
        raise PipeError(f"{len(body)} bytes are no message: {error}") from error
    if message.WhichOneof("message") is None:
        raise PipeError("a message says nothing this version understands")
    return message
