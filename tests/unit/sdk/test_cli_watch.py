"""Watching on the command line: lines on a pipe, a view in a terminal, and a way out that stops nothing."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import tutelage
from tests.unit.sdk.cli_runs import run, run_well
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import KEY, ServiceDouble
from tutelage.cli._lines import Lines
from tutelage.cli._story import POINTS_MAX, Story, thin
from tutelage.cli._watch import last_step
from tutelage.v1 import jobs_pb2, training_pb2

JOB = "plays-tiny-x7k2"


@pytest.fixture(autouse=True)
def configured(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is found by the environment."""
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)


def test_plain_lines_tell_the_whole_story(service: ServiceDouble) -> None:
    add_job(service, steps=200)
    result = run_well("jobs", "watch", JOB)
    lines = result.stdout.splitlines()
    assert lines[0] == f"{JOB}: plays, preset tiny, 200 steps"
    assert "RUNNING: on workers/w1" in lines
    progress = [line for line in lines if line.startswith("step ")]
    assert len(progress) == 21
    assert progress[-1].startswith("step 200/200  loss 1.0150  validation 1.1150  41k tokens/s")
    assert "warning: a worker was lost" in lines
    assert "checkpoint at step 200, 4.8 MiB" in lines
    assert any("┤" in line for line in lines), "the loss curve"
    assert "published plays-tiny/versions/1: validation loss 1.7000" in result.stdout
    assert "tutelage sample plays-tiny --prompt 'To be' --max-tokens 100" in result.stderr


def test_json_lines_are_the_events(service: ServiceDouble) -> None:
    add_job(service)
    result = run_well("jobs", "watch", JOB, "-o", "jsonl")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [int(event["cursor"]) for event in events] == list(range(1, len(service.events) + 1))
    assert events[2]["metric_logged"]["values"]["train/loss"] == 4.0
    assert result.stderr == ""


def test_json_is_the_job_when_it_is_over_and_progress_goes_to_standard_error(service: ServiceDouble) -> None:
    add_job(service)
    result = run_well("jobs", "watch", JOB, "-o", "json")
    assert json.loads(result.stdout)["state"] == "JOB_STATE_SUCCEEDED"
    assert "step 20/20" in result.stderr


@pytest.mark.parametrize("command", [("jobs", "watch", JOB), ("jobs", "wait", JOB)])
@pytest.mark.parametrize("state", [jobs_pb2.JOB_STATE_FAILED, jobs_pb2.JOB_STATE_CANCELLED])
@pytest.mark.parametrize("output", ["table", "json"])
def test_a_job_that_did_not_succeed_is_exit_code_3(
    service: ServiceDouble, command: tuple[str, ...], state: int, output: str
) -> None:
    add_job(service, state=state)
    result = run(*command, "-o", output)
    assert result.exit_code == 3
    assert output == "table" or json.loads(result.stdout)["name"].endswith(JOB)


def test_a_failure_says_why_and_what_would_help(service: ServiceDouble) -> None:
    add_job(service, state=jobs_pb2.JOB_STATE_FAILED)
    result = run("jobs", "watch", JOB)
    assert "failed (DIVERGED): the loss became infinite at step 7" in result.stdout
    assert "→ lower the learning rate" in result.stdout
    assert f"tutelage jobs explain {JOB}" in result.stderr


def test_waiting_too_long_is_exit_code_4(service: ServiceDouble) -> None:
    add_job(service, state=jobs_pb2.JOB_STATE_QUEUED)
    result = run("jobs", "wait", JOB, "--limit-seconds", "0.2")
    assert result.exit_code == 4
    assert "goes on" in result.stderr


def test_training_can_be_watched_at_once(service: ServiceDouble) -> None:
    add_job(service)
    finished = service.jobs[f"projects/p/jobs/{JOB}"]
    service.jobs.clear()

    def train(request: jobs_pb2.TrainRequest, context: object) -> jobs_pb2.Job:
        service.jobs[finished.name] = finished
        return finished

    service.answers["Train"] = train
    assert "published plays-tiny/versions/1" in run_well("train", "--dataset", "plays", "--watch").stdout


def test_a_job_that_waits_is_explained(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutelage.cli._watch.EXPLAIN_INTERVAL_S", 0.05)
    add_job(service, state=jobs_pb2.JOB_STATE_QUEUED)
    rest = service.events[1:]
    service.events = service.events[:1]
    original = service.ExplainJob

    def explain(request: object, context: object) -> jobs_pb2.ExplainJobResponse:
        rest[-1].state_changed.to = service.jobs[f"projects/p/jobs/{JOB}"].state = jobs_pb2.JOB_STATE_CANCELLED
        service.events += rest
        rest.clear()
        return original(request, context)

    service.answers["ExplainJob"] = explain
    result = run("jobs", "watch", JOB)
    assert "2 before it in the queue · waits for a free slot · start another worker" in result.stdout


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from tutelage.cli import main; main()", *arguments]


def unfinished(service: ServiceDouble) -> None:
    add_job(service, state=jobs_pb2.JOB_STATE_RUNNING)
    service.events.pop()
    service.hold_watch = True


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_come_back(service: ServiceDouble) -> None:
    unfinished(service)
    watch = subprocess.Popen(command("jobs", "watch", JOB), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    for line in watch.stdout:
        if line.startswith("step 20/20"):
            break
    watch.send_signal(signal.SIGINT)
    _, stderr = watch.communicate(timeout=20)
    assert watch.returncode == 130
    assert f"tutelage jobs watch {JOB}" in stderr
    assert "Traceback" not in stderr
    assert not service.requests("CancelJob")


def test_ctrl_c_ends_a_wait_quietly(service: ServiceDouble) -> None:
    add_job(service, state=jobs_pb2.JOB_STATE_QUEUED)
    wait = subprocess.Popen(command("jobs", "wait", JOB), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while len(service.requests("GetJob")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    wait.send_signal(signal.SIGINT)
    _, stderr = wait.communicate(timeout=20)
    assert wait.returncode == 130
    assert "Traceback" not in stderr


def test_a_reader_that_goes_away_is_no_disaster(service: ServiceDouble) -> None:
    add_job(service, steps=5000)
    watch = subprocess.Popen(
        command("jobs", "watch", JOB, "-o", "jsonl"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watch.stdout is not None and watch.stderr is not None
    watch.stdout.readline()
    watch.stdout.close()
    assert watch.wait(timeout=30) == 1
    assert "Traceback" not in watch.stderr.read()
    watch.stderr.close()


def in_terminal(*arguments: str, columns: int = 100, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Runs a command in a terminal of its own and returns how it ended and all it wrote there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **(env or {})})
        words = command(*arguments)
        os.execv(words[0], words)
    text = b"".join(read_all(terminal))
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), text.decode()


def read_all(terminal: int) -> Iterator[bytes]:
    while select.select([terminal], [], [], 30)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            return
        if not data:
            return
        yield data


def test_a_terminal_shows_a_live_view_and_then_a_summary(service: ServiceDouble) -> None:
    add_job(service, steps=200)
    service.event_pause_s = 0.005
    code, text = in_terminal("jobs", "watch", JOB)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for words in ("RUNNING", "/200", "loss ", "41k", "Ctrl-C leaves", "train/loss", "published plays-tiny/versions/1"):
        assert words in plain, words
    assert re.search("[▁▂▃▄▅▆▇█]{10}", plain), "the sparkline"
    assert "\x1b[2J" not in text, "what the service sent"


def test_no_colour_means_no_colour_in_a_terminal_too(service: ServiceDouble) -> None:
    add_job(service)
    code, text = in_terminal("jobs", "list", env={"NO_COLOR": "1"})
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", text)


def test_a_narrow_terminal_is_enough(service: ServiceDouble) -> None:
    add_job(service, steps=50)
    code, text = in_terminal("jobs", "watch", JOB, columns=40)
    assert code == 0
    assert "succeeded" in text


def test_a_story_is_put_together_from_events(service: ServiceDouble) -> None:
    add_job(service)
    story = Story(name=JOB, steps_total=20, state="QUEUED")
    for event in service.events:
        story.hear(tutelage.JobEvent.from_message(event))
    assert (story.state, story.step, story.epoch) == ("SUCCEEDED", 20, 1)
    assert (story.loss, story.validation_loss) == (1.15, 1.25)
    assert story.remaining_seconds == 0
    assert story.checkpoint_step == 20
    assert story.sample is not None and story.sample.prompt == "To be"


def test_a_story_of_a_long_run_stays_small() -> None:
    points: list[tuple[int, float]] = []
    for step in range(1, 100_001):
        points.append((step, 1 / step))
        points = thin(points)
    assert len(points) < 2 * POINTS_MAX
    assert points[-1][0] == 100_000
    steps = [step for step, _ in points]
    assert steps == sorted(set(steps))


def test_a_run_of_a_few_steps_gets_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(name=JOB, steps_total=3, state="RUNNING")
    lines = Lines(story, to_stderr=False)
    for step in (1, 2, 3):
        metric = jobs_pb2.MetricLogged(step=step, values={"train/loss": float("nan")})
        event = tutelage.JobEvent.from_message(jobs_pb2.JobEvent(cursor=step, metric_logged=metric))
        story.hear(event)
        lines.show(event)
    assert capsys.readouterr().out.splitlines() == [f"step {step}/3  loss nan" for step in (1, 2, 3)]


def test_steps_of_a_verification_have_the_numbers_of_the_verified_job() -> None:
    spec = training_pb2.VerifySpec(job=JOB, first_step=21, steps=5)
    progress = jobs_pb2.JobProgress(step=0, steps_total=5)
    assert last_step(tutelage.JobInfo.from_message(jobs_pb2.Job(name=JOB, verify=spec, progress=progress))) == 25
