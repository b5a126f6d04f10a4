"""Redis may be frozen, emptied or absent: jobs are accepted, start, train and end all the same."""

import pathlib
import signal

import pytest
import redis

from tests.support.runs import client_of, submit, upload_text, wait_for_step
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

START_LIMIT_S = 15.0


def broker(stack: Stack) -> "redis.Redis":
    """Returns a connection to the broker of the stack."""
    return redis.Redis(unix_socket_path=find_socket(stack))


def find_socket(stack: Stack) -> str:
    """Returns the path of the broker's socket, as its process was told."""
    arguments = pathlib.Path(f"/proc/{stack.pids()['valkey']}/cmdline").read_bytes().split(b"\0")
    if b"--unixsocket" in arguments:
        return arguments[arguments.index(b"--unixsocket") + 1].decode()
    return next(str(path) for path in stack.data_dir.rglob("valkey.sock"))


def test_a_frozen_broker_stops_neither_submits_nor_starts_nor_cancels(stack: Stack) -> None:
    client = client_of(stack)
    upload_text(client)
    running = submit(client, steps=100_000)
    wait_for_step(running, 1)
    stack.kill("valkey", signal.SIGSTOP)
    try:
        waiting = submit(client, steps=50)
        step = running.refresh().progress.step
        wait_for_step(running, step + 50, limit_s=20)
        running.cancel()
        running.wait(timeout=30)
        wait_for(lambda: waiting.refresh().info.attempts, limit_s=START_LIMIT_S, what="the waiting job starts")
        waiting.wait(timeout=60)
    finally:
        stack.kill("valkey", signal.SIGCONT)
    assert str(running.state) == "CANCELLED"
    assert str(waiting.state) == "SUCCEEDED"


def test_bells_lost_from_an_emptied_broker_cost_no_job(stack: Stack) -> None:
    client = client_of(stack)
    first = submit(client, steps=100_000)
    wait_for_step(first, 1)
    second = submit(client, steps=50)
    broker(stack).flushall()
    first.cancel()
    second.wait(timeout=60)
    assert str(second.state) == "SUCCEEDED"


def test_a_killed_broker_comes_back_and_jobs_go_on(stack: Stack) -> None:
    client = client_of(stack)
    job = submit(client, steps=1500)
    wait_for_step(job, 1)
    stack.wait_for_new_pid("valkey", stack.kill("valkey"))
    job.wait(timeout=60)
    after = submit(client, steps=20)
    after.wait(timeout=60)
    assert (str(job.state), str(after.state)) == ("SUCCEEDED", "SUCCEEDED")
    assert job.info.attempts == 1


def test_without_any_broker_jobs_start_by_poll(folder: pathlib.Path) -> None:
    with running_stack(folder, environment={"TUTELAGE_BROKER_URL": "redis://127.0.0.1:1/0"}) as stack:
        client = client_of(stack)
        upload_text(client)
        job = submit(client, steps=20)
        wait_for(lambda: job.refresh().info.attempts, limit_s=START_LIMIT_S, what="the job starts")
        job.wait(timeout=60)
        assert str(job.state) == "SUCCEEDED"
