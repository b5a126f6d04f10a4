"""Projects, keys, and the record of what was done."""

import dataclasses
import datetime

from tutelage._values.value import Value, WireEnum


class Role(WireEnum):
    """What a key may do."""

    UNSPECIFIED = "UNSPECIFIED"
    """Refused."""
    ADMIN = "ADMIN"
    """Everything in the project, keys included."""
    TRAINER = "TRAINER"
    """Upload, train, sample and steer jobs."""
    REVIEWER = "REVIEWER"
    """See review items, and nothing else of the project."""
    VIEWER = "VIEWER"
    """Read everything but keys and the audit record; sample."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project(Value):
    """A group of people who share datasets, jobs and models."""

    name: str
    """`projects/{project}`."""
    uid: str
    """A UUID that is never used again."""
    create_time: datetime.datetime | None
    """When it was made."""
    requests_per_second: float
    """Calls per second that the gateway admits, averaged."""
    streams_max: int
    """Streams that may be open at the same time, on one gateway."""
    open_jobs_max: int
    """Jobs that may wait or run at the same time."""
    running_jobs_max: int
    """Jobs that may hold a worker at the same time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiKey(Value):
    """A secret that acts with a role in a project."""

    name: str
    """`projects/{project}/apiKeys/{key}`."""
    display_name: str
    """What people call it; at most 100 characters."""
    role: Role
    """What it may do."""
    create_time: datetime.datetime | None
    """When it was made."""
    expire_time: datetime.datetime | None
    """When it stops to work; unset means never."""
    revoke_time: datetime.datetime | None
    """When it was revoked."""
    last_use_time: datetime.datetime | None
    """When it was last used, to the minute."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller(Value):
    """Who is calling."""

    api_key: str
    """The key, `projects/{project}/apiKeys/{key}`."""
    project: str
    """Its project, `projects/{project}`."""
    role: Role
    """Its role."""
    permissions: tuple[str, ...]
    """What the role may do."""
    expire_time: datetime.datetime | None
    """When the key stops to work; unset means never."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateApiKeyResponse(Value):
    """A new key."""

    api_key: ApiKey | None
    """The key."""
    secret: str
    """What the client sends as `authorization: Bearer …`. Shown once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditEntry(Value):
    """One thing that somebody did. Written together with its effect, and never changed."""

    time: datetime.datetime | None
    """When."""
    actor: str
    """The key that did it, `projects/{project}/apiKeys/{key}`."""
    method: str
    """The method, such as `tutelage.v1.Jobs/CancelJob`."""
    resource: str
    """What it was done to, by resource name."""
    request_id: str
    """The request id of the call, as in the access log."""
