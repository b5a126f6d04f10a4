"""Projects, the keys that act in them, and the record of what the keys did.

A key is `tut_<12 characters>_<64 hexadecimal digits>`. The middle part is its public id, the last its secret. Only
the id and a keyed hash of the secret are stored; the secret has 256 bits, so a fast hash is enough.
"""

import dataclasses
import datetime
import enum
import hashlib
import hmac
import re

_KEY_PATTERN = re.compile(r"tut_([a-z0-9]{12})_([0-9a-f]{64})")


class Role(enum.Enum):
    """What a key may do; the table is `PERMISSIONS`."""

    ADMIN = "ADMIN"
    TRAINER = "TRAINER"
    REVIEWER = "REVIEWER"
    VIEWER = "VIEWER"


_PROJECT = frozenset({"projects.read"})
_REVIEWER = _PROJECT | {"reviews.vote"}
_SEEING = {
    "jobs.read",
    "datasets.read",
    "models.read",
    "models.sample",
    "cluster.read",
    "reviews.read",
    "feedback.read",
}
_VIEWER = _PROJECT | _SEEING
_JOBS = {"jobs.create", "jobs.control", "datasets.create", "datasets.delete", "models.promote"}
_FEEDBACK = {"reviews.vote", "reviews.manage", "feedback.submit", "feedback.manage"}
_TRAINER = _VIEWER | _JOBS | _FEEDBACK
_ADMIN = _TRAINER | {"keys.manage", "audit.read"}

PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.ADMIN: _ADMIN,
    Role.TRAINER: _TRAINER,
    Role.REVIEWER: _REVIEWER,
    Role.VIEWER: _VIEWER,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """A group of people who share datasets, jobs and models."""

    id: str
    uid: str
    create_time: datetime.datetime
    requests_per_second: float
    streams_max: int
    open_jobs_max: int
    running_jobs_max: int

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.id}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A secret that acts with a role in a project."""

    id: str
    project_id: str
    role: Role
    create_time: datetime.datetime
    display_name: str = ""
    expire_time: datetime.datetime | None = None
    revoke_time: datetime.datetime | None = None
    last_use_time: datetime.datetime | None = None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"projects/{self.project_id}/apiKeys/{self.id}"

    @property
    def permissions(self) -> frozenset[str]:
        """What its role may do."""
        return PERMISSIONS[self.role]

    def works_at(self, time: datetime.datetime) -> bool:
        """Whether it is neither revoked nor expired at that time."""
        return self.revoke_time is None and (self.expire_time is None or time < self.expire_time)

    def used_at(self, time: datetime.datetime) -> bool:
        """Whether a use at that time is already recorded, to the minute."""
        return self.last_use_time is not None and self.last_use_time >= time.replace(second=0, microsecond=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """Who makes a call: a key that works, and the id of the call."""

    key: ApiKey
    method: str
    request_id: str = ""

    @property
    def project_id(self) -> str:
        """The project that the key acts in."""
        return self.key.project_id

    @property
    def project(self) -> str:
        """Resource name of that project."""
        return f"projects/{self.key.project_id}"

    @property
    def api_key(self) -> str:
        """Resource name of the key; what an effect of the call is recorded under."""
        return self.key.name

    @property
    def role(self) -> Role:
        """The role of the key."""
        return self.key.role

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the role may do, in order."""
        return tuple(sorted(self.key.permissions))

    @property
    def expire_time(self) -> datetime.datetime | None:
        """When the key stops to work."""
        return self.key.expire_time

    def did(self, resource: str, *, time: datetime.datetime) -> "AuditEntry":
        """Return the record of this call's effect on a resource."""
        return AuditEntry(
            time=time, actor=self.api_key, method=self.method, resource=resource, request_id=self.request_id
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did; written with its effect and never changed."""

    time: datetime.datetime
    actor: str
    method: str
    resource: str
    request_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewApiKey:
    """A key just made; `secret` is what the client sends, and None when the call was a repetition."""

    api_key: ApiKey
    secret: str | None


def split_api_key(text: str) -> tuple[str, str] | None:
    """Return the id and the secret of a well-formed key, or None."""
    match = _KEY_PATTERN.fullmatch(text)
    return (match[1], match[2]) if match else None


def join_api_key(key_id: str, secret: str) -> str:
    """Return the key as the client sends it."""
    return f"tut_{key_id}_{secret}"


def hash_secret(secret: str, *, pepper: bytes) -> bytes:
    """Return what is stored of a secret: HMAC-SHA256 of it under the pepper of the service."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()
