"""Errors that a caller can catch: one class a gRPC code, and a few of the library's own.

TutelageError
├── one class a code      InvalidArgument, NotFound, PermissionDenied, Unavailable …
├── NotConfigured         no address or no key was found
├── JobFailed             the job that was waited for ended as FAILED
├── JobCancelled          … as CANCELLED
└── WaitTimeout           the job was not over in time; it goes on
"""

# ruff: noqa: N818 - a caller catches tutelage.NotFound, named like the code of the service

import dataclasses
from collections.abc import Mapping
from typing import ClassVar


@dataclasses.dataclass(frozen=True)
class FieldViolation:
    """One wrong field of a request: its full path, such as `spec.architecture.heads`, and what would be right."""

    field: str
    description: str


@dataclasses.dataclass(frozen=True)
class ErrorDetails:
    """What an error of the service says beside its message."""

    reason: str = ""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    field_violations: tuple[FieldViolation, ...] = ()
    retry_after_s: float | None = None
    request_id: str = ""
    from_service: bool = False


class TutelageError(Exception):
    """Something went wrong.

    `code` is the gRPC code's name, or empty for an error of the library's own; `reason` is a stable name to branch on
    (`ErrorReason` in the API reference); `retry_after_s` says in how many seconds to try again, if the service knows.
    """

    code: ClassVar[str] = ""

    def __init__(self, message: str, *, details: ErrorDetails | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or ErrorDetails()

    @property
    def reason(self) -> str:
        """A stable name for what went wrong, such as NOT_FOUND or WRONG_STATE."""
        return self.details.reason

    @property
    def metadata(self) -> Mapping[str, str]:
        """Names and numbers behind the message."""
        return self.details.metadata

    @property
    def field_violations(self) -> tuple[FieldViolation, ...]:
        """Each wrong field of the request."""
        return self.details.field_violations

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which to try again, if the service said so."""
        return self.details.retry_after_s

    @property
    def request_id(self) -> str:
        """The id of the call in the logs of the service."""
        return self.details.request_id

    def __str__(self) -> str:
        fields = [f"  {violation.field}: {violation.description}" for violation in self.field_violations]
        lines = [self.message, *(line for line in fields if line.strip() not in self.message)]
        if self.code in ("INTERNAL", "UNKNOWN", "DATA_LOSS") and self.request_id not in self.message:
            lines.append(f"  request id: {self.request_id}")
        return "\n".join(lines)


class Cancelled(TutelageError):
    """The call was cancelled."""

    code = "CANCELLED"


class Unknown(TutelageError):
    """The call failed for a reason that nobody named."""

    code = "UNKNOWN"


class InvalidArgument(TutelageError):
    """The request is wrong; `field_violations` names each wrong field."""

    code = "INVALID_ARGUMENT"


class DeadlineExceeded(TutelageError):
    """The call was not answered in time."""

    code = "DEADLINE_EXCEEDED"


class NotFound(TutelageError):
    """There is no such resource in this project."""

    code = "NOT_FOUND"


class AlreadyExists(TutelageError):
    """The id is taken."""

    code = "ALREADY_EXISTS"


class PermissionDenied(TutelageError):
    """The role of this key does not allow the call."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(TutelageError):
    """A quota or a limit is reached; `retry_after_s` may say when to try again."""

    code = "RESOURCE_EXHAUSTED"


class FailedPrecondition(TutelageError):
    """The resource is in a state that does not allow the call."""

    code = "FAILED_PRECONDITION"


class Aborted(TutelageError):
    """Somebody else changed the resource at the same time."""

    code = "ABORTED"


class OutOfRange(TutelageError):
    """The call continued at a place that is not where the service stands."""

    code = "OUT_OF_RANGE"


class Unimplemented(TutelageError):
    """The service does not know this method: it may be older than the client."""

    code = "UNIMPLEMENTED"


class Internal(TutelageError):
    """A fault of the service; report the request id."""

    code = "INTERNAL"


class Unavailable(TutelageError):
    """The service cannot be reached."""

    code = "UNAVAILABLE"


class DataLoss(TutelageError):
    """Stored data is damaged."""

    code = "DATA_LOSS"


class Unauthenticated(TutelageError):
    """There is no key, or it is unknown, expired or revoked."""

    code = "UNAUTHENTICATED"


class NotConfigured(TutelageError):
    """No address or no key was found."""


class JobFailed(TutelageError):
    """The job ended as FAILED; the message holds the reason and what would help."""


class JobCancelled(TutelageError):
    """The job ended as CANCELLED."""


class WaitTimeout(TutelageError, TimeoutError):
    """The job was not over in time. It goes on."""


BY_CODE: Mapping[str, type[TutelageError]] = {
    kind.code: kind
    for kind in (
        Aborted,
        AlreadyExists,
        Cancelled,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        NotFound,
        OutOfRange,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Unknown,
    )
}


def local_refusal(field: str, description: str) -> InvalidArgument:
    """Returns an error about one argument that the library itself refuses, before anything is sent."""
    violation = FieldViolation(field, description)
    return InvalidArgument(f"{field}: {description}", details=ErrorDetails(field_violations=(violation,)))
