"""What the command line refuses by itself, in words and with exit code 2, before it asks the service."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
from typing import Any

import grpc
import pytest

from tests.unit.sdk.cli_runs import run, run_well
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tutelage.v1 import datasets_pb2

UNDECODABLE = os.fsdecode(b"ol\xff")


@pytest.fixture(autouse=True)
def furnished(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch) -> ServiceDouble:
    """A service with a job and its model, found by the environment."""
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)
    add_job(service)
    return service


def assert_refused(service: ServiceDouble, *arguments: str, words: str, input: bytes | None = None) -> None:
    result = run(*arguments, input=input)
    assert result.exit_code == 2, f"{result.output}{result.exception!r}"
    assert words in result.stderr
    assert result.stdout == ""
    assert service.calls == []


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "get", UNDECODABLE),
        ("jobs", "list", "--filter", UNDECODABLE),
        ("sample", "plays-tiny", "--prompt", UNDECODABLE),
        ("train", "--dataset", "plays", f"--label=a={UNDECODABLE}"),
        (UNDECODABLE,),
    ],
)
def test_an_argument_that_is_not_utf8_is_refused(service: ServiceDouble, words: tuple[str, ...]) -> None:
    assert_refused(service, *words, words="is not UTF-8")


def test_an_argument_that_is_the_name_of_a_file_by_accident_is_refused_too(
    service: ServiceDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path(UNDECODABLE).touch()
    assert_refused(service, "jobs", "get", UNDECODABLE, words="is not UTF-8")


def test_a_file_whose_name_is_not_utf8_is_uploaded(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    path = tmp_path / UNDECODABLE
    path.write_bytes(b"to be\n")
    run_well("datasets", "upload", str(path), "--name", "plays")
    assert service.requests("StartUpload")[0].filename == "ol\ufffd"


def test_a_prompt_on_standard_input_that_is_not_utf8_is_refused(service: ServiceDouble) -> None:
    assert_refused(service, "sample", "plays-tiny", words="standard input is not UTF-8", input=b"to \xff")


def test_a_prompt_on_standard_input_is_read_up_to_its_limit(service: ServiceDouble) -> None:
    longest = "é" * 100_000
    run_well("sample", "plays-tiny", "-o", "json", input=f"{longest}\n".encode())
    assert service.requests("Sample")[0].prompt == longest
    service.calls.clear()
    assert_refused(service, "sample", "plays-tiny", words="100,000 characters", input=f"{longest}é".encode())


def test_a_prompt_is_not_printed_if_the_service_refuses_it(service: ServiceDouble) -> None:
    service.fail("StreamSample", failure(grpc.StatusCode.INVALID_ARGUMENT, "too long"))
    result = run("sample", "plays-tiny", "--prompt", "To be")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("jobs list --limit 99999999999999999999", "--limit"),
        ("datasets list --limit 99999999999999999999", "--limit"),
        ("models versions plays-tiny --limit 99999999999999999999", "--limit"),
        ("audit --limit 99999999999999999999", "--limit"),
        ("sample plays-tiny --prompt x --seed 99999999999999999999", "seed"),
        ("sample plays-tiny --prompt x --max-tokens 99999999999999999999", "max_tokens"),
        ("train --dataset plays --steps 99999999999999999999", "steps"),
    ],
)
def test_a_number_that_no_message_can_carry_is_refused_by_name(service: ServiceDouble, words: str, option: str) -> None:
    assert_refused(service, *words.split(), words=option)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e300"])
@pytest.mark.parametrize("command", ["jobs list --timeout", "jobs wait plays-tiny-x7k2 --limit-seconds"])
def test_a_time_that_nobody_can_wait_is_refused(service: ServiceDouble, command: str, seconds: str) -> None:
    assert_refused(service, *command.split(), seconds, words=command.split()[-1])


@pytest.mark.parametrize("name", ["/tmp/lab.toml", "lab.toml", "a/b", "", "my lab"])
def test_a_path_is_no_name_for_a_profile(service: ServiceDouble, name: str) -> None:
    assert_refused(service, "login", service.address, "--profile", name, "--no-check", words="letters, digits, hyphens")


def test_ctrl_c_in_an_upload_says_how_to_go_on(service: ServiceDouble) -> None:
    running: list[subprocess.Popen[str]] = []
    started, gone = threading.Event(), threading.Event()

    def leave(request: Any, context: Any) -> datasets_pb2.Dataset:
        context.add_callback(gone.set)
        started.wait(20)
        running[0].send_signal(signal.SIGINT)
        gone.wait(20)
        return datasets_pb2.Dataset()

    service.answers["FinishUpload"] = leave
    command = [sys.executable, "-c", "from tutelage.cli import main; main()", "datasets", "upload", __file__]
    running.append(subprocess.Popen([*command, "--name", "plays"], stderr=subprocess.PIPE, text=True))
    started.set()
    _, stderr = running[0].communicate(timeout=20)
    assert running[0].returncode == 130
    assert "the same command goes on where it stopped" in stderr
    assert "Traceback" not in stderr
