"""A trainer is a process that tells everything over its pipe, and never outlives who started it."""

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch
from safetensors import SafetensorError

from artifacts import StoreUnavailable
from tests.training.processes import LIMIT_S, TrainerProcess
from tests.training.runs import Bench, Story, assert_only_whole_checkpoints, resume_from, tiny_spec
from trainer_worker.trainer.lifeline import EXIT_ABANDONED
from trainer_worker.trainer.pipe import Writer
from trainer_worker.trainer.work import goodbye_for, work
from tutelage.v1 import datasets_pb2, jobs_pb2, training_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2, workers_pb2

PARTS_OF_A_START = ("python", "import", "launch", "preparation", "first_step")
LONG = {"steps": 1_000_000, "checkpoint_interval": 1_000_000, "evaluation_interval": 0, "samples_interval": 0}


@pytest.fixture
def trainer() -> Iterator[TrainerProcess]:
    process = TrainerProcess()
    yield process
    process.close()


@pytest.fixture
def impatient_trainer() -> Iterator[TrainerProcess]:
    process = TrainerProcess(environment={"TUTELAGE_TICK_LIMIT_SECONDS": "0.5"})
    yield process
    process.close()


def story_of(messages: list[pipe_pb2.FromTrainer]) -> Story:
    """What the pipe told, as the recipe would have told it."""
    story = Story()
    for message in messages:
        if message.HasField("fact"):
            story.told.append(getattr(message.fact, message.fact.WhichOneof("fact") or ""))
    return story


def test_a_launch_is_answered_by_the_facts_of_the_recipe_and_a_goodbye(bench: Bench, trainer: TrainerProcess) -> None:
    trainer.launch(bench, bench.assignment(tiny_spec(), epoch=1))
    messages = list(trainer.hear())
    assert messages[-1].goodbye.ending == pipe_pb2.ENDING_COMPLETE
    assert trainer.exit_code() == 0
    told, bare = story_of(messages), bench.run(tiny_spec(), epoch=2)
    assert told.curve == bare.curve
    assert told.samples == bare.samples
    assert bench.weights_sha256(told.complete) == bench.weights_sha256(bare.complete)
    assert all(message.fact.time.seconds for message in messages if message.HasField("fact"))
    assert not any(message.fact.seq for message in messages)  # numbers are given by the supervisor
    [start] = told.notes("started")
    parts = {name: float(seconds) for name, seconds in start.details.items()}
    assert set(parts) == {f"{part}_seconds" for part in (*PARTS_OF_A_START, "total")}
    assert parts.pop("total_seconds") == pytest.approx(sum(parts.values()), abs=0.01)
    assert 0 < parts["import_seconds"] < LIMIT_S


@pytest.mark.parametrize("way", ["message", "SIGTERM"])
def test_a_stop_ends_with_a_checkpoint_that_can_be_gone_on_from(
    bench: Bench, trainer: TrainerProcess, way: str
) -> None:
    trainer.launch(bench, bench.assignment(tiny_spec(**LONG)))
    trainer.hear_until("progress", step=3)
    if way == "message":
        trainer.stop()
    else:
        trainer.process.send_signal(signal.SIGTERM)
    messages = list(trainer.hear())
    assert messages[-1].goodbye.ending == pipe_pb2.ENDING_STOPPED
    assert trainer.exit_code() == 0
    written = list(story_of(messages).checkpoints.values())[-1]
    assert written.step >= 3
    assert bench.files(written)


def test_the_end_of_its_input_ends_it(bench: Bench, trainer: TrainerProcess) -> None:
    trainer.launch(bench, bench.assignment(tiny_spec(**LONG)))
    trainer.hear_until("progress", step=1)
    assert trainer.process.stdin is not None
    trainer.process.stdin.close()
    assert not any(message.HasField("goodbye") for message in trainer.hear())
    assert trainer.exit_code() == EXIT_ABANDONED


def test_nobody_to_read_its_facts_ends_it(bench: Bench, trainer: TrainerProcess) -> None:
    trainer.launch(bench, bench.assignment(tiny_spec(**LONG)))
    trainer.hear_until("progress", step=1)
    os.close(trainer.facts)
    assert trainer.exit_code() == EXIT_ABANDONED
    trainer.facts = os.open(os.devnull, os.O_RDONLY)


def test_silence_ends_it(bench: Bench, impatient_trainer: TrainerProcess) -> None:
    impatient_trainer.launch(bench, bench.assignment(tiny_spec(**LONG)))
    assert impatient_trainer.exit_code() == EXIT_ABANDONED
    assert "no sign of the supervisor for 0.5 s" in impatient_trainer.last_words()


def test_ticks_keep_it_alive(bench: Bench, impatient_trainer: TrainerProcess) -> None:
    """Loading alone takes longer than the limit."""
    impatient_trainer.launch(bench, bench.assignment(tiny_spec()))
    assert list(impatient_trainer.hear())[-1].goodbye.ending == pipe_pb2.ENDING_COMPLETE


def test_garbage_instead_of_a_launch_ends_it(trainer: TrainerProcess) -> None:
    assert trainer.process.stdin is not None
    trainer.process.stdin.write(struct.pack(">I", 1 << 30))
    trainer.process.stdin.flush()
    assert trainer.exit_code() == EXIT_ABANDONED
    assert "at most 4194304 are allowed" in trainer.last_words()


PARENT = """
import subprocess, sys
trainer = subprocess.Popen([sys.executable, "-m", "trainer_worker.trainer"], pass_fds=(3,))
sys.exit(trainer.wait())
"""


def test_it_dies_with_its_parent(bench: Bench) -> None:
    """The pipes stay open here, and ticks go on: it is the kernel that ends it."""
    parent = TrainerProcess(arguments=("-c", PARENT))
    try:
        parent.launch(bench, bench.assignment(tiny_spec(**LONG)))
        parent.hear_until("progress", step=1)
        parent.process.kill()
        killed_at = time.monotonic()
        for _ in parent.hear():
            pass
        assert time.monotonic() - killed_at < 2.0
    finally:
        parent.close()


@pytest.mark.parametrize(
    ("damage", "ending", "reason"),
    [
        ("checkpoint", pipe_pb2.ENDING_BAD_CHECKPOINT, jobs_pb2.FAILURE_REASON_NO_CHECKPOINT),
        ("dataset", pipe_pb2.ENDING_FAILED, jobs_pb2.FAILURE_REASON_INPUT_GONE),
        ("text", pipe_pb2.ENDING_FAILED, jobs_pb2.FAILURE_REASON_BAD_INPUT),
    ],
)
def test_input_that_cannot_be_used_is_named_in_the_goodbye(bench: Bench, damage: str, ending: int, reason: int) -> None:
    assignment = bench.assignment(tiny_spec(steps=2), epoch=2)
    if damage == "checkpoint":
        written = bench.run(tiny_spec(steps=2)).checkpoints[0]
        (bench.files(written) / "model.safetensors").chmod(0o644)
        (bench.files(written) / "model.safetensors").write_bytes(b"not what it was")
        assignment.resume.CopyFrom(resume_from(written))
    elif damage == "dataset":
        bench.store.delete(bench.dataset.key)
    else:
        assignment.dataset.train_bytes = 40
    goodbye = worked(bench, assignment)[-1].goodbye
    assert (goodbye.ending, goodbye.failure.reason) == (ending, reason)
    assert goodbye.failure.message and goodbye.failure.help


def worked(bench: Bench, assignment: workers_pb2.Assignment) -> list[pipe_pb2.FromTrainer]:
    """What `work` writes, in this process: it needs no supervisor."""
    launch = pipe_pb2.Launch(assignment=assignment, artifacts_url=bench.url, scratch_dir=str(bench.scratch))
    read, written = os.pipe()
    assert work(launch, writer=Writer(written), stop=lambda: False) == 0
    os.close(written)
    with os.fdopen(read, "rb") as pipe:
        content = pipe.read()
    messages = []
    while content:
        (size,) = struct.unpack(">I", content[:4])
        messages.append(pipe_pb2.FromTrainer.FromString(content[4 : 4 + size]))
        content = content[4 + size :]
    return messages


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), jobs_pb2.FAILURE_REASON_OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory"), jobs_pb2.FAILURE_REASON_OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), jobs_pb2.FAILURE_REASON_OUT_OF_MEMORY),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), jobs_pb2.FAILURE_REASON_TRAINER_ERROR),
        (StoreUnavailable("no answer"), None),
        (OSError(5, "Input/output error"), None),
        (SafetensorError("Error while serializing: I/O error: Input/output error (os error 5)"), None),
    ],
)
def test_only_what_would_happen_again_fails_the_job(error: Exception, reason: int | None) -> None:
    goodbye = goodbye_for(error)
    assert (goodbye.failure.reason if goodbye else None) == reason


POINTS = ["step_done:7", "checkpoint_filled:2"]
MORE_POINTS = ["checkpoint_begins:2", "checkpoint_model:2", "checkpoint_optimizer:3", "checkpoint_handed:2"]
MORE_POINTS += ["checkpoint_told:2", "checkpoint_filled:4", "step_done:12"]


@pytest.mark.parametrize("point", [*POINTS, *(pytest.param(point, marks=pytest.mark.slow) for point in MORE_POINTS)])
def test_killed_at_this_point_it_is_gone_on_to_the_same_end(bench: Bench, point: str) -> None:
    trainer = TrainerProcess(environment={"TUTELAGE_FAULTPOINT": point, "TMPDIR": str(bench.folder)})
    try:
        trainer.launch(bench, bench.assignment(tiny_spec()))
        told = story_of(list(trainer.hear()))
        assert trainer.exit_code() == -signal.SIGKILL
    finally:
        trainer.close()
    whole = bench.run(tiny_spec(), epoch=3)
    assert_only_whole_checkpoints(bench, told)
    # So short a run may die before any checkpoint is stored: then the next attempt begins anew.
    last = resume_from(list(told.checkpoints.values())[-1]) if told.checkpoints else None
    rest = bench.run(tiny_spec(), epoch=2, recorded_step=max(told.curve, default=0), resume=last)
    assert told.curve | rest.curve == whole.curve
    assert told.samples | rest.samples == whole.samples
    assert bench.weights_sha256(rest.complete) == bench.weights_sha256(whole.complete)


def test_the_process_loads_no_grpc_and_no_celery() -> None:
    code = "import sys, trainer_worker.trainer.work; print({'grpc', 'celery', 'sqlalchemy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize("kind", ["draw", "evaluate"])
def test_shorter_kinds_of_work_are_found_by_their_specification(
    bench: Bench, trainer: TrainerProcess, kind: str
) -> None:
    written = bench.run(tiny_spec(steps=1, evaluation_interval=0, samples_interval=0)).complete
    model = workers_pb2.ModelArtifact(
        name="m", artifact_prefix=written.artifact_prefix, manifest_sha256=written.manifest_sha256
    )
    stored = bench.store.put("datasets/prompts", b'{"prompt":"a"}\n{"prompt":"b"}\n')
    prompts = workers_pb2.DatasetArtifact(
        key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        format=datasets_pb2.DATASET_FORMAT_JSONL,
        row_kind=datasets_pb2.ROW_KIND_PROMPT,
    )
    options = training_pb2.DrawOptions(max_tokens=3, temperature=1.0)
    specs = {
        "draw": {"draw": training_pb2.DrawSpec(samples=2, options=options), "dataset": prompts, "models": [model]},
        "evaluate": {"evaluate": training_pb2.EvaluateSpec(), "dataset": bench.dataset, "base": model},
    }
    trainer.launch(bench, workers_pb2.Assignment(job="j", checkpoint_prefix="checkpoints/j/e1", **specs[kind]))
    messages = list(trainer.hear())
    assert messages[-1].goodbye.ending == pipe_pb2.ENDING_COMPLETE
    names = {path.name for path in bench.files(story_of(messages).complete).iterdir()}
    assert names == {"manifest.json", "answers.jsonl" if kind == "draw" else "report.json"}
    told = story_of(messages).of(facts_pb2.AnswersDrawn)
    assert [one.prompt_number for one in told] == ([1, 2] if kind == "draw" else [])
