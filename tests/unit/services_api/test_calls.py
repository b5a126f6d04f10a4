"""A fault of ours is told by its request id, and the log has the rest under it."""

import asyncio
import json
import logging
from typing import Any

import grpc
import pytest

from services.api.calls import refuse
from services.api.methods import PUBLIC_FILES, methods_of
from services.logs import JsonFormatter


class Aborted(Exception):
    """What a call ends with."""


class OneCall:
    """The context of a call, as far as refusing it goes."""

    async def abort(self, code: grpc.StatusCode, message: str, trailing_metadata: Any) -> None:
        """End the call."""
        raise Aborted(code, message)


def test_the_log_has_the_method_and_the_request_id_of_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    method = next(method for method in methods_of(PUBLIC_FILES) if method.rpc == "GetJob")
    with caplog.at_level(logging.ERROR), pytest.raises(Aborted) as told:
        asyncio.run(refuse(OneCall(), ZeroDivisionError("a secret"), method=method, request_id="r-1"))
    code, message = told.value.args
    line = json.loads(JsonFormatter().format(caplog.records[0]))
    assert code is grpc.StatusCode.INTERNAL and "r-1" in message and "a secret" not in message
    assert (line["method"], line["request_id"]) == ("tutelage.v1.Jobs/GetJob", "r-1")
    assert "ZeroDivisionError: a secret" in line["exception"]
