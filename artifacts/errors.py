"""What can go wrong with a store.

ArtifactError
├── NotStored           nothing complete lies under the key
├── AlreadyStored       something lies under the key, and nothing is ever overwritten
├── CorruptFileSet      the bytes are not those of the manifest
├── NoSpace             the disk or the quota is full
├── StoreUnavailable    the store does not answer, or refuses the credentials
├── InvalidKey          the key is outside the grammar
└── InvalidStoreUrl     the URL names no store
"""


class ArtifactError(Exception):
    """The store could not do what was asked."""


class NotStored(ArtifactError):
    """Nothing is stored under this key."""


class AlreadyStored(ArtifactError):
    """This key is taken."""


class CorruptFileSet(ArtifactError):
    """The bytes of a file set are not those that were written."""


class NoSpace(ArtifactError):
    """There is no room left."""


class StoreUnavailable(ArtifactError):
    """The store cannot be used just now."""


class InvalidKey(ArtifactError, ValueError):
    """A key or a file name is outside the grammar."""


class InvalidStoreUrl(ArtifactError, ValueError):
    """The URL does not name a store."""
