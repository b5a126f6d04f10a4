"""The parts of the house: their order, their environment, and the arguments behind them."""

import itertools
import pathlib

import pytest

from embedded import parts, settings
from embedded.__main__ import main
from embedded.data_folder import DataFolder


def house(tmp_path: pathlib.Path, *arguments: str, **environment: str) -> parts.House:
    chosen = settings.read(["--data-dir", str(tmp_path), *arguments], environment)
    return parts.plan(chosen, DataFolder(tmp_path), port=7460, http_port=7461)


def names(planned: parts.House) -> list[list[str]]:
    return [[part.name for part in together] for together in planned.rounds]


def test_the_queue_comes_first_then_services_then_those_who_ask_them(tmp_path: pathlib.Path) -> None:
    assert names(house(tmp_path)) == [["valkey", "sampler"], ["services"], ["gateway", "supervisor"]]


def test_the_sampler_can_be_left_out(tmp_path: pathlib.Path) -> None:
    assert names(house(tmp_path, "--no-sampler"))[0] == ["valkey"]


@pytest.mark.parametrize("url", ["redis://elsewhere:6379/0", ""])
def test_a_given_broker_is_used_and_none_is_started(tmp_path: pathlib.Path, url: str) -> None:
    planned = house(tmp_path, TUTELAGE_BROKER_URL=url)
    assert names(planned)[0] == ["sampler"]
    assert planned.environment["TUTELAGE_BROKER_URL"] == url


def test_given_urls_and_times_reach_the_parts(tmp_path: pathlib.Path) -> None:
    given = {
        "TUTELAGE_DATABASE_URL": "postgresql+psycopg://localhost/x",
        "TUTELAGE_ARTIFACTS_URL": "s3://bucket/x",
        "TUTELAGE_LEASE_SECONDS": "3",
    }
    planned = house(tmp_path, **given)
    for part in itertools.chain.from_iterable(planned.rounds[1:]):
        assert {name: part.environment[name] for name in given} == given


def test_the_environment_says_where_everything_is(tmp_path: pathlib.Path) -> None:
    environment = house(tmp_path, "--slots", "2", "--threads", "1").environment
    assert environment["TUTELAGE_DATABASE_URL"] == f"sqlite:///{tmp_path}/tutelage.db"
    assert environment["TUTELAGE_ARTIFACTS_URL"] == f"file://{tmp_path}/artifacts"
    assert environment["TUTELAGE_GATEWAY_LISTEN"] == "127.0.0.1:7460"
    assert environment["TUTELAGE_GATEWAY_HTTP_LISTEN"] == "127.0.0.1:7461"
    assert (environment["TUTELAGE_WORKER_SLOTS"], environment["TUTELAGE_WORKER_THREADS"]) == ("2", "1")


def test_valkey_gets_nothing_of_our_environment(tmp_path: pathlib.Path) -> None:
    valkey, _ = house(tmp_path, AWS_SECRET_ACCESS_KEY="secret", PATH="/bin").rounds[0]
    assert set(valkey.environment) == {"PATH", "HOME"}


@pytest.mark.parametrize(("length", "inside"), [(20, True), (90, False)])
def test_the_gateways_own_socket_lies_with_the_others_where_the_path_allows(length: int, inside: bool) -> None:
    run_dir = pathlib.Path("/" + "x" * length)
    environment = parts._with_sockets_in(run_dir, {"PATH": "/bin"})
    assert environment.get("TMPDIR") == (str(run_dir) if inside else None)


def limits(planned: parts.House) -> dict[str, float]:
    return {part.name: part.stop_limit_s for part in itertools.chain.from_iterable(planned.rounds)}


def test_every_part_has_the_time_that_it_gives_itself_and_more(tmp_path: pathlib.Path) -> None:
    usual = limits(house(tmp_path))
    assert usual["supervisor"] > 60
    assert min(usual[name] for name in ("gateway", "sampler", "services")) > 30
    given = {
        "TUTELAGE_STOP_GRACE_SECONDS": "100",
        "TUTELAGE_GATEWAY_STOP_GRACE_SECONDS": "50",
        "TUTELAGE_GATEWAY_DRAIN_WAIT_SECONDS": "150",
        "TUTELAGE_SAMPLER_DRAIN_SECONDS": "300",
    }
    chosen = limits(house(tmp_path, **given))
    assert [chosen[name] > least for name, least in (("supervisor", 100), ("gateway", 200), ("sampler", 300))] == [
        True
    ] * 3


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
@pytest.mark.parametrize("name", ["TUTELAGE_START_SECONDS", "TUTELAGE_STOP_GRACE_SECONDS"])
def test_a_time_that_is_no_number_is_refused_by_name(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, text)
    assert main(["--data-dir", "/nonexistent/never/made"]) == 2
    assert f"tutelage up: {name} is '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--port", "70000"], ["--port", "x"], ["--slots", "0"], ["--threads", "-1"], ["--unknown"], ["-o", "yaml"]],
)
def test_arguments_that_make_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.read(arguments, {})
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_the_data_folder_comes_from_the_argument_then_the_environment(tmp_path: pathlib.Path) -> None:
    environment = {"TUTELAGE_DATA_DIR": str(tmp_path / "a")}
    assert settings.read([], environment).data_dir == tmp_path / "a"
    assert settings.read(["--data-dir", str(tmp_path / "b")], environment).data_dir == tmp_path / "b"
    assert settings.read([], {}).data_dir == pathlib.Path.home() / ".local" / "share" / "tutelage"


def test_the_worker_keeps_a_spare_trainer_unless_it_is_told_not_to(tmp_path: pathlib.Path) -> None:
    assert house(tmp_path).environment["TUTELAGE_SPARE_TRAINERS"] == "1"
    assert house(tmp_path, TUTELAGE_SPARE_TRAINERS="0").environment["TUTELAGE_SPARE_TRAINERS"] == "0"
