"""The files of this repository that the rules speak of."""

import ast
import functools
import pathlib
import subprocess
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("artifacts", "embedded", "gateway", "services", "trainer_worker", "sdk/tutelage")
GENERATED = ("sdk/tutelage/v1/", "tutelage_internal/v1/", "sdk/tutelage/_sync/")
SKIPPED = {".git", "__pycache__", "build", "dist", "node_modules"}


def is_generated(path: pathlib.Path) -> bool:
    """Tells whether a tool wrote the file."""
    return path.relative_to(ROOT).as_posix().startswith(GENERATED)


@functools.cache
def files() -> tuple[pathlib.Path, ...]:
    """Returns every file that git tracks or would track; without git, what lies here and is not hidden."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        found = (ROOT / name for name in done.stdout.split("\0") if name)
    else:
        found = (path for path in ROOT.rglob("*") if not SKIPPED & set(path.relative_to(ROOT).parts))
    return tuple(sorted(path for path in found if path.is_file() and "egg-info" not in str(path)))


def python_files(*, below: tuple[str, ...] = ("",)) -> Iterator[pathlib.Path]:
    """Yields the Python files below some folders, those written by tools left out."""
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        inside = any(name.startswith(f"{folder}/" if folder else "") for folder in below)
        if path.suffix == ".py" and inside and not is_generated(path):
            yield path


@functools.cache
def parsed(path: pathlib.Path) -> ast.Module:
    """Returns the syntax tree of a file."""
    return ast.parse(path.read_text(), filename=str(path))


def shown(path: pathlib.Path, line: int = 0) -> str:
    """Returns a place in the form that terminals make clickable."""
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))
