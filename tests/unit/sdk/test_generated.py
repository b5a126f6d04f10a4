"""What is generated is what the source says now."""

import importlib.util
import pathlib
import subprocess
import sys
from typing import Any

import tutelage

SDK = pathlib.Path(tutelage.__file__).parent.parent


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, SDK / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents(folder: pathlib.Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.py")}


def test_the_blocking_client_is_fresh(tmp_path: pathlib.Path) -> None:
    subprocess.run([sys.executable, SDK / "generate_sync.py", "--out", tmp_path / "_sync"], check=True)
    assert contents(tmp_path / "_sync") == contents(SDK / "tutelage" / "_sync")


def test_nothing_asynchronous_is_left_in_the_blocking_client() -> None:
    for name, text in contents(SDK / "tutelage" / "_sync").items():
        code = text.replace("# Generated from tutelage/_async/", "")
        for word in ("async ", "await ", "Async", "_aio", "aclosing", "_async"):
            assert word not in code, f"{word!r} in {name}"


def test_every_file_says_where_it_comes_from() -> None:
    for name, text in contents(SDK / "tutelage" / "_sync").items():
        assert text.startswith(f"# Generated from tutelage/_async/{name} "), name


def test_classes_lose_their_prefix() -> None:
    generator = load("generate_sync")
    names = generator.class_names(sorted((SDK / "tutelage" / "_async").glob("*.py")))
    assert names["AsyncClient"] == "Client"
    assert all(
        blocking in vars(tutelage) or hasattr(tutelage, blocking) or blocking[0] != "A" for blocking in names.values()
    )


def test_the_page_about_the_command_line_is_fresh() -> None:
    page = SDK.parent / "docs" / "cli.md"
    assert page.read_text() == load("generate_cli_page").page(), "run `python sdk/generate_cli_page.py`"
