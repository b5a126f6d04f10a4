"""The docs are true: settings, defaults, errors, metrics, the drawing of states, decisions and links."""

import ast
import dataclasses
import importlib
import importlib.util
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from services.api.errors import CODES
from services.domain import job_states
from services.settings import Settings as ServicesSettings
from tests.architecture import tree
from tutelage.v1 import errors_pb2, jobs_pb2

DOCS = tree.ROOT / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
ERRORS = (DOCS / "errors.md").read_text()
SETTING = re.compile(r"(?<![A-Z_])TUTELAGE_[A-Z_]*[A-Z]")
SETTING_ROW = re.compile(r"^\| `(TUTELAGE_\w+)` \| (.*?) \| .* \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]*)`")
METRIC = re.compile(r"(?:grpc|tutelage)_[a-z_]*[a-z]")
METRIC_ENDINGS = re.compile(r"_(total|info)$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
NEEDING = {"_needed", "_required"}
PAGES = [path for path in tree.files() if path.suffix == ".md"]


def section(page: str, heading: str) -> str:
    """Returns what stands below a heading of the second level."""
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(page: str, heading: str) -> dict[str, str]:
    """Returns the rows of the table below a heading, by the code in their first cell."""
    cells = [line.split("|") for line in section(page, heading).splitlines() if line.startswith("| `")]
    return {CODE.findall(cell[1])[0]: cell[2].strip() for cell in cells}


def trees(mark: str) -> Iterator[tuple[pathlib.Path, ast.Module]]:
    """Yields the files of the rooms that hold a word."""
    for path in tree.python_files(below=tree.ROOMS):
        if mark in path.read_text():
            yield path, tree.parsed(path)


def strings(node: ast.AST) -> Iterator[str]:
    """Yields every string in the code."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def services_variables() -> dict[str, "dataclasses.Field[Any]"]:
    """Returns the settings of the services, whose variables follow from the names of the fields."""
    return {f"TUTELAGE_{field.name.upper()}": field for field in dataclasses.fields(ServicesSettings)}


def settings_in_the_code() -> set[str]:
    spelled = (SETTING.findall(text) for _, module in trees("TUTELAGE_") for text in strings(module))
    return {name for names in spelled for name in names} | set(services_variables())


def test_every_setting_is_in_the_operations_page_and_nothing_else() -> None:
    assert set(SETTING.findall(OPERATIONS)) == settings_in_the_code()


def test_every_setting_for_operators_has_one_row() -> None:
    named = [name for name, _ in SETTING_ROW.findall(OPERATIONS)]
    kept_apart = set(SETTING.findall(OPERATIONS.split("### Not for you")[1].split("\n## ")[0]))
    assert sorted(named) == sorted(settings_in_the_code() - kept_apart)


def reads() -> Iterator[tuple[pathlib.Path, ast.Call, str]]:
    """Yields each call that is given the name of a variable."""
    for path, module in trees("TUTELAGE_"):
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
            given = [each.value for each in call.args if isinstance(each, ast.Constant)]
            yield from ((path, call, text) for text in given if isinstance(text, str) and SETTING.fullmatch(text))


def defaults_of(path: pathlib.Path, call: ast.Call, name: str) -> list[object]:
    """Returns the values that may come out of a call when the variable is not set."""
    place = [isinstance(each, ast.Constant) and each.value == name for each in call.args].index(True)
    module = ".".join(path.relative_to(tree.ROOT).with_suffix("").parts)
    return [value for node in call.args[place + 1 : place + 2] for value in values_of(node, module)]


def values_of(node: ast.expr, module: str) -> list[object]:
    if isinstance(node, ast.Constant):
        return [node.value] if node.value not in ("", None) else []
    if isinstance(node, ast.IfExp):
        return values_of(node.body, module) + values_of(node.orelse, module)
    if isinstance(node, ast.Call):
        return [value for argument in node.args for value in values_of(argument, module)]
    if isinstance(node, ast.Name):
        return [getattr(importlib.import_module(module), node.id)]
    return [attribute(importlib.import_module(module), node.attr)] if isinstance(node, ast.Attribute) else []


def attribute(module: object, name: str) -> object:
    """Returns the default of the field of that name, in the one dataclass of a module that has it."""
    classes = [each for each in vars(module).values() if isinstance(each, type) and dataclasses.is_dataclass(each)]
    fields = {field.name: field.default for each in classes for field in dataclasses.fields(each)}
    return fields[name]


def written(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def test_every_default_is_the_one_of_the_code() -> None:
    documented = dict(SETTING_ROW.findall(OPERATIONS))
    wrong = []
    for path, call, name in reads():
        values = {written(value) for value in defaults_of(path, call, name)}
        said = documented.get(name, "")
        needed = isinstance(call.func, ast.Name) and call.func.id in NEEDING
        if not values <= set(CODE.findall(said)) or needed != (said == "needed"):
            wrong.append((tree.shown(path, call.lineno), name, said, values))
    assert [entry for entry in wrong if entry[1] not in services_variables()] == []


@pytest.mark.parametrize("variable", services_variables())
def test_every_default_of_the_services_is_the_one_of_the_code(variable: str) -> None:
    default = services_variables()[variable].default
    said = dict(SETTING_ROW.findall(OPERATIONS))[variable]
    if default is dataclasses.MISSING:
        assert said == "needed"
    else:
        assert CODE.findall(said) == ([written(default)] if default else [])


def test_every_metric_and_label_is_in_the_operations_page_and_nothing_else() -> None:
    measured = {text for _, module in trees("prometheus_client") for text in strings(module) if METRIC.fullmatch(text)}
    said = {METRIC_ENDINGS.sub("", name) for name in METRIC.findall(section(OPERATIONS, "Metrics"))}
    assert said == measured


def test_every_reason_of_an_error_is_explained_with_its_code() -> None:
    codes = {error.reason: code.name for error, code in CODES.items()} | {"INTERNAL": "INTERNAL"}
    assert rows(ERRORS, "Reasons") == codes
    assert set(codes) == enum_words(errors_pb2.ErrorReason.DESCRIPTOR, "ERROR_REASON_")


def test_every_reason_of_a_failed_job_is_explained() -> None:
    assert set(rows(ERRORS, "Why a job failed")) == enum_words(jobs_pb2.FailureReason.DESCRIPTOR, "FAILURE_REASON_")


def enum_words(descriptor: Any, prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in descriptor.values_by_name} - {"UNSPECIFIED"}


def test_every_secret_of_a_room_is_explained() -> None:
    from embedded.room_secrets import ROOMS

    assert set(rows(OPERATIONS, "Secrets")) == set(ROOMS)


def test_the_drawing_of_states_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate_job_states", DOCS / "generate_job_states.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    page = (DOCS / "job-states.md").read_text()
    assert page == generator.page(), "run `python docs/generate_job_states.py`"
    assert job_states.drawing() in page


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    folder = DOCS / "decisions"
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    titles = [path.read_text().partition("\n")[0].removeprefix("# ").split(" ", 1) for path in pages]
    wanted = [f"| [{number}]({path.name}) | {title} |" for path, (number, title) in zip(pages, titles, strict=True)]
    assert [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| [")] == wanted
    assert [path.name[:4] for path in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]


@pytest.mark.parametrize("page", PAGES, ids=tree.shown)
def test_every_link_leads_somewhere(page: pathlib.Path) -> None:
    links = LINK.findall(FENCED.sub("", page.read_text()))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []
