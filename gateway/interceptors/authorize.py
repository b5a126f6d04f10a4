"""A caller may call what their role permits, and nothing else."""

import grpc

from gateway.calls import Call
from gateway.interceptors import Proceed
from gateway.refusals import refused
from tutelage.v1.errors_pb2 import ErrorReason

# The permission of what any valid key may do. It cannot be granted, so no proto can hold it by accident.
ANY_KEY = "*"


async def authorize(call: Call, proceed: Proceed) -> None:
    """Refuses the call unless the permission of its method is among those of the caller."""
    permission = call.method.permission
    assert call.caller is not None, "authorize comes after authenticate"
    # A method without a permission is served to nobody: the empty string is in no role.
    if not permission or (permission != ANY_KEY and permission not in call.caller.permissions):
        raise refused(
            grpc.StatusCode.PERMISSION_DENIED,
            ErrorReason.ERROR_REASON_MISSING_PERMISSION,
            f"The role of this key does not hold the permission {permission!r} that {call.method.name} needs.",
            metadata={"permission": permission},
        )
    await proceed(call)
