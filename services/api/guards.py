"""Who may call what: callers of the public language by permission, rooms of the house by their secret.

A method without a permission, or without a room, is served to nobody: the server does not start with one.
"""

import dataclasses
from collections.abc import Callable, Mapping

from services.api.calls import REQUEST_ID_CHARACTERS_MAX, request_id_of
from services.api.methods import Method
from services.api.principals import Claim, Metadata, check_room, read_principal
from services.domain.errors import InvalidKey, MissingPermission
from services.domain.projects import Caller
from services.ports import House
from services.projects.authenticate import identify
from tutelage_internal.v1 import options_pb2

SAMPLING = "/tutelage.v1.Sampling/"
SAMPLE_PERMISSION = "models.sample"
INSPECTION = "/tutelage.v1.Inspection/"
INSPECT_PERMISSION = "jobs.read"
# The file of each room's secret.
ROOM_NAMES: Mapping[int, str] = {
    options_pb2.ROOM_GATEWAY: "gateway",
    options_pb2.ROOM_WORKER: "worker",
    options_pb2.ROOM_SAMPLER: "sampler",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Secrets:
    """What proves who calls: the gateway's signing key, and the secret of each room by its number in the proto."""

    principal: bytes = dataclasses.field(repr=False)
    rooms: Mapping[int, bytes] = dataclasses.field(repr=False)


class CallerGuard:
    """Guards the public language: a signed principal for this very method, a key that works, a role that may."""

    def __init__(self, *, house: House, secrets: Secrets) -> None:
        self._house = house
        self._secrets = secrets

    def recognise(self, method: Method, metadata: Metadata) -> Claim:
        """See `services.api.calls.Guard`."""
        claim = read_principal(metadata, secret=self._secrets.principal, now=self._house.clock.now())
        if claim.method != method.path:
            raise InvalidKey("the principal of the call is for another method")
        return claim

    def admit(self, method: Method, claim: Claim) -> Caller:
        """See `services.api.calls.Guard`. The role is that of the key in SQL, whatever the principal said."""
        return admit_caller(self._house, claim, method=method.name, permission=method.permission)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """A call of a room; the others admit the visitor for whom the sampler asks, to sample or to look into a run."""

    request_id: str
    sampling_caller: Callable[[], Caller]
    inspecting_caller: Callable[[], Caller]


class RoomGuard:
    """Guards the internal language: the one room that the proto names, by its secret."""

    def __init__(self, *, house: House, secrets: Secrets) -> None:
        self._house = house
        self._secrets = secrets

    def recognise(self, method: Method, metadata: Metadata) -> Claim:
        """See `services.api.calls.Guard`."""
        check_room(metadata, room=method.room, secrets=self._secrets.rooms)
        return Claim(
            key_id="", project_id="", method=method.path, request_id=request_id_of(metadata), metadata=metadata
        )

    def admit(self, method: Method, claim: Claim) -> Visit:
        """See `services.api.calls.Guard`."""
        return Visit(
            request_id=claim.request_id,
            sampling_caller=lambda: self._visitor(claim, service=SAMPLING, permission=SAMPLE_PERMISSION),
            inspecting_caller=lambda: self._visitor(claim, service=INSPECTION, permission=INSPECT_PERMISSION),
        )

    def _visitor(self, visit: Claim, *, service: str, permission: str) -> Caller:
        claim = read_principal(visit.metadata, secret=self._secrets.principal, now=self._house.clock.now())
        if not claim.method.startswith(service):
            raise InvalidKey(f"the principal of the call is not for {service.strip('/')}")
        return admit_caller(self._house, claim, method=claim.method.lstrip("/"), permission=permission)


def admit_caller(house: House, claim: Claim, *, method: str, permission: str) -> Caller:
    """Return the caller whose key works and whose role holds the permission. Raises: InvalidKey, MissingPermission."""
    request_id = claim.request_id[:REQUEST_ID_CHARACTERS_MAX] or house.chance.uid()
    caller = identify(house, key_id=claim.key_id, project_id=claim.project_id, method=method, request_id=request_id)
    if not permission or permission not in caller.key.permissions:
        raise MissingPermission.of(permission, role=caller.role.value)
    return caller
