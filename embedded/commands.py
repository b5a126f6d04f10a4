"""Commands that the demo runs, as a user would type them."""

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping

NEW_LINE = "\n"


class DemoFailed(Exception):
    """A part of the demo did not work; the message says which."""


def tutelage(profile: pathlib.Path, *arguments: str) -> None:
    """Runs one command as a user would, in the same terminal. Raises: DemoFailed."""
    say(f"\n$ tutelage {' '.join(shown(word, profile) for word in arguments)}")
    done = subprocess.run(command("tutelage", *arguments), env=surroundings(profile))
    check(done.returncode, f"tutelage {arguments[0]}")


def answer(profile: pathlib.Path, *arguments: str) -> str:
    """Returns what a command prints, which is not shown. Raises: DemoFailed."""
    done = subprocess.run(command("tutelage", *arguments), env=surroundings(profile), stdout=subprocess.PIPE, text=True)
    check(done.returncode, f"tutelage {arguments[0]}")
    return done.stdout.strip()


def python(profile: pathlib.Path, program: pathlib.Path, *arguments: str, secrets: Mapping[str, str]) -> None:
    """Runs a program with this Python, with secrets that are not shown. Raises: DemoFailed."""
    say(f"\n$ python {program.parent.name}/{program.name} {' '.join(arguments)}")
    ran = [*follower(), sys.executable, str(program), *arguments]
    done = subprocess.run(ran, env={**surroundings(profile), **secrets})
    check(done.returncode, program.name)


def command(name: str, *arguments: str) -> list[str]:
    """Returns the command line of an installed program. Raises: DemoFailed."""
    program = pathlib.Path(sys.executable).with_name(name)
    if not program.exists():
        raise DemoFailed(f"{program} is missing: install the package `{name}` into this environment")
    return [*follower(), str(program), *arguments]


def check(status: int, what: str) -> None:
    """Raises: DemoFailed, KeyboardInterrupt."""
    if status in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    if status != 0:
        raise DemoFailed(f"`{what}` ended with status {status}")


def shown(word: str, profile: pathlib.Path) -> str:
    """Returns a word of a command as a person would type it."""
    word = word.replace(str(profile.parent.parent) + "/", "")
    if NEW_LINE in word:
        return "$'" + word.replace(NEW_LINE, "\\n") + "'"
    return f'"{word}"' if " " in word else word


def surroundings(profile: pathlib.Path) -> dict[str, str]:
    """Returns the environment of a command."""
    return {**environment(), "TUTELAGE_PROFILE": str(profile)}


def follower() -> list[str]:
    """Returns the beginning of a command whose program dies with this process."""
    return [sys.executable, "-m", "embedded.follow_parent", str(os.getpid())]


def environment() -> dict[str, str]:
    """Returns the environment without what would lead to another house."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TUTELAGE_")}


def say(sentence: str) -> None:
    """Prints at once, so that it comes before what the commands print."""
    print(sentence, flush=True)
