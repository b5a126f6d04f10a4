"""API keys of the project."""

import datetime
import uuid
from collections.abc import AsyncIterator

from tutelage._async.pages import walk_pages
from tutelage._async.transport import AsyncTransport
from tutelage._errors import ErrorDetails, FieldViolation, InvalidArgument
from tutelage._names import key_name
from tutelage._values.projects import ApiKey, CreateApiKeyResponse, Role
from tutelage.v1 import projects_pb2


class AsyncKeys:
    """Makes, lists and revokes API keys; each method needs the admin role."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create(
        self,
        role: Role | str,
        *,
        display_name: str = "",
        expire_time: datetime.datetime | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> CreateApiKeyResponse:
        """Makes a key that acts with a role: admin, trainer, reviewer or viewer. Its `secret` is shown only here.

        `expire_time` needs a time zone; without it the key works until it is revoked. Raises: InvalidArgument,
        PermissionDenied.
        """
        key = projects_pb2.ApiKey(display_name=display_name, role=role_number(role))
        if expire_time is not None:
            key.expire_time.FromDatetime(expire_time.astimezone(datetime.UTC))
        request = projects_pb2.CreateApiKeyRequest(
            parent="projects/-", api_key=key, request_id=request_id or str(uuid.uuid4())
        )
        answer = await self._transport.call("Projects", "CreateApiKey", request, timeout=timeout)
        return CreateApiKeyResponse.from_message(answer)

    async def list(self, *, page_size: int = 0, timeout: float | None = None) -> AsyncIterator[ApiKey]:
        """Yields the keys of the project, newest first, without secrets."""
        request = projects_pb2.ListApiKeysRequest(parent="projects/-", page_size=page_size)
        async for message in walk_pages(self._transport, "Projects", "ListApiKeys", request, timeout=timeout):
            yield ApiKey.from_message(message)

    async def revoke(self, key: str, *, timeout: float | None = None) -> ApiKey:
        """Ends a key at once. Raises: NotFound, FailedPrecondition for the last admin key."""
        request = projects_pb2.RevokeApiKeyRequest(name=key_name(key), request_id=str(uuid.uuid4()))
        return ApiKey.from_message(await self._transport.call("Projects", "RevokeApiKey", request, timeout=timeout))


def role_number(role: Role | str) -> projects_pb2.Role.ValueType:
    """Returns the number of a role on the wire."""
    name = f"ROLE_{role.upper()}"
    if name == "ROLE_UNSPECIFIED" or name.removeprefix("ROLE_") not in Role.__members__:
        wrong = FieldViolation("role", f"{role!r} is none of admin, trainer, reviewer, viewer")
        raise InvalidArgument(f"role: {wrong.description}", details=ErrorDetails(field_violations=(wrong,)))
    return projects_pb2.Role.Value(name)
