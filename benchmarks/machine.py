"""The facts of the machine that numbers belong to."""

import os
import pathlib
import platform


def print_machine() -> None:
    """Prints processor, cores, system and Python in one line."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if pathlib.Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    print(
        f"{name}, {os.cpu_count()} cores; {platform.system()} {platform.release()}; Python {platform.python_version()}"
    )
