"""One line of JSON for every call, and never a secret in it."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import TextIO

from gateway.calls import Call
from gateway.interceptors import Proceed

PATH_CHARACTERS_MAX = 200


class AccessLog:
    """Writes the lines. Metadata and messages are not in them: that is where secrets travel."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Notes how the call ended, however it ended."""
        started = time.monotonic()
        try:
            await proceed(call)
        finally:
            line = access_line(call, duration_s=time.monotonic() - started, now=datetime.now(UTC))
            self._stream.write(line + "\n")


def access_line(call: Call, *, duration_s: float, now: datetime) -> str:
    """Returns the line for a call that is over."""
    return json.dumps(
        {
            "time": now.isoformat(timespec="milliseconds"),
            "level": "info",
            "room": "gateway",
            "message": "call",
            "method": call.path[:PATH_CHARACTERS_MAX],
            "code": call.code.name,
            "duration_ms": round(duration_s * 1000, 3),
            "project": call.caller.project_id if call.caller else "",
            "key_id": call.caller.key_id if call.caller else "",
            "request_id": call.request_id,
            "peer": call.peer,
            "received_bytes": call.received_bytes,
            "sent_bytes": call.sent_bytes,
        },
        separators=(",", ":"),
    )
