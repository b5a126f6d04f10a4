"""The command line of fine-tuning, imports, exports, proofs and looks inside steps."""

import json
import pathlib
from typing import Any

import grpc
import pytest

import tutelage
from tests.unit.sdk.cli_runs import json_of, run, run_well
from tests.unit.sdk.conftest import add_job
from tests.unit.sdk.service_double import KEY, ServiceDouble, failure
from tests.unit.sdk.test_cli_watch import in_terminal
from tests.unit.sdk.test_work import model_folder, note
from tutelage.cli._inside import bar, percent, remark, shade
from tutelage.v1 import datasets_pb2, jobs_pb2, training_pb2

JOB = "plays-tiny-x7k2"
TUNE = ("fine-tune", "--base", "chat", "--dataset", "talks")


@pytest.fixture(autouse=True)
def furnished(service: ServiceDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service with a job, found by the environment."""
    monkeypatch.setenv("TUTELAGE_ADDRESS", service.address)
    monkeypatch.setenv("TUTELAGE_API_KEY", KEY)
    add_job(service)


def tuned(service: ServiceDouble, *words: str) -> training_pb2.FineTuneSpec:
    run_well(*TUNE, *words)
    spec: training_pb2.FineTuneSpec = service.requests("FineTune")[-1].spec
    return spec


def test_settings_of_adapters_reach_the_service(service: ServiceDouble) -> None:
    lora = tuned(service, "--lora", "rank=8,alpha=32,dropout=0.05,targets=query+value,rank-stabilized=yes").lora
    wanted = training_pb2.LoraSpec(rank=8, alpha=32, dropout=0.05, targets=["query", "value"], rank_stabilized=True)
    assert lora == wanted


def test_adapters_without_settings_are_the_services_choice(service: ServiceDouble) -> None:
    for words in (("--lora",), ("--lora", "--steps", "3")):
        spec = tuned(service, *words)
        assert spec.HasField("lora")
        assert spec.lora == training_pb2.LoraSpec()
    assert not tuned(service).HasField("lora")


@pytest.mark.parametrize("settings", ["rank", "rank=many", "rang=8", "rank-stabilized=perhaps", "16", "targets="])
def test_settings_that_cannot_be_read_are_wrong_use(service: ServiceDouble, settings: str) -> None:
    result = run(*TUNE, "--lora", settings)
    assert result.exit_code == 2
    assert "targets=query+value" in result.stderr
    assert service.requests("FineTune") == []


def test_hyperparameters_and_mixture_reach_the_service(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}")
    words = "--optimizer muon --schedule warmup-stable-decay --dropout 0.1 --no-packing --compile --early-stopping 3"
    spec = tuned(
        service, *words.split(), "--mixture", "plays=0.5", "--mixture", "logs", "--chat-template", str(template)
    )
    assert spec.optimization.optimizer == training_pb2.OPTIMIZER_MUON
    assert spec.optimization.schedule == training_pb2.SCHEDULE_WARMUP_STABLE_DECAY
    assert spec.regularization.embedding_dropout == 0.1
    assert spec.regularization.early_stopping.patience == 3
    assert (spec.rows.packing, spec.rows.HasField("packing")) == (False, True)
    assert spec.rows.chat_template == "{{ messages }}"
    assert spec.compute.compilation == training_pb2.COMPILATION_ON
    assert [(part.dataset.rsplit("/")[-1], part.weight) for part in spec.mixture] == [("plays", 0.5), ("logs", 1.0)]


@pytest.mark.parametrize(
    "words", [["--mixture", "plays=much"], ["--mixture", "a", "--mixture", "a=2"], ["--chat-template", "/no/file"]]
)
def test_wrong_use_is_refused_before_any_call(service: ServiceDouble, words: list[str]) -> None:
    assert run(*TUNE, *words).exit_code == 2
    assert service.calls == []


def test_a_dry_run_prints_what_would_be_done(service: ServiceDouble) -> None:
    result = run_well(*TUNE, "--lora", "rank=8", "--dry-run")
    assert "LoRA: rank 8" in result.stdout
    assert "warning: 50 rows are few" in result.stderr
    assert "nothing was started" in result.stderr


def test_what_a_tuning_job_was_told_is_shown(service: ServiceDouble) -> None:
    tuned(service, "--lora", "rank=8", "--learning-rate", "1e-4", "--mixture", "logs=2", "--compile")
    shown = run_well("jobs", "get", "tuned").stdout
    for words in ("kind", "fine-tune", "base", "chat", "mixed with", "logs (weight 2)", "LoRA: rank 8", "0.0001"):
        assert words in shown
    assert "compilation on" in shown
    assert "UNSPECIFIED" not in shown


def test_usage_is_held_against_the_forecast(service: ServiceDouble) -> None:
    job = service.jobs[f"projects/p/jobs/{JOB}"]
    job.usage.training_seconds, job.usage.peak_memory_bytes = 120, 3 << 30
    job.forecast.duration_seconds, job.forecast.memory_bytes = 100, 2 << 30
    shown = run_well("jobs", "get", JOB).stdout
    assert "2m (1m40s foretold)" in shown
    assert "3.0 GiB (2.0 GiB foretold)" in shown


def test_a_list_says_what_kind_of_work_it_is(service: ServiceDouble) -> None:
    run_well("models", "export", "plays-tiny")
    shown = run_well("jobs", "list").stdout
    assert "KIND" in shown
    lines = {line.split()[1]: line for line in shown.splitlines()[1:]}
    assert "20 of 20" in lines["train"]
    assert " of " not in lines["export"], "no steps of its own"


def verdict(service: ServiceDouble, kind: str) -> None:
    """Lets the next verification end at once with a verdict."""
    original = service.VerifyJob

    def verify(request: Any, context: Any) -> jobs_pb2.Job:
        job = original(request, context)
        job.state = jobs_pb2.JOB_STATE_SUCCEEDED
        service.events = [note(kind, "step 13 has another loss" if kind == "differs" else "10 steps came out the same")]
        return job

    service.answers["VerifyJob"] = verify


def test_steps_that_come_out_the_same_are_exit_code_0(service: ServiceDouble) -> None:
    verdict(service, "verified")
    result = run_well("jobs", "verify", JOB)
    assert result.stdout.splitlines() == ["10 steps came out the same", "step  13"]
    assert f"computes steps of {JOB} again" in result.stderr


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "name"])
def test_steps_that_differ_are_exit_code_6(service: ServiceDouble, output: str) -> None:
    verdict(service, "differs")
    result = run("jobs", "verify", JOB, "--first-step", "11", "--steps", "5", "-o", output)
    assert result.exit_code == 6
    assert service.requests("VerifyJob")[0].steps == 5
    if output == "json":
        assert json.loads(result.stdout)["kind"] == "differs"


def test_a_verification_that_fails_is_exit_code_3(service: ServiceDouble) -> None:
    def fail(request: Any, context: Any) -> jobs_pb2.Job:
        return service.jobs[f"projects/p/jobs/{JOB}"]

    add_job(service, state=jobs_pb2.JOB_STATE_FAILED)
    service.answers["VerifyJob"] = fail
    assert run("jobs", "verify", JOB).exit_code == 3


def test_a_receipt_is_shown_whole() -> None:
    shown = run_well("jobs", "receipt", JOB).stdout
    for words in ("20, line 2 after a rollback", "cd" * 32, "ab" * 16, "torch", "2.13"):
        assert words in shown


def test_a_look_inside_a_step_shows_its_three_parts(service: ServiceDouble) -> None:
    shown = run_well("jobs", "inspect", JOB, "--step", "20", "--text", "To be", "--predictions", "2").stdout
    order = [shown.index(words) for words in ("Forward and compare", "Backward", "Adjust")]
    assert order == sorted(order)
    for words in ("' be'", "█", "90%", "0.70%", "'x1' 10%", "blocks.0.attention.qkv", "▲ large", "▼ hardly moves"):
        assert words in shown, words
    assert "890 weights differ from the first checkpoint (89.0% of all)" in shown
    assert len(json_of("jobs", "inspect", JOB)["tokens"]) == 3


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_look_beyond_the_newest_checkpoint_says_which_step_answered(service: ServiceDouble, output: str) -> None:
    said = run_well("jobs", "inspect", JOB, "--step", "5000", "-o", output).stderr
    assert "no checkpoint of step 5,000 is there: this is step 20, the newest one before it" in said
    assert "this is step" not in run_well("jobs", "inspect", JOB, "--step", "20", "-o", output).stderr


def test_a_job_without_a_prompt_of_its_own_is_asked_for_one(service: ServiceDouble) -> None:
    status = failure(grpc.StatusCode.INVALID_ARGUMENT, "text: got 0", fields={"text": "got 0"})
    service.fail("InspectStep", status, status)
    result = run("jobs", "inspect", JOB)
    assert result.exit_code == 2
    assert "give a text with --text" in result.stderr
    assert "got 0" in run("jobs", "inspect", JOB, "--text", "x").stderr


def test_a_terminal_colours_tokens_by_their_likelihood() -> None:
    code, text = in_terminal("jobs", "inspect", JOB)
    assert code == 0
    assert "\x1b[30;42m be" in text, "black on green"
    assert "⏎" in text
    assert "\x1b[2J" not in text


def test_losses_and_movements_are_marked() -> None:
    assert (bar(None, 5), bar(0.0, 0.0), bar(float("nan"), 5.0)) == ("", "", "")
    assert (bar(0.0, 5.0), bar(5.0, 5.0)) == ("▁", "█")
    assert (shade(None), shade(0.6), shade(0.0)) == ("", "black on green", "white on red")
    assert (remark(1e-3), remark(0.0), remark(0.5)) == ("", "stays", "▲ large")
    assert (percent(0.42), percent(0.0042)) == ("42%", "0.42%")


def test_files_are_listed_and_brought_home(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    assert "no files yet" in run_well("jobs", "files", JOB).stderr
    assert run("jobs", "download", JOB, "--to", str(tmp_path / "none")).exit_code == 1
    service.files = {"model.gguf": b"weights" * 1000}
    assert "6.8 KiB" in run_well("jobs", "files", JOB).stdout
    assert run_well("jobs", "files", JOB, "-o", "name").stdout == "model.gguf\n"
    result = run_well("jobs", "download", JOB, "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model.gguf").read_bytes() == b"weights" * 1000
    assert f"they are in {tmp_path / 'out'}" in result.stderr


def test_a_file_in_the_way_is_told_with_what_to_do(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.files = {"model.gguf": b"weights"}
    (tmp_path / "model.gguf").write_text("mine")
    result = run("jobs", "download", JOB, "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "--overwrite replaces it" in result.stderr
    run_well("jobs", "download", JOB, "--to", str(tmp_path), "--overwrite")
    assert (tmp_path / "model.gguf").read_bytes() == b"weights"


def test_a_folder_is_imported(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    result = run_well("models", "import", str(model_folder(tmp_path)), "--name", "smol")
    assert "tutelage jobs watch importing" in result.stderr
    assert service.requests("ImportModel")[0].spec.model == "smol"


@pytest.mark.parametrize("words", [[], ["/tmp", "--dataset", "x"], ["/no/such/folder"]])
def test_an_import_needs_one_source(service: ServiceDouble, words: list[str]) -> None:
    assert run("models", "import", "--name", "smol", *words).exit_code == 2
    assert service.calls == []


def test_pickle_files_are_refused_in_words(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    result = run("models", "import", str(tmp_path), "--name", "smol")
    assert result.exit_code == 2
    assert "pytorch_model.bin is a pickle file" in result.stderr
    assert service.calls == []


def test_an_export_waits_and_brings_the_files(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    service.files = {"config.json": b"{}"}
    result = run_well("models", "export", "plays-tiny", "--format", "hugging-face", "--to", str(tmp_path / "out"))
    assert "config.json" in result.stdout
    assert (tmp_path / "out" / "config.json").read_text() == "{}"
    assert f"exporting: exports {'plays-tiny/versions/latest'}" in result.stderr


def test_an_upload_says_what_it_holds(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    def finish(request: Any, context: Any) -> datasets_pb2.Dataset:
        dataset = datasets_pb2.Dataset(name="projects/p/datasets/talks", state=1, format=2, rows=100, size_bytes=9000)
        statistics = dataset.row_statistics
        statistics.kind, statistics.duplicate_rows = datasets_pb2.ROW_KIND_MESSAGES, 7
        statistics.duplicate_examples.extend([2, 3, 5, 8, 13, 21, 34])
        statistics.bytes_min, statistics.bytes_median, statistics.bytes_p95, statistics.bytes_max = 10, 80, 200, 4000
        return dataset

    service.answers["FinishUpload"] = finish
    path = tmp_path / "talks.jsonl"
    path.write_text('{"messages": []}\n')
    shown = run_well("datasets", "upload", str(path), "--name", "talks").stdout
    assert "conversations (jsonl)" in shown
    assert "10 to 4,000 bytes; half up to 80, 95% up to 200" in shown
    assert "7 (rows 2, 3, 5, 8, 13, …); training leaves them out" in shown
    assert service.requests("StartUpload")[0].format == datasets_pb2.DATASET_FORMAT_JSONL


def test_rows_of_one_length_and_no_duplicates_are_said_shortly(service: ServiceDouble) -> None:
    dataset = datasets_pb2.Dataset(name="projects/p/datasets/plays", format=3, rows=10, size_bytes=100)
    dataset.row_statistics.kind, dataset.row_statistics.bytes_min, dataset.row_statistics.bytes_max = 2, 7, 7
    dataset.split.train_rows, dataset.split.validation_rows = 9, 1
    service.datasets[dataset.name] = dataset
    shown = run_well("datasets", "get", "plays").stdout
    for words in ("prompts and completions (parquet)", "7 bytes each", "duplicates   none", "9 rows", "1 rows"):
        assert words in shown
    assert "tokens" not in shown


@pytest.mark.parametrize(
    ("name", "advised"),
    [
        ("tokenizer.json", "--tokenizer-dataset x"),
        ("rows.json", "taken for plain text"),
        ("rows.csv", "taken for plain text"),
    ],
)
def test_an_upload_says_what_to_do_with_it(
    service: ServiceDouble, tmp_path: pathlib.Path, name: str, advised: str
) -> None:
    def finish(request: Any, context: Any) -> datasets_pb2.Dataset:
        start = service.requests("StartUpload")[0]
        return datasets_pb2.Dataset(name="projects/p/datasets/x", state=1, format=start.format, filename=start.filename)

    service.answers["FinishUpload"] = finish
    (tmp_path / name).write_text("{}")
    assert advised in run_well("datasets", "upload", str(tmp_path / name), "--name", "x").stderr


def test_bad_rows_are_a_table(service: ServiceDouble, tmp_path: pathlib.Path) -> None:
    fields = {
        "row 3.prompt": "must be text, is 5",
        "row 1204": "is no JSON: expected '}'\x1b[2J",
        "filename": "odd",
    }
    status = failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "2 rows are wrong of 9: row 3.prompt must be text; row 1204 is no JSON",
        reason="INVALID_DATA",
        fields=fields,
    )
    service.fail("FinishUpload", status)
    (tmp_path / "rows.jsonl").write_text("{}")
    result = run("datasets", "upload", str(tmp_path / "rows.jsonl"), "--name", "rows")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "error: 2 rows are wrong of 9",
        "  filename: odd",
        "   ROW  FIELD   PROBLEM",
        "     3  prompt  must be text, is 5",
        "  1204          is no JSON: expected '}'",
    ]


def test_several_wrong_fields_have_a_line_each(service: ServiceDouble) -> None:
    fields = {"spec.steps": "must be above 0", "spec.lora.rank": "must be 1 to 1024"}
    message = "; ".join(f"{field}: {text}" for field, text in fields.items())
    service.fail("FineTune", failure(grpc.StatusCode.INVALID_ARGUMENT, message, fields=fields))
    assert run(*TUNE).stderr.splitlines() == [
        "error: 2 fields are wrong",
        "  spec.steps: must be above 0",
        "  spec.lora.rank: must be 1 to 1024",
    ]


def test_the_nearest_word_is_suggested(service: ServiceDouble) -> None:
    result = run(*TUNE, "--optimizer", "moun")
    assert result.exit_code == 2
    assert "Did you mean 'muon'?" in result.stderr


def event(**content: Any) -> jobs_pb2.JobEvent:
    return jobs_pb2.JobEvent(cursor=1, epoch=1, **content)


def rolled_back(service: ServiceDouble) -> None:
    """Gives the job a history with a rollback and hard rows."""
    blamed = jobs_pb2.RowsBlamed(step=10)
    blamed.rows.add(step=9, dataset="projects/p/datasets/plays", row=42, loss=9.5, excerpt="\x1b[2Jnoise")
    blamed.rows.add(step=9, dataset="projects/p/datasets/plays", token=7, loss=8.5, excerpt="more")
    back = jobs_pb2.RolledBack(from_step=12, to_step=8, message="the loss was not finite", lineage=2)
    service.events[-1:-1] = [event(rows_blamed=blamed), event(rolled_back=back)]
    for cursor, each in enumerate(service.events, start=1):
        each.cursor = cursor


def test_a_watch_tells_of_rollbacks_and_hard_rows(service: ServiceDouble) -> None:
    rolled_back(service)
    shown = run_well("jobs", "watch", JOB).stdout
    assert "back to step 8 from step 12: the loss was not finite" in shown
    assert "hardest rows up to step 10: plays row 42 (loss 9.50) 'noise'; plays token 7 (loss 8.50) 'more'" in shown
    assert "back to step 8" in run_well("jobs", "events", JOB).stdout


def test_a_terminal_keeps_rollbacks_on_the_screen(service: ServiceDouble) -> None:
    rolled_back(service)
    service.event_pause_s = 0.01
    code, text = in_terminal("jobs", "watch", JOB)
    assert code == 0
    assert "back to step 8 from step 12" in text
    assert "1 × back to a checkpoint" in text
    assert "hardest lately: plays row 42" in text


def test_a_story_forgets_what_was_thrown_away(service: ServiceDouble) -> None:
    from tutelage.cli._story import Story

    story = Story(name=JOB, steps_total=20, state="RUNNING")
    rolled_back(service)
    for each in service.events[:-1]:
        story.hear(tutelage.JobEvent.from_message(each))
    assert story.step == 8
    assert story.losses[-1][0] == 8
    assert [step for step, _ in story.validation_losses] == []
    assert story.rollbacks == 1
    assert story.blamed is not None and story.blamed.rows[0].row == 42


def test_a_job_without_a_model_ends_with_its_files(service: ServiceDouble) -> None:
    job = service.jobs[f"projects/p/jobs/{JOB}"]
    job.export_model.model, job.model_version = "projects/p/models/plays-tiny/versions/1", ""
    service.events[-1].state_changed.model_version = ""
    result = run_well("jobs", "watch", JOB)
    assert result.stdout.startswith(f"{JOB}: exports plays-tiny/versions/1")
    assert f"tutelage jobs download {JOB} --to DIR" in result.stderr


def test_an_imported_model_ends_with_what_it_can_be_used_for(service: ServiceDouble) -> None:
    job = service.jobs[f"projects/p/jobs/{JOB}"]
    job.import_model.dataset, job.import_model.model = "projects/p/datasets/files", "plays-tiny"
    result = run_well("jobs", "watch", JOB)
    assert "tutelage fine-tune --base plays-tiny --dataset NAME --lora --watch" in result.stderr
    assert "tutelage jobs metrics" not in result.stderr


def test_a_version_that_was_brought_along_shows_no_steps(service: ServiceDouble) -> None:
    assert " 20 " in run_well("models", "versions", "plays-tiny").stdout
    version = service.models["projects/p/models/plays-tiny"].latest_version
    version.ClearField("train")
    version.import_model.dataset, version.steps = "projects/p/datasets/files", 0
    for command in ("versions", "list"):
        words = run_well("models", command, *(["plays-tiny"] if command == "versions" else [])).stdout.split()
        assert "0" not in words, words


def test_a_version_says_where_it_comes_from(service: ServiceDouble) -> None:
    version = service.models["projects/p/models/plays-tiny"].latest_version
    version.ClearField("train")
    version.fine_tune.dataset, version.parent_version = "projects/p/datasets/talks", "projects/p/models/chat/versions/3"
    version.fine_tune.lora.rank = 8
    shown = run_well("models", "get", "plays-tiny").stdout
    for words in ("fine-tuning with LoRA", "chat/versions/3", "talks"):
        assert words in shown


def test_a_wrong_field_is_told_with_its_option_where_the_names_differ(service: ServiceDouble) -> None:
    fields = {
        "spec.regularization.early_stopping.patience": "must be below the number of evaluations",
        "spec.evaluation.interval_steps": "must be above 0",
        "spec.steps": "must be above 0",
        "spec.lora.rank": "must be above 0",
    }
    service.fail("FineTune", failure(grpc.StatusCode.INVALID_ARGUMENT, "4 fields are wrong", fields=fields))
    lines = run(*TUNE).stderr.splitlines()
    assert lines[-1] == "  on the command line: --early-stopping, --evaluation-interval-steps"
    assert "  spec.lora.rank: must be above 0" in lines
