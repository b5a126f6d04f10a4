"""Who may import whom: the contracts hold, and each of them notices its own violation."""

import ast
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.architecture import tree

LINTER = pathlib.Path(sysconfig.get_path("scripts")) / "lint-imports"
PACKAGES = {"artifacts", "embedded", "gateway", "services", "trainer_worker", "tutelage_internal"}
PLANTED = {
    "houses": ("artifacts/planted.py", "import services.domain"),
    "floors": ("services/domain/planted.py", "import services.jobs"),
    "workshop": ("trainer_worker/bell/planted.py", "import trainer_worker.supervisor"),
    "engine": ("trainer_worker/trainer/engine/planted.py", "import trainer_worker.trainer.recipes"),
    "torch": ("gateway/planted.py", "import torch"),
    "sql": ("services/jobs/planted.py", "import sqlalchemy"),
    "celery": ("services/housekeeping/planted.py", "import celery"),
    "grpc": ("services/models/planted.py", "import grpc"),
    "pure": ("services/domain/planted_clock.py", "import time"),
    "face": ("tutelage/planted.py", "import gateway"),
    "pipe": ("trainer_worker/trainer/planted.py", "import grpc"),
}


def lint(folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LINTER), "--config", str(tree.ROOT / ".importlinter"), "--no-cache"]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def verdicts(output: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z]+): .* (KEPT|BROKEN)\b", output, re.MULTILINE))


def test_the_contracts_hold() -> None:
    done = lint(tree.ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(verdicts(done.stdout)) == set(PLANTED)


def test_each_contract_notices_its_own_violation(tmp_path: pathlib.Path) -> None:
    for package in PACKAGES:
        shutil.copytree(tree.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tree.ROOT / "sdk" / "tutelage", tmp_path / "tutelage", ignore=shutil.ignore_patterns("__pycache__"))
    for path, source in PLANTED.values():
        (tmp_path / path).write_text(f"{source}\n")
    done = lint(tmp_path)
    assert verdicts(done.stdout) == dict.fromkeys(PLANTED, "BROKEN"), done.stdout + done.stderr


def test_a_room_that_nobody_placed_is_noticed(tmp_path: pathlib.Path) -> None:
    for package in PACKAGES:
        shutil.copytree(tree.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tree.ROOT / "sdk" / "tutelage", tmp_path / "tutelage", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "services" / "attic.py").write_text("")
    done = lint(tmp_path)
    assert done.returncode != 0
    assert "attic" in done.stdout + done.stderr


def foreign_imports(path: pathlib.Path) -> list[str]:
    """Returns the modules of the public library that a file imports, the generated language left out."""
    names = []
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    ours = [name for name in names if name.split(".")[0] == "tutelage"]
    return [f"{tree.shown(path)}: {name}" for name in ours if not name.startswith("tutelage.v1")]


@pytest.mark.parametrize("room", sorted(PACKAGES - {"tutelage_internal"}))
def test_servers_use_the_language_and_not_the_library(room: str) -> None:
    assert [name for path in tree.python_files(below=(room,)) for name in foreign_imports(path)] == []
