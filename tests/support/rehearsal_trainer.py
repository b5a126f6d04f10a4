"""A trainer that rehearses: it speaks the pipe like a real one, computes nothing, and misbehaves as it is told.

Its part stands as JSON in `train.samples.prompt` of the assignment. What it finds (process ids, environment, open file
descriptors) it writes into the folder for caches, where the test looks.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2


class Rehearsal:
    """One run."""

    def __init__(self, launch: pipe_pb2.Launch) -> None:
        self.assignment = launch.assignment
        self.part: dict[str, Any] = json.loads(launch.assignment.train.samples.prompt or "{}")
        self.folder = pathlib.Path(launch.scratch_dir)
        self.stop = threading.Event()
        self.last_tick_s = time.monotonic()
        self.children: list[int] = []

    def begin(self) -> None:
        """Everything before the first step."""
        if self.part.get("ignore_sigterm"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.children = [self.child() for _ in range(self.part.get("children", 0))]
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=self.watch_ticks, daemon=True).start()
        self.write_findings()
        print("\x1b[31mrehearsal begins\x1b[0m", file=sys.stderr, flush=True)

    def child(self) -> int:
        """A process of the group that ignores SIGTERM and inherits everything, as data loaders do."""
        program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        return subprocess.Popen([sys.executable, "-S", "-c", program], pass_fds=(3,)).pid

    def write_findings(self) -> None:
        """Tells the test what the trainer sees."""
        found = {
            "pid": os.getpid(),
            "children": self.children,
            "environ": dict(os.environ),
            "fds": sorted(int(link.name) for link in pathlib.Path("/proc/self/fd").iterdir()),
            "resume_step": self.assignment.resume.step,
        }
        held = self.assignment.attempt
        draft = self.folder / f"draft-{os.getpid()}"
        draft.write_text(json.dumps(found))
        draft.rename(self.folder / f"found-{held.job_uid}-e{held.epoch}-{os.getpid()}.json")

    def run(self) -> None:
        """The part, to its end."""
        first = self.assignment.resume.step
        if self.part.get("bad_below") and first and first >= self.part["bad_below"]:
            goodbye(pipe_pb2.ENDING_BAD_CHECKPOINT, "a hash is wrong")
        steps = self.part.get("steps", 10)
        if not first:
            self.checkpoint(0, complete=False)
        for step in range(first + 1, steps + 1):
            if self.stop.is_set() and not self.part.get("deaf"):
                self.checkpoint(step - 1, complete=False)
                goodbye(pipe_pb2.ENDING_STOPPED)
            self.step(step, steps)
        self.end()

    def step(self, step: int, steps: int) -> None:
        """One step, and what follows it."""
        if step > self.assignment.recorded_step:
            metric = jobs_pb2.MetricLogged(step=step, values={"train/loss": 1 / step})
            tell(facts_pb2.Fact(metric_logged=metric))
            if filler := self.part.get("filler_bytes"):
                sample = jobs_pb2.SampleDrawn(step=step, text="x" * filler)
                tell(facts_pb2.Fact(sample_drawn=sample))
        say(pipe_pb2.FromTrainer(progress=pipe_pb2.Progress(section=pipe_pb2.SECTION_STEP, step=step)))
        if step == steps or step % self.part.get("checkpoint_every", 5) == 0:
            self.checkpoint(step, complete=step == steps and self.part.get("then", "complete") == "complete")
        time.sleep(self.part.get("pause_s", 0.001))

    def checkpoint(self, step: int, *, complete: bool) -> None:
        """Claims to have written one."""
        written = facts_pb2.CheckpointWritten(
            step=step,
            artifact_prefix=f"{self.assignment.checkpoint_prefix}/step-{step}",
            manifest_sha256=f"{step:064x}",
            complete=complete,
        )
        tell(facts_pb2.Fact(checkpoint_written=written))

    def end(self) -> None:
        """The last scene."""
        then = self.part.get("then", "complete")
        if then == "complete":
            goodbye(pipe_pb2.ENDING_COMPLETE)
        elif then == "fail":
            goodbye(pipe_pb2.ENDING_FAILED, "row 7 is no text")
        elif then == "garbage":
            os.write(3, b"\x00\x00\x00\x03\xff\xff\xff")
            time.sleep(600)
        elif then == "exit":
            print("Traceback: it went wrong", file=sys.stderr, flush=True)
            os._exit(3)
        elif then == "linger":
            say(pipe_pb2.FromTrainer(goodbye=pipe_pb2.Goodbye(ending=pipe_pb2.ENDING_COMPLETE)))
            time.sleep(600)
        elif then == "hang":
            time.sleep(600)
        else:
            os.kill(os.getpid(), getattr(signal, then))

    def listen(self) -> None:
        """Hears the supervisor; leaves at the end of its line."""
        while (message := hear()) is not None:
            if message.HasField("stop"):
                self.stop.set()
            self.last_tick_s = time.monotonic()
        os._exit(75)

    def watch_ticks(self) -> None:
        """Leaves when no tick comes."""
        limit_s = self.part.get("tick_limit_s", 20.0)
        while time.monotonic() - self.last_tick_s < limit_s:
            time.sleep(0.05)
        os._exit(75)


def hear() -> pipe_pb2.ToTrainer | None:
    """The next message, or None at the end."""
    head = read_exactly(4)
    body = read_exactly(int.from_bytes(head, "big")) if head else b""
    return pipe_pb2.ToTrainer.FromString(body) if head else None


def read_exactly(size: int) -> bytes:
    """So many bytes, or none at the end."""
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            return b""
        data += more
    return data


def say(message: pipe_pb2.FromTrainer) -> None:
    """Writes to file descriptor 3."""
    body = message.SerializeToString()
    data = len(body).to_bytes(4, "big") + body
    while data:
        data = data[os.write(3, data) :]


def tell(fact: facts_pb2.Fact) -> None:
    """Says a fact."""
    say(pipe_pb2.FromTrainer(fact=fact))


def goodbye(ending: "pipe_pb2.Ending.ValueType", message: str = "") -> None:
    """Last words."""
    failure = jobs_pb2.JobFailure(reason=jobs_pb2.FAILURE_REASON_BAD_INPUT, message=message) if message else None
    say(pipe_pb2.FromTrainer(goodbye=pipe_pb2.Goodbye(ending=ending, failure=failure)))
    os._exit(0)


def main() -> None:
    """Waits for its part, and plays it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if (first := hear()) is None:
        os._exit(75)
    rehearsal = Rehearsal(first.launch)
    rehearsal.begin()
    with contextlib.suppress(BrokenPipeError):
        rehearsal.run()


if __name__ == "__main__":
    main()
