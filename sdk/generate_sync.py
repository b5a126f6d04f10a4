"""Generates the blocking client from the asyncio client.

`sdk/tutelage/_async/` is the source; `sdk/tutelage/_sync/` is what comes out, committed and proved fresh by a test. Run
`make sync`, or `python sdk/generate_sync.py` with the development environment.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import unasync

PACKAGE = pathlib.Path(__file__).resolve().parent / "tutelage"
RUFF_SETTINGS = PACKAGE.parent.parent / "pyproject.toml"
NOTICE = "# Generated from tutelage/_async/{name} by sdk/generate_sync.py; change it there.\n# ruff: noqa: UP028\n\n"
WORDS = {"_async": "_sync", "_aio": "_blocking", "aclosing": "closing"}
OPENING = '"""The client for asyncio, and the source that the blocking client is generated from."""'
BLOCKING_OPENING = '"""The blocking client, generated from the client for asyncio."""'


def main() -> None:
    """Writes the blocking client to --out (default: where it is committed)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=PACKAGE / "_sync", help="folder to write into")
    generate(parser.parse_args().out)


def generate(out: pathlib.Path) -> None:
    """Replaces the folder with what the source says now."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "_async"
        shutil.copytree(PACKAGE / "_async", source, ignore=shutil.ignore_patterns("__pycache__"))
        files = sorted(source.glob("*.py"))
        rule = unasync.Rule("/_async/", "/_sync/", additional_replacements=WORDS | class_names(files))
        unasync.unasync_files([str(path) for path in files], [rule])
        result = pathlib.Path(folder) / "_sync"
        for path in sorted(result.glob("*.py")):
            path.write_text(NOTICE.format(name=path.name) + path.read_text().replace(OPENING, BLOCKING_OPENING))
        tidy(result)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(result, out, ignore=shutil.ignore_patterns(".ruff_cache"))


def class_names(files: list[pathlib.Path]) -> dict[str, str]:
    """Returns the blocking name of each class: AsyncJob becomes Job."""
    names = re.findall(r"^class (Async\w+)", "\n".join(path.read_text() for path in files), re.MULTILINE)
    return {name: name.removeprefix("Async") for name in names}


def tidy(folder: pathlib.Path) -> None:
    """Sorts imports and wraps lines anew: names are shorter now."""
    ruff = [sys.executable, "-m", "ruff"]
    settings = ["--config", str(RUFF_SETTINGS), "--no-cache", "--quiet", str(folder)]
    subprocess.run([*ruff, "check", "--select", "I", "--fix", *settings], check=True)
    subprocess.run([*ruff, "format", *settings], check=True)


if __name__ == "__main__":
    sys.exit(main())
