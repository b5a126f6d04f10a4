# Generated from tutelage/_async/transport.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""One connection: every call goes out from here with its key, its deadline and its request id."""

import uuid
from collections.abc import Generator
from typing import Any

import grpc

from tutelage import _blocking as colour
from tutelage import _channel
from tutelage._connection import Connection
from tutelage._error_table import to_tutelage_error
from tutelage._errors import TutelageError
from tutelage._retry import RETRY_S, Backoff, Patience, may_call_again

TIMEOUT_S = 30.0


class Transport:
    """Calls methods of the service by name. The channel is opened by the first call, on the loop that makes it."""

    def __init__(self, connection: Connection, *, timeout_s: float = TIMEOUT_S, retry_s: float = RETRY_S) -> None:
        self.connection = connection
        self.timeout_s = timeout_s
        self.retry_s = retry_s
        self._channel: Any = None
        self._stubs: dict[str, Any] = {}

    def call(self, service: str, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """Calls a unary method, again if that is safe and useful, and returns its answer.

        Every mutation carries a request_id, so that each unary call may be repeated. `timeout` is in seconds and covers
        all tries. Raises: the TutelageError for the status.
        """
        limit = Patience(self.timeout_s if timeout is None else timeout)
        patience, backoff = Patience(self.retry_s), Backoff()
        request_id = str(uuid.uuid4())
        while True:
            try:
                multicallable = self.method(service, method)
                return multicallable(request, timeout=limit.left_s(), metadata=self.metadata(request_id))
            except grpc.RpcError as error:
                failure = self.translate(error, request_id)
                wait_s = backoff.next_wait_s(failure)
                if not (may_call_again(failure) and limit.covers(wait_s) and patience.covers(wait_s)):
                    raise failure from error
            colour.sleep(wait_s)

    def stream(self, service: str, method: str, request: Any, *, timeout: float) -> Generator[Any, None]:
        """Yields what a server stream sends, for at most `timeout` seconds; leaving it early cancels the call."""
        request_id = str(uuid.uuid4())
        call = self.method(service, method)(request, timeout=timeout, metadata=self.metadata(request_id))
        try:
            for message in call:
                yield message
        except grpc.RpcError as error:
            raise self.translate(error, request_id) from error
        finally:
            call.cancel()

    def send(self, service: str, method: str, requests: Any, *, timeout: float) -> Any:
        """Sends a client stream once and returns the answer."""
        request_id = str(uuid.uuid4())
        try:
            return self.method(service, method)(requests, timeout=timeout, metadata=self.metadata(request_id))
        except grpc.RpcError as error:
            raise self.translate(error, request_id) from error

    def method(self, service: str, method: str) -> Any:
        """Returns the callable of grpc for a method."""
        if service not in self._stubs:
            self._stubs[service] = _channel.stub_of(service)(self.open())
        return getattr(self._stubs[service], method)

    def open(self) -> Any:
        """Returns the channel, opened if it is not yet."""
        if self._channel is None:
            credentials = _channel.credentials_of(self.connection)
            target = self.connection.target
            self._channel = colour.open_channel(target, credentials=credentials, options=_channel.OPTIONS)
        return self._channel

    def metadata(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """Returns what goes with every call."""
        return (("authorization", f"Bearer {self.connection.api_key}"), ("x-request-id", request_id))

    def translate(self, error: Any, request_id: str) -> TutelageError:
        """Returns the library's error."""
        return to_tutelage_error(error, request_id=request_id, address=self.connection.address)

    def close(self) -> None:
        """Closes the channel; open streams end."""
        channel, self._channel = self._channel, None
        self._stubs.clear()
        if channel is not None:
            channel.close()
