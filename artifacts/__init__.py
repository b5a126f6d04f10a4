"""Immutable, hashed files in a directory or an S3 bucket, behind one promise.

Bytes are stored once under a key and never change. A file set (a checkpoint) is stored as a whole or not at all, and
its manifest holds the hash of every file. Nothing counts because it lies here: a file exists when a committed row says
so.
"""

from artifacts.errors import (
    AlreadyStored,
    ArtifactError,
    CorruptFileSet,
    InvalidKey,
    InvalidStoreUrl,
    NoSpace,
    NotStored,
    StoreUnavailable,
)
from artifacts.opening import check_store_url, open_store
from artifacts.promise import FileSet, Store, Stored, StoredFile

__all__ = [
    "AlreadyStored",
    "ArtifactError",
    "CorruptFileSet",
    "FileSet",
    "InvalidKey",
    "InvalidStoreUrl",
    "NoSpace",
    "NotStored",
    "Store",
    "StoreUnavailable",
    "Stored",
    "StoredFile",
    "check_store_url",
    "open_store",
]
