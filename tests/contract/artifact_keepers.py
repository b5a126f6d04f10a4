"""The two stores behind the promise, each with a way to damage what lies in it."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import artifacts
from tests.support import object_store

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-1],
    "grown": lambda data: data + b"\0",
    "emptied": lambda data: b"",
}


@dataclasses.dataclass(frozen=True)
class Keeper:
    """A store, the URL and environment by which another process opens it, and its vandals."""

    url: str
    environment: Mapping[str, str]
    damage: Callable[[str, Callable[[bytes], bytes]], None]
    remove: Callable[[str], None]

    def open(self) -> artifacts.Store:
        """Opens the store anew."""
        return artifacts.open_store(self.url)


def directory(root: pathlib.Path) -> Keeper:
    """Returns a store in a folder."""

    def find(name: str) -> pathlib.Path:
        (path,) = root.rglob(name)
        return path

    def damage(name: str, change: Callable[[bytes], bytes]) -> None:
        path = find(name)
        path.chmod(0o644)
        path.write_bytes(change(path.read_bytes()))

    return Keeper(root.as_uri(), {}, damage, lambda name: find(name).unlink())


def bucket(server: object_store.ObjectStoreServer, prefix: str) -> Keeper:
    """Returns a store in a bucket."""
    import obstore

    client: Any = object_store.client(server, prefix=prefix)

    def find(name: str) -> str:
        found = [item["path"] for page in obstore.list(client) for item in page]
        (path,) = (path for path in found if path.rpartition("/")[2] == name)
        return str(path)

    def damage(name: str, change: Callable[[bytes], bytes]) -> None:
        path = find(name)
        obstore.put(client, path, change(bytes(obstore.get(client, path).bytes())))

    def remove(name: str) -> None:
        obstore.delete(client, find(name))

    return Keeper(server.url(prefix), server.environment, damage, remove)
