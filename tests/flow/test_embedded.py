"""`tutelage up`: the real parts under one parent, started, killed, taken over and drained."""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator

import grpc
import httpx
import pytest

from embedded.data_folder import DataFolder
from embedded.health import is_serving
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_for
from tutelage.v1 import cluster_pb2, cluster_pb2_grpc, jobs_pb2, jobs_pb2_grpc

PARTS = {"valkey", "services", "gateway", "sampler", "supervisor"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("up") / "data", sampler=True) as running:
        yield running


def asks_and_is_answered(house: Stack) -> bool:
    """Tells whether a call goes all the way from a client to the database and back."""
    metadata = [("authorization", f"Bearer {house.api_key}")]
    with grpc.insecure_channel(house.address) as channel, contextlib.suppress(grpc.RpcError):
        answer = jobs_pb2_grpc.JobsStub(channel).ListJobs(
            jobs_pb2.ListJobsRequest(parent="projects/-"), metadata=metadata, timeout=5
        )
        return answer.next_page_token == ""
    return False


def workers(house: Stack) -> list[str]:
    metadata = [("authorization", f"Bearer {house.api_key}")]
    with grpc.insecure_channel(house.address) as channel, contextlib.suppress(grpc.RpcError):
        stub = cluster_pb2_grpc.ClusterStub(channel)
        answer = stub.ListWorkers(cluster_pb2.ListWorkersRequest(), metadata=metadata, timeout=5)
        return [worker.name for worker in answer.workers if worker.state == cluster_pb2.WORKER_STATE_READY]
    return []


def up(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
    command = [sys.executable, "-m", "embedded", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_every_part_runs_and_a_call_is_answered(house: Stack) -> None:
    assert set(house.pids()) == PARTS
    assert asks_and_is_answered(house)
    assert is_serving(house.address)
    wait_for(lambda: workers(house), limit_s=15, what="the worker to be known")


def test_the_http_port_answers(house: Stack) -> None:
    url = f"{house.http_address}/tutelage.v1.Jobs/ListJobs"
    headers = {"authorization": f"Bearer {house.api_key}"}
    answer = httpx.post(url, json={"parent": "projects/-"}, headers=headers, timeout=10)
    assert answer.status_code == 200


def test_secrets_key_and_profile_are_for_their_owner_only(house: Stack) -> None:
    private = [*(house.data_dir / "secrets").iterdir(), house.data_dir / "keys" / "admin", house.profile]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert house.api_key.startswith("tut_")


def test_no_part_is_told_secrets_by_its_environment_or_arguments(house: Stack) -> None:
    secrets = [path.read_bytes().strip() for path in (house.data_dir / "secrets").iterdir()]
    secrets.append(house.api_key.encode())
    for name, pid in house.pids().items():
        told = pathlib.Path(f"/proc/{pid}/environ").read_bytes() + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(secret in told for secret in secrets), name


def test_a_second_start_on_the_folder_is_refused_with_the_id_of_the_first(house: Stack) -> None:
    done = up("--data-dir", str(house.data_dir), "--port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert f"in use by process {house.process.pid}" in done.stderr
    assert asks_and_is_answered(house)


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_killed_part_comes_back_and_calls_are_answered_again(house: Stack, name: str) -> None:
    old = house.kill(name, signal.SIGKILL)
    house.wait_for_new_pid(name, old)
    wait_for(lambda: asks_and_is_answered(house), limit_s=20, what=house.all_logs()[-2000:])
    wait_for(lambda: set(house.pids()) == PARTS, limit_s=10)


@pytest.mark.parametrize("flag", ["--port", "--http-port"])
def test_a_busy_port_is_named_before_anything_starts(tmp_path: pathlib.Path, flag: str) -> None:
    other = {"--port": "--http-port", "--http-port": "--port"}[flag]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = up("--data-dir", str(tmp_path / "data"), flag, port, other, "0")
    assert done.returncode == 1
    assert f"port {port} cannot be used" in done.stderr
    assert f"choose another with {flag}" in done.stderr
    assert not (tmp_path / "data" / "run" / "processes.json").exists()


def test_a_killed_house_leaves_nothing_and_its_folder_is_taken_over(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "data"
    with running_stack(folder) as first:
        pids = first.pids()
        key = first.api_key
        first.process.kill()
        wait_for(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids.values()), limit_s=5)
    assert list((folder / "run").glob("tutelage-gateway-*")) or len(str(folder)) > 55
    with running_stack(folder) as second:
        assert len(list((folder / "run").glob("tutelage-gateway-*"))) <= 1
        assert second.api_key == key
        assert asks_and_is_answered(second)
        assert second.stop() == 0
        assert second.pids() == {}


def test_sockets_of_a_deep_folder_lie_elsewhere_and_go_with_the_house(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / ("x" * 100)
    with running_stack(folder) as house:
        run_dir = DataFolder(folder).run_dir(os.environ)
        assert run_dir.parent != folder
        assert (run_dir / "services.sock").exists()
        assert asks_and_is_answered(house)
        assert house.stop() == 0
    assert not run_dir.exists()


def test_the_text_for_people_names_the_addresses_and_what_to_do_next(tmp_path: pathlib.Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}
    command = [sys.executable, "-m", "embedded", "--data-dir", str(tmp_path), "--port", "0", "--http-port", "0"]
    house = subprocess.Popen(
        [*command, "--no-sampler"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert house.stdout is not None
    try:
        ready, _, _ = select.select([house.stdout], [], [], 60)
        assert ready
        house.send_signal(signal.SIGINT)
        said, told = house.communicate(timeout=60)
    finally:
        house.kill()
        house.wait()
    assert house.returncode == 0, told
    assert json.loads((tmp_path / "run" / "processes.json").read_text()) == {}
    for words in ("Tutelage is up.", "gRPC", "HTTP", str(tmp_path / "profile.toml"), "tutelage train", "Ctrl-C"):
        assert words in said
    assert "Stopped." in told
