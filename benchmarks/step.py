"""How long a training step takes, bare and under a supervisor's pipe, and what checkpoints cost.

    python -m benchmarks.step [--steps 60] [--pairs 3] [--threads 2]

Bare: the recipe in a process of its own that nobody listens to. Piped: the trainer process, ticked by this one.
Runs alternate, so that what else the machine does falls on both; read the ratios.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from typing import Any, BinaryIO

from artifacts import open_store
from benchmarks.machine import print_machine
from tutelage.v1 import training_pb2
from tutelage_internal.v1 import pipe_pb2, workers_pb2

WARM_UP_STEPS = 5
TEXT_BYTES = 4_000_000
ALLOCATOR = {
    "mmap_threshold": 1 << 30,
    "trim_threshold": 1 << 34,
    "top_pad": 1 << 28,
}
ONTO_3 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
SHAPE = training_pb2.Architecture(
    layers=4,
    width=192,
    heads=6,
    key_value_heads=6,
    feed_forward_width=512,
    context_length=128,
    tied_head=True,
    rotary_base=10000.0,
)
MOVES = training_pb2.OptimizationSpec(
    learning_rate=1e-3,
    final_learning_rate_ratio=0.1,
    warmup_steps=5,
    weight_decay=0.1,
    beta1=0.9,
    beta2=0.95,
    epsilon=1e-8,
    clip_norm=1.0,
    batch_size=32,
    micro_batch_size=32,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bare", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        print(json.dumps(run_bare(pipe_pb2.Launch.FromString(options.bare.read_bytes()))))
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="step-benchmark-"))
    try:
        compare(folder, options)
    finally:
        shutil.rmtree(folder)


def compare(folder: pathlib.Path, options: argparse.Namespace) -> None:
    environment = environment_of(options.threads)
    bare, piped = [], []
    for pair in range(options.pairs):
        bare.append(start_bare(launch_of(folder, f"bare{pair}", options.steps), folder, environment))
        piped.append(run_piped(launch_of(folder, f"piped{pair}", options.steps), environment))
    tokens = MOVES.batch_size * SHAPE.context_length
    print_machine()
    print(f"load               {os.getloadavg()[0]:.1f} over the last minute")
    print(f"trainer            {options.threads} threads, {bare[0]['environment']}")
    for name, runs in (("bare", bare), ("piped", piped)):
        step_s = statistics.median(run["step_s"] for run in runs)
        print(f"step, {name:<12} {1000 * step_s:.1f} ms, {tokens / step_s:,.0f} tokens/s")
    ratios = [under["step_s"] / alone["step_s"] for under, alone in zip(piped, bare, strict=True)]
    pairs = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"piped / bare       {statistics.median(ratios):.3f} (pairs: {pairs})")
    print(f"one checkpoint     {1000 * statistics.median(run['checkpoint_s'] for run in piped):.0f} ms")
    print(f"checkpoint stall   {100 * statistics.median(run['stall'] for run in piped):.2f} % of training time,")
    print(f"                   at one in {max(10, options.steps // 10)} steps")


def environment_of(threads: int) -> dict[str, str]:
    """What a supervisor gives its trainers."""
    tunables = ":".join(f"glibc.malloc.{name}={value}" for name, value in ALLOCATOR.items())
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
        "GLIBC_TUNABLES": tunables,
    }


def launch_of(folder: pathlib.Path, name: str, steps: int) -> pipe_pb2.Launch:
    """Preset tiny on the source of the standard library."""
    url = f"file://{folder / name}"
    sources = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = b"".join(path.read_bytes() for path in sources)[:TEXT_BYTES]
    stored = open_store(url).put("datasets/stdlib/text", text)
    spec = training_pb2.TrainSpec(
        steps=steps,
        seed=1,
        architecture=SHAPE,
        tokenizer=training_pb2.TokenizerSpec(kind=training_pb2.TOKENIZER_KIND_BYTES),
        optimization=MOVES,
        evaluation=training_pb2.EvaluationSpec(interval_steps=0, sequences=64),
        samples=training_pb2.SamplesSpec(interval_steps=0, tokens=100),
        checkpoints=training_pb2.CheckpointsSpec(interval_steps=max(10, steps // 10)),
    )
    dataset = workers_pb2.DatasetArtifact(
        key=stored.key, sha256=stored.sha256, size_bytes=stored.size_bytes, train_bytes=stored.size_bytes * 9 // 10
    )
    assignment = workers_pb2.Assignment(train=spec, dataset=dataset, checkpoint_prefix="checkpoints/job/e1")
    return pipe_pb2.Launch(assignment=assignment, artifacts_url=url, scratch_dir=str(folder / f"{name}-scratch"))


class Clock:
    """Times what a run tells, from the end of warm-up on: steps without checkpoints, and checkpoints."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.steps_s: list[float] = []
        self.checkpoints_s: list[float] = []
        self.environment = ""

    def hear(self, message: pipe_pb2.FromTrainer) -> None:
        if message.fact.note.kind == "environment":
            details = message.fact.note.details
            self.environment = f"{details['precision']}, {details['attention']} attention, torch {details['torch']}"
        now = time.perf_counter()
        if message.progress.section == pipe_pb2.SECTION_STEP:
            self.steps_s.append(now - self.last)
        if message.fact.HasField("checkpoint_written"):
            self.checkpoints_s.append(now - self.last)
        self.last = now

    def result(self) -> dict[str, Any]:
        steps_s, checkpoints_s = self.steps_s[WARM_UP_STEPS:-1], self.checkpoints_s[1:]
        return {
            "step_s": statistics.mean(sorted(steps_s)[: int(len(steps_s) * 0.9)]),
            "checkpoint_s": statistics.median(checkpoints_s),
            "stall": sum(checkpoints_s) / (sum(checkpoints_s) + sum(steps_s)),
            "environment": self.environment,
        }


def run_bare(launch: pipe_pb2.Launch) -> dict[str, Any]:
    from trainer_worker.trainer.recipes.pretrain import pretrain
    from trainer_worker.trainer.telling import message_of

    clock = Clock()
    store, scratch = open_store(launch.artifacts_url), pathlib.Path(launch.scratch_dir)
    for told in pretrain(launch.assignment, store=store, scratch=scratch):
        clock.hear(message_of(told))
    return clock.result()


def start_bare(launch: pipe_pb2.Launch, folder: pathlib.Path, environment: dict[str, str]) -> dict[str, Any]:
    path = folder / "launch"
    path.write_bytes(launch.SerializeToString())
    command = [sys.executable, "-m", "benchmarks.step", "--bare", str(path)]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    answer: dict[str, Any] = json.loads(output)
    return answer


def run_piped(launch: pipe_pb2.Launch, environment: dict[str, str]) -> dict[str, Any]:
    facts, descriptor = os.pipe()
    command = [sys.executable, "-ISc", ONTO_3, str(descriptor), "-m", "trainer_worker.trainer"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, pass_fds=(descriptor,))
    os.close(descriptor)
    assert process.stdin
    tell(process.stdin, pipe_pb2.ToTrainer(launch=launch))
    clock, ticked = Clock(), time.monotonic()
    with os.fdopen(facts, "rb") as pipe:
        while head := pipe.read(4):
            clock.hear(pipe_pb2.FromTrainer.FromString(pipe.read(struct.unpack(">I", head)[0])))
            if time.monotonic() > ticked + 5:
                ticked = time.monotonic()
                tell(process.stdin, pipe_pb2.ToTrainer(tick=pipe_pb2.Tick()))
    process.stdin.close()
    process.wait()
    return clock.result()


def tell(stream: BinaryIO | Any, message: pipe_pb2.ToTrainer) -> None:
    body = message.SerializeToString()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


if __name__ == "__main__":
    main()
