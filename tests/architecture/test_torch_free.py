"""Everything but the trainer and the sampler works where torch is not installed."""

import subprocess
import sys

import pytest

from tests.architecture import tree

# A module set to None in sys.modules cannot be imported. `__main__` files are left out: nobody imports them.
PROBE = """
import importlib, pkgutil, sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None
package = importlib.import_module(sys.argv[1])
count = 1
for module in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        importlib.import_module(module.name)
        count += 1
print(count)
"""
HEAVY = "torch,safetensors,tokenizers,numpy"
HIDDEN = {
    "artifacts": f"{HEAVY},sqlalchemy,celery,grpc",
    "embedded": f"{HEAVY},sqlalchemy,celery,obstore",
    "gateway": f"{HEAVY},sqlalchemy,celery,obstore",
    "services": HEAVY,
    "trainer_worker.supervisor": f"{HEAVY},sqlalchemy,celery",
    "trainer_worker.bell": f"{HEAVY},sqlalchemy,obstore",
    "trainer_worker.trainer": "sqlalchemy,celery,grpc",
    "trainer_worker.sampler": "sqlalchemy,celery",
    "tutelage": f"{HEAVY},sqlalchemy,celery,obstore,starlette,artifacts,embedded,gateway,services,trainer_worker,"
    "tutelage_internal",
}


@pytest.mark.parametrize("room", HIDDEN)
def test_a_room_works_without_what_it_must_not_need(room: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROBE, room, HIDDEN[room]]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= 1


def test_the_probe_notices_torch() -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROBE, "trainer_worker.trainer.engine", "torch"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "torch" in done.stderr
