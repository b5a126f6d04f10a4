"""A real supervisor process for a test, with a rehearsal trainer as its trainer."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from tests.support import rehearsal_trainer
from tests.support.waiting import wait_for
from tests.support.workers_double import SECRET, Job, WorkersDouble, address_in
from trainer_worker.supervisor import processes

_QUICK = {
    "TUTELAGE_POLL_SECONDS": "0.2",
    "TUTELAGE_HEARTBEAT_SECONDS": "0.1",
    "TUTELAGE_TICK_SECONDS": "0.2",
    "TUTELAGE_REPORT_SECONDS": "0.05",
    "TUTELAGE_STOP_GRACE_SECONDS": "8",
    "TUTELAGE_WORKER_THREADS": "2",
    "TUTELAGE_BROKER_URL": "",
}


class Workshop:
    """Services, as a double, and supervisors that work for them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.log = folder / "supervisor.log"
        self.services = WorkersDouble(address_in(folder))
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        """Starts a supervisor; settings are its environment variables, added to quick ones."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
        command = f"{sys.executable} {rehearsal_trainer.__file__}"
        environ |= {
            "TUTELAGE_SERVICES_INTERNAL_ADDRESS": self.services.address,
            "TUTELAGE_ARTIFACTS_URL": f"file://{self.folder}/artifacts",
            "TUTELAGE_SECRETS_DIR": str(self.folder),
            "TUTELAGE_SCRATCH_DIR": str(self.scratch),
            "TUTELAGE_TRAINER_COMMAND": command,
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "trainer_worker.supervisor"], env=environ | _QUICK | settings, stderr=log
            )
        self.started.append(process)
        return process

    def trainers(self, job: Job) -> list[dict[str, Any]]:
        """What the trainers of a job have found, in the order of their start."""
        files = sorted(self.scratch.glob(f"cache/found-{job.uid}-*.json"), key=lambda file: file.stat().st_mtime_ns)
        return [json.loads(file.read_text()) for file in files]

    def trainer(self, job: Job) -> dict[str, Any]:
        """The newest of them; waits until there is one."""
        return wait_for(lambda: self.trainers(job), "a trainer runs")[-1]

    def log_lines(self) -> list[dict[str, Any]]:
        """What supervisors have logged."""
        lines = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def end(self) -> None:
        """Ends everything that was started here."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGKILL)
            process.wait()
        for job in self.services.jobs.values():
            for found in self.trainers(job):
                processes.kill_session(found["pid"])
        self.services.stop()


@contextlib.contextmanager
def workshop() -> Iterator[Workshop]:
    """A workshop that is cleared away after the block."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="shop-"))
    (folder / "worker").write_text(SECRET)
    shop = Workshop(folder)
    shop.services.start()
    try:
        yield shop
    finally:
        shop.end()
        print(shop.log.read_text() if shop.log.exists() else "no supervisor was started")  # shown when a test fails
        shutil.rmtree(folder, ignore_errors=True)


def alive(pid: int) -> bool:
    """Whether a process lives."""
    return processes.find(pid) is not None
