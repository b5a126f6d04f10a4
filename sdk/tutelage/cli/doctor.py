"""`tutelage doctor`: what stands between this machine and a training job."""

import dataclasses
import email.utils
import itertools
import os
import time
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tutelage._version import __version__
from tutelage.cli._commands import FAILURE

if TYPE_CHECKING:
    import tutelage

CLOCK_SKEW_S_MAX = 30.0


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at: good, bad, or only worth knowing (None)."""

    name: str
    good: bool | None
    text: str

    def to_dict(self) -> dict[str, object]:
        """Returns the check as JSON."""
        return dataclasses.asdict(self)


@click.command()
@click.option("--profile", metavar="NAME", help="Profile, or path of a profile's file.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="How to print.",
)
def doctor(profile: str | None, output: str) -> None:
    """Check connection, key, versions, clock and workers.

    Says what is wrong and what would help; exits with 1 if anything is wrong.

    \b
    Example:
      tutelage doctor
    """
    from tutelage.cli._output import print_json, print_json_line, show

    done: list[Check] = []
    for check in examine(profile):
        done.append(check)
        if output == "jsonl":
            print_json_line(check.to_dict())
        elif output == "table":
            mark = {True: "ok  ", False: "bad ", None: "    "}[check.good]
            show(f"{mark}{check.name}: {check.text}")
    if output == "json":
        print_json([check.to_dict() for check in done])
    if any(check.good is False for check in done):
        click.get_current_context().exit(FAILURE)


def examine(profile: str | None) -> Iterator[Check]:
    """Yields the checks in order; what cannot work after a failure is left out."""
    import tutelage

    try:
        client = tutelage.Client(profile=profile, timeout_s=5.0, retry_s=0.0)
    except tutelage.TutelageError as error:
        yield Check("configuration", False, str(error))
        return
    with client:
        line = client.connection
        yield Check("configuration", True, f"{line.address} from {line.source}, {'TLS' if line.tls else 'plain text'}")
        yield from check_proxy(line)
        try:
            yield from check_server(client)
        except tutelage.TutelageError as error:
            yield Check("connection", False, str(error))
        yield check_clock(line)


def check_proxy(line: "tutelage.Connection") -> Iterator[Check]:
    """Yields a check if gRPC goes through a proxy: a common reason for streams that break."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        if os.environ.get(name):
            yield Check("proxy", None, f"{name} is set; gRPC uses it unless no_proxy names {line.target}")
            return


def check_server(client: "tutelage.Client") -> Iterator[Check]:
    """Yields what the server says about itself, the key and the workers."""
    began = time.perf_counter()
    caller = client.caller()
    took_ms = (time.perf_counter() - began) * 1000
    yield Check("connection", True, f"answered in {took_ms:.0f} ms")
    yield Check("key", True, f"{caller.role.lower()} of {caller.project}")
    server = client.cluster.info().version
    fits = same_minor(server, __version__)
    yield Check(
        "version",
        fits,
        f"client {__version__}, server {server}" + ("" if fits else "; they should be a minor apart at most"),
    )
    heard = list(itertools.islice(client.cluster.workers(), 1000))
    ready = [worker for worker in heard if worker.state == "READY"]
    text = f"{len(ready)} ready, {sum(w.slots - w.slots_used for w in ready)} free slots"
    yield Check("workers", bool(ready), text if ready else "none is ready: jobs will wait")


def same_minor(server: str, client: str) -> bool:
    """Says whether two versions are at most one minor apart."""
    try:
        (server_major, server_minor), (major, minor) = ([int(n) for n in v.split(".")[:2]] for v in (server, client))
    except ValueError:
        return False
    return server_major == major and abs(server_minor - minor) <= 1


def check_clock(line: "tutelage.Connection") -> Check:
    """Compares clocks by the Date header of the HTTP port, if the profile names it."""
    if not line.http_address:
        return Check("clock", None, "not compared: the profile names no http_address")
    url = line.http_address if "://" in line.http_address else f"http://{line.http_address}"
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
            theirs = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (OSError, TypeError, ValueError) as error:
        return Check("clock", None, f"not compared: {url} gave no time ({error})")
    skew_s = abs(time.time() - theirs)
    return Check("clock", skew_s <= CLOCK_SKEW_S_MAX, f"{skew_s:.0f} s apart")
