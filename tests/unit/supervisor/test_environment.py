"""The environments of children hold names from a list, and a store's credential only where there is a bucket."""

import pathlib

from trainer_worker.supervisor.environment import bell_environment, trainer_environment

OURS = {
    "PATH": "/bin",
    "AWS_SECRET_ACCESS_KEY": "store",
    "TUTELAGE_DATABASE_URL": "postgresql://u:p@h/d",
    "TUTELAGE_BROKER_URL": "redis://:p@h/0",
    "TUTELAGE_SECRETS_DIR": "/secrets",
    "LD_PRELOAD": "x.so",
    "ANY_TOKEN": "t",
}


def of_trainer(url: str) -> dict[str, str]:
    folder = pathlib.Path("/s")
    return trainer_environment(OURS, threads=3, artifacts_url=url, scratch_dir=folder, temporary_dir=folder / "tmp")


def test_a_trainer_on_a_folder_gets_no_secret_at_all() -> None:
    environ = of_trainer("file:///a")
    assert environ["PATH"] == "/bin" and environ["OMP_NUM_THREADS"] == "3"
    assert not set(environ) & (set(OURS) - {"PATH"})


def test_a_trainer_on_a_bucket_gets_the_credential_of_the_store_and_no_other() -> None:
    environ = of_trainer("s3://bucket/prefix")
    assert set(environ) & set(OURS) == {"PATH", "AWS_SECRET_ACCESS_KEY"}


def test_a_listener_gets_the_broker_and_nothing_else() -> None:
    environ = bell_environment(OURS, broker_url="redis://h/0", bell_fd=9, name="w", canary_s=30.0)
    assert set(environ) & set(OURS) == {"PATH", "TUTELAGE_BROKER_URL"}
    assert environ["TUTELAGE_BELL_FD"] == "9"
