"""The data folder: private, locked, and with sockets that the kernel accepts."""

import os
import pathlib
import stat
import subprocess
import sys

import pytest

from embedded import logs, processes, room_secrets
from embedded.data_folder import SOCKET_PATH_BYTES_MAX, DataFolder, StartRefused

HOLD = """
import pathlib, sys
from embedded.data_folder import DataFolder
with DataFolder(pathlib.Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_folders_are_for_their_owner_only(tmp_path: pathlib.Path) -> None:
    DataFolder(tmp_path / "d").prepare()
    modes = {oct(path.stat().st_mode & 0o777) for path in [tmp_path / "d", *(tmp_path / "d").iterdir()]}
    assert modes == {"0o700"}


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartRefused, match="cannot be used"):
        DataFolder(tmp_path / "file" / "d").prepare()


def test_two_on_one_folder_are_refused_with_the_id_of_the_first(tmp_path: pathlib.Path) -> None:
    folder = DataFolder(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StartRefused, match=f"in use by process {holder.pid}"), folder.locked():
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    with folder.locked():
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_sockets_of_a_deep_folder_lie_in_a_short_private_one(tmp_path: pathlib.Path) -> None:
    folder = DataFolder(tmp_path / ("x" * 120))
    run_dir = folder.run_dir({"XDG_RUNTIME_DIR": str(tmp_path)[:60] if len(str(tmp_path)) < 40 else "/tmp"})
    assert len(str(run_dir / "services-internal.sock")) <= SOCKET_PATH_BYTES_MAX
    assert run_dir == folder.run_dir({"XDG_RUNTIME_DIR": str(run_dir.parent)})
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    run_dir.rmdir()


def test_a_short_folder_that_others_can_enter_is_refused(tmp_path: pathlib.Path) -> None:
    folder = DataFolder(tmp_path / ("x" * 120))
    run_dir = folder.run_dir({})
    run_dir.chmod(0o755)
    with pytest.raises(StartRefused, match="not a private folder"):
        folder.run_dir({})
    run_dir.rmdir()


def test_secrets_are_made_once_and_private(tmp_path: pathlib.Path) -> None:
    room_secrets.make_missing(tmp_path)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    room_secrets.make_missing(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first
    assert set(first) == {"gateway", "worker", "sampler", "principal", "services"}
    assert len(set(first.values())) == 5
    assert all(len(bytes.fromhex(secret)) == 32 for secret in first.values())
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_recorded_process_is_ended_and_a_stranger_with_its_id_is_not(tmp_path: pathlib.Path) -> None:
    record = tmp_path / "processes.json"
    started = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2)]
    try:
        processes.write(record, {"left": started[0].pid, "stranger": started[1].pid})
        text = record.read_text()
        mine = processes.start_time(started[1].pid) or ""
        record.write_text(text.replace(f'"pid": {started[1].pid}, "start_time": "{mine}"', f'"pid": {started[1].pid}'))
        assert processes.end_left_over(record) == ["left"]
        assert started[0].wait(timeout=5) == -9
        assert started[1].poll() is None
        assert processes.end_left_over(record) == []
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', '{"x": {"pid": 1}}', '{"x": {"pid": "self"}}'])
def test_a_damaged_record_is_no_obstacle(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "processes.json").write_text(content)
    assert processes.end_left_over(tmp_path / "processes.json") == []


def test_a_log_that_grew_is_put_aside_under_the_hands_of_its_writer(tmp_path: pathlib.Path) -> None:
    file = logs.open_for("gateway", tmp_path)
    os.write(file, b"x" * 100)
    logs.rotate(tmp_path, size_bytes_max=99)
    os.write(file, b"new\n")
    os.close(file)
    assert (tmp_path / "gateway.log").read_bytes() == b"new\n"
    assert (tmp_path / "gateway.log.1").read_bytes() == b"x" * 100
    assert logs.last_lines("gateway", tmp_path) == "new"
    assert logs.last_lines("never", tmp_path) == ""
