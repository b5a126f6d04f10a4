"""What commands print: pure JSON for scripts, clean text for people, and an exit code that means something."""

import json
import os
import pathlib
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.cli_runs import json_lines_of, json_of, run, run_well
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tutelage.cli._commands import exit_code
from tutelage.v1 import jobs_pb2

JOB = "plays-tiny-x7k2"

LISTS = {
    "datasets list": "projects/p/datasets/plays",
    "jobs list": f"projects/p/jobs/{JOB}",
    "models list": "projects/p/models/plays-tiny",
    "models versions plays-tiny": "projects/p/models/plays-tiny/versions/1",
    f"jobs checkpoints {JOB}": f"projects/-/jobs/{JOB}/checkpoints/20",
    "keys list": "projects/p/apiKeys/4k2j8x0q7d1c",
    "workers": "workers/w1",
    "queues": "queues/default",
}
SINGLES = {
    "datasets get plays": "projects/p/datasets/plays",
    "datasets delete plays": "projects/p/datasets/plays",
    f"jobs get {JOB}": f"projects/p/jobs/{JOB}",
    f"jobs cancel {JOB}": f"projects/p/jobs/{JOB}",
    f"jobs pause {JOB}": f"projects/p/jobs/{JOB}",
    f"jobs resume {JOB}": f"projects/p/jobs/{JOB}",
    f"jobs wait {JOB}": f"projects/p/jobs/{JOB}",
    f"jobs watch {JOB}": f"projects/p/jobs/{JOB}",
    "models get plays-tiny": "projects/p/models/plays-tiny",
    "models get plays-tiny/versions/1": "projects/p/models/plays-tiny/versions/1",
    "keys revoke 4k2j8x0q7d1c": "projects/-/apiKeys/4k2j8x0q7d1c",
    "train --dataset plays": f"projects/p/jobs/{JOB}",
    "fine-tune --base plays-tiny --dataset plays --lora": "projects/p/jobs/tuned",
    "models import --dataset plays --name other": "projects/p/jobs/importing",
    "models export plays-tiny": "projects/p/jobs/exporting",
    f"jobs verify {JOB} --no-watch": "projects/p/jobs/verifying",
}
OTHERS = (
    "audit",
    "info",
    f"jobs events {JOB}",
    f"jobs explain {JOB}",
    f"jobs metrics {JOB}",
    "sample plays-tiny --prompt x",
    "sample plays-tiny --prompt x --samples 2",
    "sample plays-tiny --prompt x --logprobs 1",
    "train --dataset plays --dry-run",
    "fine-tune --base plays-tiny --dataset plays --dry-run",
    f"jobs inspect {JOB}",
    f"jobs receipt {JOB}",
    f"jobs files {JOB}",
    "doctor",
)


@pytest.fixture(autouse=True)
def furnished(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch) -> ServiceDouble:
    """A service with one of everything, found by the environment."""
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)
    add_job(service)
    service.files = {"model.safetensors": b"weights"}
    with tutelage.Client() as client:
        client.datasets.upload(b"to be\nor not\n", name="plays")
    service.calls.clear()
    return service


@pytest.mark.parametrize("command", LISTS)
def test_lists_are_arrays_of_the_messages(command: str) -> None:
    content = json_of(*command.split())
    assert content[0]["name"] == LISTS[command]
    assert [line["name"] for line in json_lines_of(*command.split())] == [item["name"] for item in content]
    names = run_well(*command.split(), "-o", "name").stdout.splitlines()
    assert names == [item["name"] for item in content]


@pytest.mark.parametrize("command", SINGLES)
def test_single_answers_are_the_message(command: str) -> None:
    content = json_of(*command.split())
    assert content["name"] == SINGLES[command]
    assert run_well(*command.split(), "-o", "name").stdout.strip() == SINGLES[command]


@pytest.mark.parametrize("command", [*SINGLES, *OTHERS])
def test_standard_output_holds_json_and_nothing_else(command: str) -> None:
    json_of(*command.split())
    assert json_lines_of(*command.split())


@pytest.mark.parametrize("command", [*LISTS, *SINGLES, *OTHERS])
def test_text_on_a_pipe_has_no_colour_and_no_controls(command: str) -> None:
    result = run_well(*command.split())
    assert result.stdout.strip()
    for character in result.stdout + result.stderr:
        assert character == "\n" or character.isprintable(), repr(character)


@pytest.mark.parametrize("command", [*LISTS, *SINGLES, *OTHERS])
def test_text_in_a_terminal_obeys_nothing_that_the_service_said(command: str) -> None:
    result = run_well(*command.split(), color=True)
    for planted in ("\x1b[31m", "\x1b[2J", "\x1b]0;", "\x07"):
        assert planted not in result.stdout


def test_escapes_of_the_service_are_escaped_in_json() -> None:
    result = run_well("jobs", "explain", JOB, "-o", "json")
    assert "\x1b" not in result.stdout
    assert json.loads(result.stdout)["findings"][0]["fact"].endswith("\x1b[31m")


def test_an_empty_list_says_what_to_do_and_prints_nothing(service: ServiceDouble) -> None:
    service.jobs.clear()
    result = run_well("jobs", "list")
    assert result.stdout == ""
    assert "tutelage train" in result.stderr
    assert json_of("jobs", "list") == []


def test_a_list_is_never_longer_than_asked_for(service: ServiceDouble) -> None:
    for number in range(5):
        service.jobs[f"projects/p/jobs/job-{number}"] = jobs_pb2.Job(name=f"projects/p/jobs/job-{number}")
    assert len(json_of("jobs", "list", "--limit", "3", "--oldest-first")) == 3
    assert service.requests("ListJobs")[0].order_by == "create_time asc"


ERRORS = {
    "NOT_FOUND": 1,
    "INVALID_ARGUMENT": 2,
    "ALREADY_EXISTS": 1,
    "FAILED_PRECONDITION": 1,
    "RESOURCE_EXHAUSTED": 1,
    "INTERNAL": 1,
    "DEADLINE_EXCEEDED": 4,
    "UNAUTHENTICATED": 5,
    "PERMISSION_DENIED": 5,
}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("output", ["table", "json"])
def test_errors_go_to_standard_error_with_an_honest_exit_code(service: ServiceDouble, code: str, output: str) -> None:
    service.fail("GetJob", failure(grpc.StatusCode[code], "the \x1b[31mwords"))
    result = run("jobs", "get", JOB, "-o", output)
    assert result.exit_code == ERRORS[code]
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "\x1b" not in result.stderr


def test_the_service_is_heard_out_about_what_was_meant() -> None:
    result = run("train", "--dataset", "pleys", "--watch")
    assert result.exit_code == 0, "the stand-in takes any dataset"
    result = run("datasets", "get", "pleys")
    assert result.exit_code == 1
    assert "did you mean 'plays'?" in result.stderr


def test_every_wrong_field_is_shown(service: ServiceDouble) -> None:
    fields = {"spec.architecture.heads": "must divide width 64", "spec.steps": "must be above 0"}
    service.fail("Train", failure(grpc.StatusCode.INVALID_ARGUMENT, "2 fields are wrong", fields=fields))
    result = run("train", "--dataset", "plays", "--heads", "5", "--steps", "-1")
    assert result.exit_code == 2
    for field, description in fields.items():
        assert f"{field}: {description}" in result.stderr


def test_nothing_configured_is_exit_code_5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUTELAGE_ADDRESS")
    monkeypatch.delenv("TUTELAGE_API_KEY")
    result = run("jobs", "list", "-o", "json")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "tutelage up" in result.stderr


def test_a_server_that_is_away_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_ADDRESS", "127.0.0.1:1")
    result = run("jobs", "list", "--timeout", "0.5")
    assert result.exit_code in (1, 4)
    assert "127.0.0.1:1" in result.stderr


def test_every_error_of_the_library_has_an_exit_code() -> None:
    for name in tutelage.__all__:
        kind = getattr(tutelage, name)
        if isinstance(kind, type) and issubclass(kind, tutelage.TutelageError):
            assert exit_code(kind("x")) in (1, 2, 3, 4, 5)


def test_a_fault_of_ours_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("tutelage._sync.jobs.Jobs.get", broken)
    assert isinstance(run("jobs", "get", JOB).exception, ZeroDivisionError)


def test_an_upload_prints_rows_tokens_and_split(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("to be\n" * 100)
    result = run_well("datasets", "upload", str(path), "--name", "more")
    for words in ("600 bytes in 100 rows", "600 as bytes", "training", "sha256", "validation"):
        assert words in result.stdout


def test_an_upload_reads_standard_input(service: ServiceDouble) -> None:
    run_well("datasets", "upload", "-", "--name", "piped", input=b"to be\n")
    assert service.datasets["projects/p/datasets/piped"].size_bytes == 6


def test_a_file_that_is_not_there_is_wrong_use() -> None:
    result = run("datasets", "upload", "/no/such/file", "--name", "x")
    assert result.exit_code == 2
    assert "/no/such/file" in result.stderr


def test_a_key_alone_goes_to_standard_output() -> None:
    result = run_well("keys", "create", "--role", "trainer", "--expires-in", "90")
    assert result.stdout == "tut_4k2j8x0q7d1c_secret\n"
    assert "shown only now" in result.stderr


def test_text_appears_after_its_prompt() -> None:
    result = run_well("sample", "plays-tiny", "--prompt", "To be")
    assert result.stdout == "To be or not to be\n"


def test_a_prompt_comes_from_standard_input(service: ServiceDouble) -> None:
    run_well("sample", "plays-tiny", input="To be\n")
    assert service.requests("StreamSample")[0].prompt == "To be"


def test_options_of_drawing_reach_the_service(service: ServiceDouble) -> None:
    words = "--max-tokens 5 --temperature 0 --top-k 3 --top-p 0.5 --seed 7 --stop a --stop b"
    run_well("sample", "plays-tiny", "--prompt", "x", *words.split())
    asked = service.requests("StreamSample")[0]
    assert (asked.max_tokens, asked.temperature, asked.top_k, asked.top_p, asked.seed) == (5, 0.0, 3, 0.5, 7)
    assert list(asked.stop) == ["a", "b"]


def test_hyperparameters_reach_the_service(service: ServiceDouble) -> None:
    words = "--preset tiny --steps 20 --tokenizer bpe --vocabulary-size 512 --learning-rate 1e-3 --no-tied-head"
    run_well("train", "--dataset", "plays", *words.split(), "--label", "team=search", "--label", "a=b=c")
    request = service.requests("Train")[0]
    assert dict(request.labels) == {"team": "search", "a": "b=c"}
    assert request.spec.optimization.learning_rate == 1e-3
    assert request.spec.architecture.tied_head is False
    assert request.spec.architecture.HasField("tied_head")
    assert not request.spec.architecture.HasField("layers")


@pytest.mark.parametrize(
    "words", [["--label", "team"], ["--tokenizer", "words"], ["--steps", "many"], ["--watch", "--dry-run"]]
)
def test_wrong_use_is_refused_before_any_call(service: ServiceDouble, words: list[str]) -> None:
    assert run("train", "--dataset", "plays", *words).exit_code == 2
    assert service.calls == []


def test_a_dry_run_prints_the_forecast_and_starts_nothing(service: ServiceDouble) -> None:
    jobs_before = len(service.jobs)
    result = run_well("train", "--dataset", "plays", "--steps", "10", "--dry-run")
    assert "1.2M" in result.stdout
    assert "3 runs like it" in result.stdout
    assert "warning: the text is repeated 12 times" in result.stderr
    assert "nothing was started" in result.stderr
    assert len(service.jobs) == jobs_before


def test_a_profile_is_stored_and_used(
    service: ServiceDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.delenv("TUTELAGE_ADDRESS")
    monkeypatch.delenv("TUTELAGE_API_KEY")
    key_file = tmp_path / "key"
    key_file.write_text(KEY + "\n")
    result = run_well("login", service.address, "--profile", "lab", "--key-file", str(key_file))
    assert "admin of projects/p" in result.stderr
    assert KEY not in result.output
    assert json_of("jobs", "list")
    assert json_of("jobs", "list", "--profile", "lab")


def test_a_key_that_the_server_does_not_know_is_not_stored(service: ServiceDouble) -> None:
    result = run("login", service.address, input="tut_wrong\n")
    assert result.exit_code == 5
    assert "tut_wrong" not in result.output
    assert not (pathlib.Path(os.environ["XDG_CONFIG_HOME"]) / "tutelage").exists()


def test_the_doctor_finds_nothing_wrong_with_a_healthy_line() -> None:
    result = run_well("doctor")
    for words in ("configuration", "connection", "admin of projects/p", "client", "1 ready, 2 free slots", "clock"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TUTELAGE_API_KEY", "tut_wrong", "unknown key"),
        ("TUTELAGE_PROFILE", "nowhere", "no profile"),
        ("TUTELAGE_ADDRESS", "127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_the_doctor_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str) -> None:
    if variable == "TUTELAGE_PROFILE":
        monkeypatch.delenv("TUTELAGE_ADDRESS")
    monkeypatch.setenv(variable, value)
    result = run("doctor")
    assert result.exit_code == 1
    assert "bad " in result.stdout
    assert words in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_for_each_shell(shell: str) -> None:
    assert "_TUTELAGE_COMPLETE" in run_well("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tutelage jo", "jobs"),
        ("tutelage jobs wa", "watch"),
        ("tutelage jobs watch plays", JOB),
        ("tutelage sample pl", "plays-tiny"),
        ("tutelage datasets get ", "plays"),
        ("tutelage train --dataset pl", "plays"),
        ("tutelage train --tokenizer b", "bpe"),
    ],
)
def test_words_and_live_ids_are_completed(words: str, expected: str) -> None:
    environment = {"_TUTELAGE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = run(env=environment)
    assert expected in result.stdout


def test_completion_is_silent_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_ADDRESS", "127.0.0.1:1")
    environment = {"_TUTELAGE_COMPLETE": "bash_complete", "COMP_WORDS": "tutelage jobs get x", "COMP_CWORD": "3"}
    assert run(env=environment).output.strip() == ""


def test_the_version_is_printed_alone() -> None:
    assert run_well("version").stdout.strip() == tutelage.__version__
