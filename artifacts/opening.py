"""From a URL to a store."""

import datetime
import os
import pathlib
import urllib.parse

from artifacts.directory import DirectoryStore
from artifacts.errors import InvalidStoreUrl
from artifacts.promise import Store

# A trainer waits for its store at a checkpoint: better an error to retry at the next one than a minute without steps.
RETRY = {"max_retries": 6, "retry_timeout": datetime.timedelta(seconds=60)}
PARAMETERS = {"endpoint", "region"}
REGION = "us-east-1"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def open_store(url: str) -> Store:
    """Returns the store that a URL names, without touching it yet.

    `file:///absolute/folder`, or `s3://bucket/prefix?endpoint=http://host:port&region=name` with credentials in the
    environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and the region too if the URL names none (AWS_REGION, then
    AWS_DEFAULT_REGION). Raises: InvalidStoreUrl.
    """
    parts = _checked(url)
    if parts.scheme == "file":
        return DirectoryStore(_folder(parts))
    return _bucket(parts)


def check_store_url(url: str) -> None:
    """Raises: InvalidStoreUrl as `open_store` would, without what opening a bucket costs."""
    _checked(url)


def _checked(url: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise InvalidStoreUrl(f"it cannot be read: {error}") from None
    if parts.scheme == "file":
        _folder(parts)
    elif parts.scheme == "s3":
        _query(parts)
    else:
        scheme = parts.scheme or "a plain path"
        raise InvalidStoreUrl(f"a store is file:///folder or s3://bucket/prefix, not {scheme!r}")
    return parts


def _folder(parts: urllib.parse.SplitResult) -> pathlib.Path:
    if parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise InvalidStoreUrl("a folder is written file:///absolute/path, with three slashes, nothing after the path")
    return pathlib.Path(urllib.parse.unquote(parts.path))


def _query(parts: urllib.parse.SplitResult) -> dict[str, str]:
    query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    if not parts.netloc or parts.fragment or "@" in parts.netloc or set(query) - PARAMETERS:
        raise InvalidStoreUrl(
            "a bucket is written s3://bucket/prefix, with ?endpoint= and &region= if it needs them; "
            "credentials come from the environment"
        )
    if "endpoint" in query and not query["endpoint"].startswith(("http://", "https://")):
        raise InvalidStoreUrl("the endpoint of a bucket is written http://host:port or https://host:port")
    return query


def _region(query: dict[str, str]) -> str:
    """The region in the URL, else that of the environment, as Amazon's own tools read it."""
    named = [query.get("region"), *(os.environ.get(variable) for variable in REGION_VARIABLES), REGION]
    return next(region for region in named if region)


def _bucket(parts: urllib.parse.SplitResult) -> Store:
    # Imported here: obstore brings a runtime of 30 MB that a local store does not need.
    from obstore.store import S3Store

    from artifacts.object_storage import BucketStore

    query = _query(parts)
    options: dict[str, object] = {"region": _region(query)}
    if endpoint := query.get("endpoint"):
        options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        options |= {"client_options": {"allow_http": endpoint.startswith("http://")}}
    prefix = parts.path.strip("/") or None
    store = S3Store(parts.netloc, prefix=prefix, copy_if_not_exists="multipart", retry_config=RETRY, **options)  # type: ignore[arg-type]
    return BucketStore(store)
