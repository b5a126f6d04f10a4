"""A trainer as a process of its own, with this test as its supervisor."""

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from tests.training.runs import Bench
from tutelage_internal.v1 import pipe_pb2, workers_pb2

LIMIT_S = 60.0
TICK_S = 0.1
ONTO_3 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"


class TrainerProcess:
    """Speaks both pipes of one trainer."""

    def __init__(
        self, *, environment: dict[str, str] | None = None, arguments: Sequence[str] = ("-m", "trainer_worker.trainer")
    ) -> None:
        facts, descriptor = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", ONTO_3, str(descriptor), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(descriptor,),
            env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **(environment or {})},
            start_new_session=True,
        )
        os.close(descriptor)
        self.facts = facts

    def tell(self, message: pipe_pb2.ToTrainer) -> None:
        body = message.SerializeToString()
        assert self.process.stdin is not None
        self.process.stdin.write(struct.pack(">I", len(body)) + body)
        self.process.stdin.flush()

    def launch(self, bench: Bench, assignment: workers_pb2.Assignment) -> None:
        self.tell(
            pipe_pb2.ToTrainer(
                launch=pipe_pb2.Launch(assignment=assignment, artifacts_url=bench.url, scratch_dir=str(bench.scratch))
            )
        )

    def tick(self) -> None:
        """It may just have left, or be meant to hear nothing more."""
        assert self.process.stdin is not None
        if self.process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self.tell(pipe_pb2.ToTrainer(tick=pipe_pb2.Tick()))

    def stop(self) -> None:
        self.tell(pipe_pb2.ToTrainer(stop=pipe_pb2.Stop()))

    def hear(self) -> Iterator[pipe_pb2.FromTrainer]:
        """All messages until the trainer closes its end; a limit guards against one that hangs."""
        until = time.monotonic() + LIMIT_S
        buffer = b""
        while True:
            self.tick()
            readable, _, _ = select.select([self.facts], [], [], TICK_S)
            assert time.monotonic() < until, "the trainer goes on for too long"
            if not readable:
                continue
            block = os.read(self.facts, 65536)
            if not block:
                assert not buffer, "the trainer broke off within a message"
                return
            buffer += block
            while len(buffer) >= 4 and len(buffer) >= 4 + (size := struct.unpack(">I", buffer[:4])[0]):
                yield pipe_pb2.FromTrainer.FromString(buffer[4 : 4 + size])
                buffer = buffer[4 + size :]

    def hear_until(self, what: str, *, step: int = 0) -> pipe_pb2.FromTrainer:
        """The first message of a kind (`progress`, `fact`, `goodbye`), of a step not below the given one."""
        for message in self.hear():
            body = getattr(message, message.WhichOneof("message") or "")
            if message.WhichOneof("message") == what and getattr(body, "step", 0) >= step:
                return message
        raise AssertionError(f"the trainer ended without {what}: {self.last_words()}")

    def exit_code(self) -> int:
        return self.process.wait(timeout=LIMIT_S)

    def last_words(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream and stream.close()
        os.close(self.facts)
