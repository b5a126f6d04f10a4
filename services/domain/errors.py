"""What the house refuses, and how it says so.

DomainError
├── InvalidField        a field is wrong; every wrong field of the request is named
├── RequestIdReused     the same request_id with another body
├── InvalidData         uploaded bytes are no usable dataset
├── NotFound            missing, or of another project: the same answer
├── AlreadyExists       the id chosen by the caller is taken
├── WrongState          the resource is in a state that does not allow this
├── WrongOffset         an upload went on at the wrong place
├── HashMismatch        the bytes are not those that were declared
├── EtagMismatch        somebody else changed the resource
├── GateClosed          something that is known speaks against promoting a version
├── SeatLost            the lease of a seat ended, and others have every seat of the item
├── InvalidKey          no key, or one that does not work
├── MissingPermission   the role does not hold the permission
├── RateLimited         too many calls; the gateway says this too
├── LimitReached        a limit of the project or the service
├── SlowReader          a watcher fell too far behind, or a stream was not read
├── Unavailable         a part of the service cannot be reached just now
├── NoSpace             there is no room to store this
├── StaleAttempt        a worker acts on an attempt that is over
└── FactGap             facts arrived with a gap

`reason` is the name in tutelage.v1.ErrorReason; services/api holds the one table from these classes to status codes.
"""

import dataclasses
from collections.abc import Iterable
from typing import ClassVar


@dataclasses.dataclass(frozen=True)
class FieldViolation:
    """One wrong field: its full path in the request, and what would be right."""

    field: str
    description: str


class DomainError(Exception):
    """A refusal with the numbers and names in it."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        metadata: dict[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata or {}
        self.violations = violations
        self.retry_after_s = retry_after_s


class InvalidField(DomainError):
    """A field of the request is wrong."""

    reason = "INVALID_FIELD"

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidField":
        """Return the refusal of one field."""
        return cls.of_all([FieldViolation(field, description)])

    @classmethod
    def of_all(cls, violations: Iterable[FieldViolation]) -> "InvalidField":
        """Return the refusal of all these fields; the message names each of them."""
        found = tuple(violations)
        return cls("; ".join(f"{each.field}: {each.description}" for each in found), violations=found)


class RequestIdReused(DomainError):
    """The request_id was used before with another request."""

    reason = "REQUEST_ID_REUSED"

    @classmethod
    def of(cls, request_id: str) -> "RequestIdReused":
        """Return the refusal of this request_id."""
        return cls(f"request_id {request_id} was used before with another request; make a new one for a new request")


class InvalidData(DomainError):
    """The uploaded data is not a usable dataset."""

    reason = "INVALID_DATA"

    @classmethod
    def at(cls, message: str, *, byte: int | None = None, row: int | None = None) -> "InvalidData":
        """Return the refusal, with the place where that is known."""
        places = {"byte": byte, "row": row}
        return cls(message, metadata={name: str(place) for name, place in places.items() if place is not None})


class NotFound(DomainError):
    """There is no such resource in this project."""

    reason = "NOT_FOUND"

    @classmethod
    def of(cls, name: str, *, hint: str = "", field: str = "name") -> "NotFound":
        """Return the same answer for what is missing and for what is foreign; `hint` knows the own project only.

        `field` is where the request names it. It is told unless it is the one thing that the request is about.
        """
        words, metadata = f"{name} does not exist in your project{hint}", {"resource": name}
        if field in ("name", "parent"):
            return cls(words, metadata=metadata)
        return cls(f"{field}: {words}", metadata=metadata, violations=(FieldViolation(field, words),))


class AlreadyExists(DomainError):
    """The id chosen by the caller is taken."""

    reason = "ALREADY_EXISTS"

    @classmethod
    def of(cls, name: str) -> "AlreadyExists":
        """Return the refusal of a name that is taken."""
        return cls(f"{name} exists already; choose another id", metadata={"resource": name})


class WrongState(DomainError):
    """The resource is in a state that does not allow this."""

    reason = "WRONG_STATE"

    @classmethod
    def of(cls, message: str, *, state: str) -> "WrongState":
        """Return the refusal with the state that causes it."""
        return cls(message, metadata={"state": state})


class WrongOffset(DomainError):
    """An upload continued, or a file was to be read, at the wrong offset."""

    reason = "WRONG_OFFSET"

    @classmethod
    def of(cls, *, offset: int, received_bytes: int) -> "WrongOffset":
        """Return the refusal with the place to continue from."""
        message = f"offset_bytes is {offset}, but {received_bytes} bytes have arrived: continue there"
        return cls(message, metadata={"received_bytes": str(received_bytes)})

    @classmethod
    def beyond(cls, *, offset: int, size_bytes: int) -> "WrongOffset":
        """Return the refusal to read beyond the end of a file."""
        message = f"offset_bytes is {offset}, but the file has {size_bytes} bytes"
        return cls(message, metadata={"size_bytes": str(size_bytes)})


class HashMismatch(DomainError):
    """The bytes received do not have the hash that was declared."""

    reason = "HASH_MISMATCH"


class EtagMismatch(DomainError):
    """The etag is not the current one."""

    reason = "ETAG_MISMATCH"


class GateClosed(DomainError):
    """Something that is known speaks against promoting the version."""

    reason = "GATE_CLOSED"

    @classmethod
    def of(cls, message: str, *, resource: str) -> "GateClosed":
        """Return the refusal of a version."""
        return cls(f"{message}; `force` with a reason moves it all the same", metadata={"resource": resource})


class SeatLost(DomainError):
    """The lease of a seat ended, and others have every seat of the item by now."""

    reason = "SEAT_LOST"

    @classmethod
    def of(cls, name: str) -> "SeatLost":
        """Return the refusal of a seat."""
        words = f"{name} was given away: its lease ended, and others have every seat of this item; take a new seat"
        return cls(words, metadata={"resource": name})


class InvalidKey(DomainError):
    """There is no key, or it is not known, expired or revoked."""

    reason = "INVALID_KEY"


class MissingPermission(DomainError):
    """The role of the key does not hold the permission."""

    reason = "MISSING_PERMISSION"

    @classmethod
    def of(cls, permission: str, *, role: str) -> "MissingPermission":
        """Return the refusal with what is missing."""
        return cls(f"the role {role} does not hold the permission {permission}", metadata={"permission": permission})


class RateLimited(DomainError):
    """The project's request rate or stream quota is used up."""

    reason = "RATE_LIMITED"


class LimitReached(DomainError):
    """A limit of the project or the service is reached."""

    reason = "LIMIT_REACHED"


class SlowReader(DomainError):
    """A reader was too slow."""

    reason = "SLOW_READER"

    @classmethod
    def of(cls, *, cursor: int) -> "SlowReader":
        """Return the refusal with the cursor to resume from."""
        return cls(
            f"the reader fell too far behind; watch again after cursor {cursor}", metadata={"cursor": str(cursor)}
        )


class Unavailable(DomainError):
    """A part of the service cannot be reached just now."""

    reason = "UNAVAILABLE"


class NoSpace(DomainError):
    """There is no room left to store this."""

    reason = "NO_SPACE"


class StaleAttempt(DomainError):
    """A worker acts on an attempt that is over."""

    reason = "STALE_ATTEMPT"

    @classmethod
    def of(cls, job_uid: str, *, epoch: int) -> "StaleAttempt":
        """Return the refusal of an attempt."""
        return cls(f"attempt {epoch} of job {job_uid} is over", metadata={"job_uid": job_uid, "epoch": str(epoch)})


class FactGap(DomainError):
    """Facts arrived with a gap."""

    reason = "FACT_GAP"

    @classmethod
    def of(cls, *, expected_seq: int, got_seq: int) -> "FactGap":
        """Return the refusal with the fact that is next."""
        return cls(f"expected fact {expected_seq}, got {got_seq}", metadata={"expected_seq": str(expected_seq)})
