"""What a trainer is made of: two that were started from the same are as good as each other."""

import contextlib
import importlib.util
import pathlib
import shutil
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_OUR_PACKAGES = ("artifacts", "trainer_worker", "tutelage", "tutelage_internal")


@dataclass(frozen=True)
class Outfit:
    """The environment of a trainer, and the state of the files that it loads."""

    environment: Mapping[str, str]
    files: Mapping[str, tuple[int, int]]  # size in bytes and time of the last change, by path


def outfit(command: Sequence[str], environment: Mapping[str, str]) -> Outfit:
    """What a trainer would be made of now.

    An installation or removal of any package shows in the folder of packages; a change of our own code, which may lie
    anywhere, in its files.
    """
    return Outfit(environment, {str(path): state for path in _files(command) if (state := _state(path)) is not None})


def _files(command: Sequence[str]) -> Iterator[pathlib.Path]:
    paths = sysconfig.get_paths()
    yield from {pathlib.Path(paths["purelib"]), pathlib.Path(paths["platlib"])}
    yield from (pathlib.Path(shutil.which(word) or word) for word in command)
    for package in _OUR_PACKAGES:
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or ()) if found is not None else ():
            yield from pathlib.Path(folder).rglob("*.py")


def _state(path: pathlib.Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        facts = path.stat()
        return facts.st_size, facts.st_mtime_ns
    return None
