"""How the asyncio client dials, sleeps and reads files. `_blocking` keeps the same promise for the blocking client."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc.aio

Result = TypeVar("Result")
sleep = asyncio.sleep


def open_channel(target: str, *, credentials: Any, options: Sequence[tuple[str, Any]]) -> Any:
    """Returns a channel; nothing is sent before the first call."""
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


async def in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Runs a function that reads files where it holds nobody up."""
    return await asyncio.to_thread(function, *arguments)
