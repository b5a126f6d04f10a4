"""Small training runs for flow tests, and what must be equal between two of them."""

import hashlib
import json
import os
import pathlib
import signal
from typing import Any

from tests.support.stack import Stack
from tests.support.waiting import wait_for
from tutelage import Client, JobEvent, Unavailable

# Real text that every machine has, long enough to train on and short enough to upload in a moment.
TEXT = pathlib.Path(json.__file__).with_name("decoder.py").read_bytes() * 4

# Thousands of steps of a few milliseconds: many places to be killed at, over in seconds.
TINY = {
    "layers": 1,
    "width": 32,
    "heads": 2,
    "feed_forward_width": 64,
    "context_length": 32,
    "batch_size": 4,
    "seed": 7,
    "precision": "fp32",
    "evaluation_interval_steps": 500,
    "sample_interval_steps": 500,
    "checkpoint_interval_steps": 100,
}


def client_of(stack: Stack) -> Client:
    """Returns a client with the admin key of the stack."""
    return Client(address=stack.address, api_key=stack.api_key)


def upload_text(client: Client, *, name: str = "text") -> str:
    """Uploads the text and returns the id of the dataset."""
    client.datasets.upload(TEXT, name=name)
    return name


def submit(client: Client, *, dataset: str = "text", steps: int, **changes: Any) -> Any:
    """Submits a tiny run."""
    return client.train(dataset, steps=steps, **{**TINY, **changes})


def wait_for_step(job: Any, step: int, *, limit_s: float = 60.0) -> None:
    """Waits until a step is recorded."""
    wait_for(
        lambda: (job.refresh().progress or None) and job.progress.step >= step, limit_s=limit_s, what=f"step {step}"
    )


def wait_until_answered(client: Client, *, limit_s: float = 60.0) -> None:
    """Waits until the house answers a call again."""

    def answered() -> bool:
        try:
            return bool(client.caller())
        except Unavailable:
            return False

    wait_for(answered, limit_s=limit_s, what="an answer")


def trainer_pid(stack: Stack) -> int | None:
    """Returns the process id of the trainer that runs now, if there is one."""
    for pid in children(stack.pids()["supervisor"]):
        if "trainer_worker.trainer" in command_line(pid):
            return pid
    return None


def kill_trainer(stack: Stack) -> int:
    """Kills the trainer as the kernel would, and returns the process id that it had."""
    pid = wait_for(lambda: trainer_pid(stack), limit_s=30, what="a trainer")
    os.kill(pid, signal.SIGKILL)
    return pid


def children(pid: int) -> list[int]:
    """Returns the children of a process; none if it is gone."""
    try:
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def command_line(pid: int) -> str:
    """Returns the command of a process; '' if it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def deterministic_metrics(events: list[JobEvent]) -> list[tuple[int, dict[str, float]]]:
    """Returns the metric stream without what depends on the clock."""
    metrics = [event.metric_logged for event in events if event.metric_logged is not None]
    return [
        (metric.step, {key: value for key, value in metric.values.items() if not key.startswith("perf/")})
        for metric in metrics
    ]


def final_weights(stack: Stack, job: Any) -> str:
    """Returns the hash of the weights that a finished job published, after hashing the file again."""
    version = job.result()
    root = stack.data_dir / "artifacts" / "checkpoints" / job.info.uid
    found = [path for path in root.rglob("manifest.json") if sha256_of(path) == version.manifest_sha256]
    assert len(found) == 1, f"the published file set is not there: {version.manifest_sha256}"
    return sha256_of(found[0].with_name("model.safetensors"))


def sha256_of(path: pathlib.Path) -> str:
    """Returns the hash of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_gapless(events: list[JobEvent]) -> None:
    """Fails unless the cursors count 1, 2, 3 and so on."""
    assert [event.cursor for event in events] == list(range(1, len(events) + 1))
