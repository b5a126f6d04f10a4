"""Nobody passes without a key."""

import re

from gateway.callers import Callers
from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.refusals import invalid_key

KEY = re.compile(r"tut_[a-z0-9]{12}_[0-9a-f]{64}")


class Authenticate:
    """Finds out whom the key of a call belongs to."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Refuses the call unless its one authorization header holds a valid key."""
        call.caller = await self._callers.find(_key(call), peer=call.peer)
        await proceed(call)


def _key(call: Call) -> str:
    values = call.values("authorization")
    scheme, _, key = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    # What cannot be a key costs services no question.
    if scheme.lower() != "bearer" or not KEY.fullmatch(key):
        raise invalid_key()
    return key
