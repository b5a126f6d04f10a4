"""The grammar of keys and file names.

Segments begin with a letter or digit, so that no key is absolute, climbs with `..` or meets the store's own hidden
`.staging`; only lower-case ASCII, so that two keys never meet on a file system that ignores case.
"""

import re

from artifacts.errors import InvalidKey

SEGMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")  # 255 bytes is what file systems take; the rest is for suffixes
KEY_LENGTH_MAX = 800  # S3 ends at 1024 bytes, prefix of the bucket and hash of the file included


def check_key(key: str) -> str:
    """Returns the key itself. Raises: InvalidKey."""
    if len(key) > KEY_LENGTH_MAX or not all(SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise InvalidKey(f"not a key of the store: {key[:100]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """Returns a prefix of whole segments without its closing slash; empty means everything. Raises: InvalidKey."""
    bare = prefix.removesuffix("/")
    return check_key(bare) if bare else bare


def check_file_name(name: str) -> str:
    """Returns the name of a file inside a file set. Raises: InvalidKey."""
    if not SEGMENT.fullmatch(name):
        raise InvalidKey(f"not a file name of a file set: {name[:100]!r}")
    return name
