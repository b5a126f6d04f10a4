"""Runs every benchmark, one after the other: `python -m benchmarks`, or `make bench`."""

import pathlib
import subprocess
import sys

NOT_RUN = {"__init__", "__main__", "machine"}


def main() -> int:
    """Returns the number of benchmarks that failed."""
    names = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("*.py") if path.stem not in NOT_RUN)
    failed = 0
    for name in names:
        print(f"\n== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
