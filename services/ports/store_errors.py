"""What the artifact store says when it cannot, in the words of the house."""

import contextlib
from collections.abc import Iterator

import artifacts
from services.domain.errors import NoSpace, Unavailable

RETRY_AFTER_S = 1.0


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Turn a full or silent store into a refusal; anything else is a fault of ours and passes."""
    try:
        yield
    except artifacts.NoSpace as error:
        raise NoSpace(
            "the artifact store has no room left; what has arrived is kept, go on when there is room"
        ) from error
    except artifacts.StoreUnavailable as error:
        raise Unavailable("the artifact store does not answer just now", retry_after_s=RETRY_AFTER_S) from error
