"""The environments of children hold names from a list, and a store's credential only where there is a bucket."""

import pathlib
import subprocess

import pytest

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


def test_a_trainer_shares_the_machine_and_takes_no_more_threads_than_it_was_granted() -> None:
    environ = of_trainer("file:///a")
    assert environ["OMP_WAIT_POLICY"] == "passive"  # threads that wait do not spin beside a neighbour
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS")
    assert [environ[name] for name in threads] == ["3", "3", "3"]


def test_what_one_run_has_compiled_is_there_for_the_next() -> None:
    assert of_trainer("file:///a")["TORCHINDUCTOR_CACHE_DIR"] == "/s/inductor"  # no folder of one attempt


def test_the_allocator_keeps_its_pages() -> None:
    """The C library itself says what it makes of the setting."""
    loaders = sorted(pathlib.Path("/").glob("lib*/ld-linux*.so.*"))
    if not loaders:
        pytest.skip("no GNU C library here")
    tunables = {"GLIBC_TUNABLES": of_trainer("file:///a")["GLIBC_TUNABLES"]}
    listed = subprocess.run([loaders[0], "--list-tunables"], env=tunables, capture_output=True, text=True, check=True)
    values = dict(line.split(": ", 1) for line in listed.stdout.splitlines() if ": " in line)
    found = {name: int(values[f"glibc.malloc.{name}"].split()[0], 16) for name in ("mmap_threshold", "trim_threshold")}
    assert found == {"mmap_threshold": 1 << 30, "trim_threshold": 1 << 34}
