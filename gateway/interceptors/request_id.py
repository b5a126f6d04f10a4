"""Every call has a request id: the client's, if it is a decent one, or one of ours."""

import re
import uuid

from gateway.calls import Call
from gateway.interceptors import Proceed

DECENT = re.compile(r"[A-Za-z0-9-]{1,64}")


async def request_id(call: Call, proceed: Proceed) -> None:
    """Gives the call its id; the answer carries it in the initial metadata and in the trailers."""
    if not call.request_id:
        call.request_id = _chosen_by_client(call) or str(uuid.uuid4())
    await proceed(call)


def _chosen_by_client(call: Call) -> str:
    values = call.values("x-request-id")
    return values[0] if len(values) == 1 and DECENT.fullmatch(values[0]) else ""
