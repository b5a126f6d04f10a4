"""Settings of a supervisor: read once, and refused by name when they are wrong."""

import pathlib
import sys

import pytest

from trainer_worker.supervisor.__main__ import main
from trainer_worker.supervisor.settings import SettingsError, from_environment


@pytest.fixture
def environ(tmp_path: pathlib.Path) -> dict[str, str]:
    (tmp_path / "worker").write_text("0a" * 32 + "\n")
    return {
        "TUTELAGE_SERVICES_INTERNAL_ADDRESS": "unix:/run/services.sock",
        "TUTELAGE_ARTIFACTS_URL": "file:///artifacts",
        "TUTELAGE_SECRETS_DIR": str(tmp_path),
        "TUTELAGE_SCRATCH_DIR": str(tmp_path / "scratch"),
    }


def test_what_is_not_said_has_its_default(environ: dict[str, str]) -> None:
    settings = from_environment(environ)
    assert settings.worker_secret == "0a" * 32
    assert (settings.slots, settings.poll_s, settings.max_unheard_s, settings.tick_s) == (1, 10.0, 900.0, 5.0)
    assert (settings.heartbeat_s, settings.stop_grace_s, settings.broker_url) == (5.0, 60.0, "")
    assert (settings.limits.load_s, settings.limits.step_s, settings.limits.checkpoint_s) == (600.0, 300.0, 600.0)
    assert settings.trainer_command == (sys.executable, "-m", "trainer_worker.trainer")


def test_the_poll_is_never_slower_than_ten_seconds_by_default(environ: dict[str, str]) -> None:
    assert from_environment(environ).poll_s <= 10


@pytest.mark.parametrize("name", ["SERVICES_INTERNAL_ADDRESS", "ARTIFACTS_URL", "SECRETS_DIR", "SCRATCH_DIR"])
def test_what_is_needed_is_named_when_it_is_missing(environ: dict[str, str], name: str) -> None:
    del environ[f"TUTELAGE_{name}"]
    with pytest.raises(SettingsError, match=f"TUTELAGE_{name} is not set"):
        from_environment(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TUTELAGE_POLL_SECONDS", "0"),
        ("TUTELAGE_POLL_SECONDS", "-1"),
        ("TUTELAGE_POLL_SECONDS", "nan"),
        ("TUTELAGE_POLL_SECONDS", "soon"),
        ("TUTELAGE_WORKER_SLOTS", "0"),
        ("TUTELAGE_WORKER_SLOTS", "65"),
        ("TUTELAGE_WORKER_SLOTS", "1.5"),
        ("TUTELAGE_STEP_LIMIT_SECONDS", "inf"),
        ("TUTELAGE_SPOOL_BYTES", "1e9"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(environ: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        from_environment(environ | {name: value})


@pytest.mark.parametrize("secret", ["", "short", "G" * 64, "0a" * 33])
def test_a_secret_that_is_none_is_refused_without_being_quoted(
    environ: dict[str, str], tmp_path: pathlib.Path, secret: str
) -> None:
    (tmp_path / "worker").write_text(secret)
    with pytest.raises(SettingsError, match="not 64 hexadecimal digits") as refusal:
        from_environment(environ)
    assert not secret or secret not in str(refusal.value)


def test_threads_are_shared_by_the_slots(environ: dict[str, str]) -> None:
    more = {"TUTELAGE_WORKER_THREADS": "7", "TUTELAGE_WORKER_SLOTS": "2"}
    assert from_environment(environ | more).threads_per_slot == 3
    assert from_environment(environ | more | {"TUTELAGE_WORKER_SLOTS": "9"}).threads_per_slot == 1


def test_a_part_of_the_grace_is_kept_for_reporting(environ: dict[str, str]) -> None:
    assert from_environment(environ).last_checkpoint_s == 55.0
    assert from_environment(environ | {"TUTELAGE_STOP_GRACE_SECONDS": "4"}).last_checkpoint_s == 3.0


def test_a_trainer_command_is_split_like_a_shell_would(environ: dict[str, str]) -> None:
    settings = from_environment(environ | {"TUTELAGE_TRAINER_COMMAND": "python 'a b.py'"})
    assert settings.trainer_command == ("python", "a b.py")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TUTELAGE_ARTIFACTS_URL", "/plain"),
        ("TUTELAGE_BROKER_URL", "amqp://x"),
        ("TUTELAGE_TRAINER_COMMAND", "python '"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused_by_name(environ: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_environment(environ | {name: value})


def test_a_scratch_folder_that_cannot_be_is_refused(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (environ | {"TUTELAGE_SCRATCH_DIR": "/proc/never"}).items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    assert "TUTELAGE_SCRATCH_DIR cannot be used: /proc/never" in capsys.readouterr().err


def test_a_spare_trainer_is_kept_where_it_is_asked_for(environ: dict[str, str]) -> None:
    assert from_environment(environ).spare_trainers == 0
    assert from_environment(environ | {"TUTELAGE_SPARE_TRAINERS": "1"}).spare_trainers == 1
    assert from_environment(environ | {"TUTELAGE_SPARE_TRAINERS": "0"}).spare_trainers == 0
    with pytest.raises(SettingsError, match="TUTELAGE_SPARE_TRAINERS is '2'; it must be a whole number from 0 to 1"):
        from_environment(environ | {"TUTELAGE_SPARE_TRAINERS": "2"})
