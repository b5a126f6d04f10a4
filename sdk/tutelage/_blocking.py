"""How the blocking client dials, sleeps and reads files. `_aio` keeps the same promise for the asyncio client."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc

Result = TypeVar("Result")
sleep = time.sleep


def open_channel(target: str, *, credentials: Any, options: Sequence[tuple[str, Any]]) -> Any:
    """Returns a channel; nothing is sent before the first call."""
    if credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, credentials, options=options)


def in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Runs a function that reads files; here the caller waits for it anyway."""
    return function(*arguments)
