"""A house of stand-ins under the real parent: small programs that live, die, refuse and ignore as told.

`python -m tests.flow.stand_ins FOLDER KIND…` starts one part of each kind, in order, and prints "ready".
"""

import os
import pathlib
import sys

from embedded import keeper
from embedded.data_folder import DataFolder, StartRefused
from embedded.parts import House, Part

SAY = "import os, pathlib, signal, subprocess, sys, time\n"
STEADY = SAY + (
    "def end(*_):\n"
    "    with open(os.environ['ORDER'], 'a') as file: file.write(os.environ['NAME'] + '\\n')\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('listening', flush=True)\n"
    "time.sleep(600)\n"
)
PROGRAMS = {
    "steady": STEADY,
    "deaf": SAY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('listening', flush=True)\ntime.sleep(600)\n",
    "stubborn": SAY
    + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('listening', flush=True)\ntime.sleep(600)\n",
    "doomed": SAY + "print('the last words', flush=True)\nsys.exit(3)\n",
    "fickle": SAY + "time.sleep(0.3)\nprint('the last words', flush=True)\nsys.exit(3)\n",
    "parent": SAY + "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n" + STEADY,
}


def main(folder: pathlib.Path, kinds: list[str]) -> int:
    """Runs until it is told to stop."""
    data = DataFolder(folder)
    data.prepare()
    parts = [part(folder, kind, number) for number, kind in enumerate(kinds, 1)]
    house = House(tuple((one,) for one in parts), dict(os.environ), folder / "run", "", "")
    try:
        with keeper.kept(house, data, tell=lambda sentence: print(sentence, flush=True)) as kept:
            kept.start(lambda: None, limit_s=5)
            print("ready", flush=True)
            kept.keep()
    except StartRefused as error:
        print(error, flush=True)
        return 1
    return 0


def part(folder: pathlib.Path, kind: str, number: int) -> Part:
    """Returns a stand-in named after its kind and place."""
    name = f"{kind}{number}"
    environment = {**os.environ, "NAME": name, "ORDER": str(folder / "order")}
    never_ready = f"unix:{folder / 'nobody.sock'}" if kind == "doomed" else ""
    command = (sys.executable, "-u", "-c", PROGRAMS[kind])
    return Part(name, command, environment, address=never_ready, stop_limit_s=60 if kind == "stubborn" else 1)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
