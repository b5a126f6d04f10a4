"""Where the service is: what wins, what is refused, and that no key goes where it does not belong."""

import pathlib
import stat
import tomllib

import pytest

from tutelage import NotConfigured, TutelageError, _profiles
from tutelage._connection import Connection, find_connection, wants_tls

LOCAL = 'address = "127.0.0.1:7460"\nhttp_address = "127.0.0.1:7461"\napi_key = "tut_local"\n'


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a person with a profile `lab` and a local stack."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "profile.toml").write_text(LOCAL)
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "TUTELAGE_DATA_DIR": str(data)}


def add_lab(home: dict[str, str]) -> None:
    values = {"address": "https://lab:7460", "api_key": "tut_lab", "ca_file": "/etc/lab.pem"}
    _profiles.write_profile("lab", values=values, environment=home)


def found(environment: dict[str, str], **arguments: str) -> tuple[str, str]:
    connection = find_connection(environment=environment, **arguments)
    return connection.address, connection.api_key


def test_the_local_stack_is_found_when_nothing_else_is_said(home: dict[str, str]) -> None:
    connection = find_connection(environment=home)
    assert (connection.address, connection.api_key) == ("127.0.0.1:7460", "tut_local")
    assert connection.http_address == "127.0.0.1:7461"
    assert "local stack" in connection.source


def test_the_current_profile_wins_over_the_local_stack(home: dict[str, str]) -> None:
    add_lab(home)
    assert found(home) == ("https://lab:7460", "tut_lab")
    assert find_connection(environment=home).ca_file == "/etc/lab.pem"


def test_the_environment_wins_over_profiles(home: dict[str, str]) -> None:
    add_lab(home)
    environment = {**home, "TUTELAGE_ADDRESS": "127.0.0.1:1", "TUTELAGE_API_KEY": "tut_env"}
    assert found(environment) == ("127.0.0.1:1", "tut_env")


def test_arguments_win_over_everything(home: dict[str, str]) -> None:
    environment = {**home, "TUTELAGE_ADDRESS": "127.0.0.1:1", "TUTELAGE_API_KEY": "tut_env"}
    assert found(environment, address="127.0.0.1:2", api_key="tut_mine") == ("127.0.0.1:2", "tut_mine")


def test_a_profile_that_is_named_wins_over_the_environment(home: dict[str, str]) -> None:
    add_lab(home)
    environment = {**home, "TUTELAGE_ADDRESS": "127.0.0.1:1", "TUTELAGE_API_KEY": "tut_env"}
    assert found(environment, profile="lab") == ("https://lab:7460", "tut_lab")


def test_a_profile_can_be_a_file(home: dict[str, str]) -> None:
    add_lab(home)
    path = f"{home['TUTELAGE_DATA_DIR']}/profile.toml"
    assert found({**home, "TUTELAGE_PROFILE": path}) == ("127.0.0.1:7460", "tut_local")
    assert found(home, profile=path) == ("127.0.0.1:7460", "tut_local")


def test_a_key_of_the_environment_can_be_used_with_the_address_of_a_profile(home: dict[str, str]) -> None:
    assert found({**home, "TUTELAGE_API_KEY": "tut_env"}) == ("127.0.0.1:7460", "tut_env")


@pytest.mark.parametrize("environment", [{"TUTELAGE_ADDRESS": "elsewhere:7460"}])
def test_the_key_of_a_profile_is_not_sent_to_another_address(home: dict[str, str], environment: dict[str, str]) -> None:
    add_lab(home)
    with pytest.raises(NotConfigured, match="no API key for it"):
        find_connection(environment={**home, **environment})
    with pytest.raises(NotConfigured, match="no API key for it"):
        find_connection(address="elsewhere:7460", environment=home)


def test_nothing_configured_says_what_to_do(tmp_path: pathlib.Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "TUTELAGE_DATA_DIR": str(tmp_path)}
    with pytest.raises(NotConfigured, match=r"tutelage up.*tutelage login"):
        find_connection(environment=environment)


def test_an_unknown_profile_is_refused_with_the_ones_there_are(home: dict[str, str]) -> None:
    add_lab(home)
    with pytest.raises(NotConfigured, match=r"no profile 'lap' \(profiles: lab\)"):
        find_connection(profile="lap", environment=home)
    with pytest.raises(NotConfigured, match="no profile at"):
        find_connection(profile="./nowhere.toml", environment=home)


def test_a_file_that_is_no_profile_is_named(home: dict[str, str]) -> None:
    path = pathlib.Path(home["TUTELAGE_DATA_DIR"]) / "profile.toml"
    path.write_text("address = ")
    with pytest.raises(NotConfigured, match=f"{path} cannot be read"):
        find_connection(environment=home)


@pytest.mark.parametrize(("address", "key"), [("a b:1", "k"), ("a\n:1", "k"), ("a:1", "k\nx: y"), ("a:1", "schlüssel")])
def test_control_characters_never_reach_the_wire(address: str, key: str) -> None:
    with pytest.raises(NotConfigured, match="characters"):
        find_connection(address=address, api_key=key, environment={})


@pytest.mark.parametrize(
    ("address", "tls"),
    [
        ("127.0.0.1:7460", False),
        ("localhost:7460", False),
        ("[::1]:7460", False),
        ("unix:/run/tutelage.sock", False),
        ("lab:7460", True),
        ("10.0.0.7:7460", True),
        ("https://127.0.0.1:7460", True),
        ("http://lab:7460", False),
    ],
)
def test_lines_over_a_network_are_encrypted_unless_plain_text_is_asked_for(address: str, tls: bool) -> None:
    assert wants_tls(address) is tls


def test_a_scheme_that_nobody_speaks_is_refused() -> None:
    with pytest.raises(TutelageError, match="https://"):
        find_connection(address="ftp://lab:1", api_key="k", environment={})


@pytest.mark.parametrize(
    ("address", "target"),
    [("https://lab:7460/", "lab:7460"), ("lab:7460", "lab:7460"), ("unix:/a/b.sock", "unix:/a/b.sock")],
)
def test_grpc_dials_without_the_scheme(address: str, target: str) -> None:
    assert Connection(address=address, api_key="k", source="", tls=True).target == target


def test_a_profile_may_say_tls_itself(home: dict[str, str]) -> None:
    path = pathlib.Path(home["TUTELAGE_DATA_DIR"]) / "profile.toml"
    path.write_text(LOCAL + "tls = true\n")
    assert find_connection(environment=home).tls
    path.write_text(LOCAL.replace("127.0.0.1:7460", "gateway:7460") + "tls = false\n")
    assert not find_connection(environment=home).tls


def test_a_connection_never_shows_its_key() -> None:
    assert "tut_secret" not in repr(Connection(address="a:1", api_key="tut_secret", source="", tls=False))


def test_profiles_can_be_read_by_their_owner_only(home: dict[str, str]) -> None:
    add_lab(home)
    path = _profiles.config_path(environment=home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_profiles_are_kept_side_by_side_and_the_last_one_is_current(home: dict[str, str]) -> None:
    add_lab(home)
    odd = {"address": 'a"\\:1', "api_key": "tut_é", "tls": ""}
    path = _profiles.write_profile("my work.2", values=odd, environment=home)
    content = tomllib.loads(path.read_text())
    assert content["current"] == "my work.2"
    assert content["profiles"]["lab"]["address"] == "https://lab:7460"
    assert content["profiles"]["my work.2"] == {"address": 'a"\\:1', "api_key": "tut_é"}


def test_what_later_versions_add_to_a_profile_is_passed_over(home: dict[str, str]) -> None:
    path = pathlib.Path(home["TUTELAGE_DATA_DIR"]) / "profile.toml"
    path.write_text(LOCAL + 'colour = "blue"\n[more]\nx = 1\n')
    assert found(home) == ("127.0.0.1:7460", "tut_local")
