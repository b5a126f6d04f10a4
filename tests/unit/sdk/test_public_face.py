"""The public face: sorted, complete, documented, typed, and light to import."""

import ast
import inspect
import pathlib
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

import tutelage

PACKAGE = pathlib.Path(tutelage.__file__).parent
HEAVY = ("grpc", "google", "rich", "plotext", "click", "asyncio", "inspect", "dataclasses")


def test_the_names_are_sorted_and_there() -> None:
    assert tutelage.__all__ == sorted(tutelage.__all__)
    assert dir(tutelage) == tutelage.__all__
    for name in tutelage.__all__:
        assert getattr(tutelage, name) is not None


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    names = {
        alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(names) == set(tutelage.__all__)
    assert {name: f"tutelage.{module}" for name, module in tutelage._MODULES.items()} == names


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Clinet"):
        tutelage.Clinet  # type: ignore[attr-defined]  # noqa: B018


def test_everything_public_is_documented() -> None:
    silent = []
    for name in tutelage.__all__:
        value = getattr(tutelage, name)
        members = vars(value).items() if isinstance(value, type) else ()
        for member, content in [(name, value), *((f"{name}.{key}", item) for key, item in members if key[0] != "_")]:
            if (inspect.isfunction(content) or isinstance(content, type | property)) and not content.__doc__:
                silent.append(member)
    assert silent == []


def test_methods_take_keywords_after_their_subject() -> None:
    for name in ("Client", "Job", "ModelVersion"):
        for method, function in inspect.getmembers(getattr(tutelage, name), inspect.isfunction):
            parameters = inspect.signature(function).parameters.values()
            positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            assert method.startswith("_") or len(positional) <= 3, f"{name}.{method}"


def test_both_clients_have_the_same_face() -> None:
    for name in ("Client", "Job", "ModelVersion"):
        blocking, asynchronous = getattr(tutelage, name), getattr(tutelage, f"Async{name}")
        assert public(blocking) == public(asynchronous)
        assert inspect.getdoc(blocking) == inspect.getdoc(asynchronous)


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import tutelage; print(*(set(sys.modules) - before))"
    assert set(HEAVY) & set(run(code).split()) == set()


def test_help_loads_no_library_of_the_wire() -> None:
    code = (
        "import sys, tutelage.cli\n"
        "try: tutelage.cli.tutelage(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'google.protobuf', 'rich', 'plotext'} & set(sys.modules)\n"
        "print(*heavy, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_the_version_is_that_of_the_distribution() -> None:
    project: dict[str, Any] = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert tutelage.__version__ == project["version"]
    assert (PACKAGE / "py.typed").exists()


def test_the_library_imports_what_it_declares() -> None:
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        if "v1" not in path.parts:
            imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    foreign = imported - set(sys.stdlib_module_names) - {"tutelage"}
    assert foreign == {"grpc", "google", "click", "rich", "plotext"}
