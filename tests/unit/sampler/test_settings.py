"""What the sampler is told by its environment."""

import pathlib

import pytest

from trainer_worker.sampler.settings import BadSetting, read_settings


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> dict[str, str]:
    (tmp_path / "sampler").write_text("ab" * 32 + "\n")
    return {
        "TUTELAGE_SAMPLER_LISTEN": "127.0.0.1:7462",
        "TUTELAGE_SERVICES_INTERNAL_ADDRESS": "unix:/x",
        "TUTELAGE_ARTIFACTS_URL": "file:///x",
        "TUTELAGE_SCRATCH_DIR": "/x",
        "TUTELAGE_SECRETS_DIR": str(tmp_path),
    }


def test_what_is_not_said_has_a_default(environment: dict[str, str]) -> None:
    settings = read_settings(environment)
    assert (settings.threads, settings.models_bytes, settings.secret) == (1, 2 << 30, "ab" * 32)


@pytest.mark.parametrize(
    "name",
    ["LISTEN", "ARTIFACTS_URL", "SCRATCH_DIR", "SECRETS_DIR", "SERVICES_INTERNAL_ADDRESS"],
)
def test_what_has_no_default_is_asked_for_by_name(environment: dict[str, str], name: str) -> None:
    full = f"TUTELAGE_{'SAMPLER_' if name == 'LISTEN' else ''}{name}"
    del environment[full]
    with pytest.raises(BadSetting, match=full):
        read_settings(environment)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "100000"])
def test_a_number_outside_its_bounds_is_refused(environment: dict[str, str], value: str) -> None:
    with pytest.raises(BadSetting, match="TUTELAGE_SAMPLER_THREADS"):
        read_settings({**environment, "TUTELAGE_SAMPLER_THREADS": value})


def test_without_its_secret_it_does_not_start(environment: dict[str, str]) -> None:
    secret = pathlib.Path(environment["TUTELAGE_SECRETS_DIR"]) / "sampler"
    secret.write_text("short")
    with pytest.raises(BadSetting, match="64 hexadecimal"):
        read_settings(environment)
    secret.unlink()
    with pytest.raises(BadSetting, match="cannot be read"):
        read_settings(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TUTELAGE_SAMPLER_LISTEN", "nonsense"),
        ("TUTELAGE_SAMPLER_LISTEN", "127.0.0.1:99999"),
        ("TUTELAGE_SAMPLER_LISTEN", "unix:"),
        ("TUTELAGE_ARTIFACTS_URL", "/plain"),
        ("TUTELAGE_ARTIFACTS_URL", "s3://bucket?secret=x"),
    ],
)
def test_an_address_or_store_that_is_none_is_refused(environment: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        read_settings({**environment, name: value})
