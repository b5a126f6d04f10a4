"""`make demo`: the whole way from a text to a model that reviews made better, with nothing left behind.

The text is one that every machine has: the source of its own Python standard library. Everything goes through the
command line that users have; what it prints is what they see.
"""

import argparse
import contextlib
import json
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator

from embedded.closed_loop import close_the_loop
from embedded.commands import DemoFailed, environment, follower, say, tutelage

TEXT_BYTES_MAX = 8_000_000
# About two minutes of training on two cores, with products in bfloat16 where the processor has them.
STEPS_IN_BF16 = 400
STEPS_IN_FP32 = 160
PROCESSOR = pathlib.Path("/proc/cpuinfo")
START_LIMIT_S = 180.0
STOP_LIMIT_S = 90.0
FOLDERS_LEFT_OUT = {"test", "tests", "site-packages", "dist-packages", "idlelib", "lib2to3", "__pycache__"}
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
DATASET = "python"
MODEL = f"{DATASET}-tiny"
PROMPT = "def "


def main(arguments: list[str]) -> int:
    """Runs the demo and cleans up after it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--steps", type=int, default=steps_here(), help="optimizer steps (%(default)s)")
    parser.add_argument("--no-loop", action="store_true", help="stop after the first sample: no review, no tuning")
    wanted = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tutelage-demo-"))
    try:
        demonstrate(folder, steps=wanted.steps, loop=not wanted.no_loop)
    except KeyboardInterrupt:
        print("\nInterrupted: everything is stopped and removed.")
        return 130
    except DemoFailed as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(farewell())
    return 0


def steps_here(processor: pathlib.Path = PROCESSOR) -> int:
    """As many steps as this processor takes in about two minutes."""
    try:
        native = re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", processor.read_text(errors="replace"))
    except OSError:
        native = None
    return STEPS_IN_BF16 if native else STEPS_IN_FP32


def demonstrate(folder: pathlib.Path, *, steps: int, loop: bool) -> None:
    """Uploads, trains, samples, reviews, tunes and proves it, on a house of its own. Raises: DemoFailed."""
    text = folder / "python.txt"
    size_bytes = gather_text(text)
    say(f"Gathered {size_bytes / 1e6:.1f} MB of text: the source of this Python's standard library.")
    say("Starting gateway, services, worker, sampler and queue…")
    began = time.monotonic()
    with running_house(folder) as profile:
        say(f"Everything is up after {time.monotonic() - began:.1f} s.")
        tutelage(profile, "datasets", "upload", str(text), "--name", DATASET)
        training = ["--dataset", DATASET, "--preset", "tiny", "--steps", str(steps), "--seed", "1"]
        tutelage(profile, "train", *training, "--sample-prompt", PROMPT, "--watch")
        tutelage(profile, "sample", MODEL, "--prompt", PROMPT, "--max-tokens", "200", "--seed", "7")
        if loop:
            close_the_loop(profile, folder=folder, text=text, model=MODEL)
        say("Stopping everything…")


def gather_text(path: pathlib.Path) -> int:
    """Writes the source of the standard library into one file, a few megabytes of it; returns its size."""
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    size_bytes = 0
    with path.open("wb") as output:
        for source in sorted(library.rglob("*.py")):
            if FOLDERS_LEFT_OUT & set(source.relative_to(library).parts) or size_bytes >= TEXT_BYTES_MAX:
                continue
            size_bytes += output.write(clean_text(source))
    if size_bytes < 100_000:
        raise DemoFailed(f"the standard library in {library} has no source: use another Python")
    return size_bytes


def clean_text(path: pathlib.Path) -> bytes:
    """Returns a file as UTF-8 text, or nothing if it is none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = path.read_text(encoding="utf-8").replace("\f", "")
        if not CONTROL_CHARACTERS.search(text):
            return text.encode()
    return b""


@contextlib.contextmanager
def running_house(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the profile of a house that runs below `folder`, and stops it at the end. Raises: DemoFailed."""
    data = folder / "data"
    command = ["-m", "embedded", "--data-dir", str(data), "--port", "0", "--http-port", "0", "-o", "json"]
    with (folder / "up.log").open("wb") as log:
        # A session of its own: Ctrl-C reaches this process, which then stops the house in order.
        house = subprocess.Popen(
            [*follower(), sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
    try:
        yield wait_for_profile(house, folder)
    finally:
        stop(house)


def wait_for_profile(house: subprocess.Popen[bytes], folder: pathlib.Path) -> pathlib.Path:
    """Returns the profile once the house says that it is ready. Raises: DemoFailed."""
    assert house.stdout is not None
    ready, _, _ = select.select([house.stdout], [], [], START_LIMIT_S)
    line = house.stdout.readline() if ready else b""
    if not line:
        raise DemoFailed(f"the house did not start:\n{(folder / 'up.log').read_text(errors='replace')}")
    return pathlib.Path(json.loads(line)["profile"])


def stop(house: subprocess.Popen[bytes]) -> None:
    """Drains the house; a second Ctrl-C, or too long a time, ends it at once."""
    try:
        house.send_signal(signal.SIGTERM)
        house.wait(timeout=STOP_LIMIT_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        house.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            house.wait(timeout=5)
        house.kill()
        house.wait()
    if house.stdout is not None:
        house.stdout.close()


def farewell() -> str:
    """Returns what to try next."""
    program = shortest_name(pathlib.Path(sys.executable).with_name("tutelage"))
    return (
        "\nThat was all of it; nothing was left behind. To go on, with text of your own:\n\n"
        f"  {program} up\n"
        f"  {program} datasets upload YOUR-TEXT.txt --name mine\n"
        f"  {program} train --dataset mine --preset mini --watch\n"
    )


def shortest_name(program: pathlib.Path) -> str:
    """Returns how a person calls the program from here."""
    if shutil.which(program.name) == str(program):
        return program.name
    return str(program.relative_to(pathlib.Path.cwd()) if program.is_relative_to(pathlib.Path.cwd()) else program)


def interrupt(number: int, frame: object) -> None:
    """Treats other requests to stop like Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
