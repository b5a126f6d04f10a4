"""`tutelage up`: the house on this machine, from a data folder to a printed address."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib

from embedded import health, logs, parts, processes, room_secrets, settings, valkey
from embedded.data_folder import DataFolder, StartRefused
from embedded.keeper import Interrupted, kept

PREPARATION_LIMIT_S = 300.0  # migrations of a large database


def main(arguments: list[str]) -> int:
    """Runs until it is told to stop; returns the exit status."""
    try:
        chosen = settings.read(arguments, os.environ)
    except settings.BadSetting as error:
        print(f"tutelage up: {error}", file=sys.stderr)
        return 2
    folder = DataFolder(chosen.data_dir)
    try:
        folder.prepare()
        with folder.locked():
            run(chosen, folder)
    except StartRefused as error:
        print(f"tutelage up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(chosen: settings.Settings, folder: DataFolder) -> None:
    """Starts everything, says where it is, keeps it running, and stops it. Raises: StartRefused."""
    take_over(chosen, folder)
    port = health.choose_port(chosen.port, flag="--port")
    http_port = health.choose_port(chosen.http_port, flag="--http-port")
    house = parts.plan(chosen, folder, port=port, http_port=http_port)
    room_secrets.make_missing(folder.secrets)
    with kept(house, folder, tell=tell) as keeper:
        try:
            keeper.start(lambda: prepare_database(house, folder), limit_s=chosen.start_seconds)
        except Interrupted:
            return
        write_profile(house, folder)
        print(announcement(chosen, house, folder), flush=True)
        keeper.keep()
        tell("Stopping: running jobs write a checkpoint first. Press Ctrl-C again to end everything at once.")
    folder.remove_run_dir(house.run_dir)
    tell("Stopped.")


def take_over(chosen: settings.Settings, folder: DataFolder) -> None:
    """Ends what a killed parent has left running on this folder."""
    run_dir = folder.run_dir(chosen.environment)
    valkey_was_there = "TUTELAGE_BROKER_URL" not in chosen.environment and valkey.end_left_over(run_dir)
    left = processes.end_left_over(folder.processes)
    for sockets in run_dir.glob(parts.GATEWAY_SOCKETS):
        shutil.rmtree(sockets, ignore_errors=True)
    if left or valkey_was_there:
        names = ", ".join(sorted({*left, *(["valkey"] * valkey_was_there)}))
        tell(f"The last run on this folder did not end in an orderly way; ended what was left of it: {names}.")


def prepare_database(house: parts.House, folder: DataFolder) -> None:
    """Brings the database up to date and makes the first project with its admin key. Raises: StartRefused."""
    tell("Preparing the database…")
    steps = [["migrate"], ["create-project", "default", "--admin-key-file", str(folder.admin_key)]]
    for step in steps:
        log = logs.open_for("prepare", folder.logs)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "services", *step],
                env=house.environment,
                cwd="/",
                stdout=log,
                stderr=log,
                timeout=PREPARATION_LIMIT_S,
                start_new_session=True,  # Ctrl-C reaches the parent only; it stops after the step
            )
        except subprocess.TimeoutExpired as error:
            raise StartRefused(f"`services {step[0]}` took longer than {PREPARATION_LIMIT_S:.0f} s") from error
        finally:
            os.close(log)
        if done.returncode != 0:
            end = logs.last_lines("prepare", folder.logs)
            raise StartRefused(f"`services {step[0]}` failed with status {done.returncode}:\n{end}")


def write_profile(house: parts.House, folder: DataFolder) -> None:
    """Writes what a client needs to connect, readable by its owner only."""
    values = {
        "address": house.address,
        "http_address": house.http_address,
        "api_key": folder.admin_key.read_text().strip(),
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    assert tomllib.loads(text) == values, "a JSON string of these is a TOML string"
    room_secrets.write_private(folder.profile, text)


def announcement(chosen: settings.Settings, house: parts.House, folder: DataFolder) -> str:
    """Returns what is printed when everything is ready."""
    if chosen.output == "json":
        facts = {"address": house.address, "http_address": house.http_address, "profile": str(folder.profile)}
        facts |= {"key_file": str(folder.admin_key), "data_dir": str(folder.root)}
        return json.dumps({**facts, "pid": os.getpid()})
    lines = [
        "Tutelage is up.",
        "",
        f"  gRPC      {house.address}",
        f"  HTTP      {house.http_address}",
        f"  profile   {folder.profile}",
        f"  key       {folder.admin_key}",
        f"  logs      {folder.logs}",
        "",
        "Next, in another terminal:",
        "",
        *(f"  {line}" for line in next_commands(chosen, folder)),
        "",
        "Ctrl-C saves running jobs and stops everything.",
    ]
    return "\n".join(lines)


def next_commands(chosen: settings.Settings, folder: DataFolder) -> list[str]:
    """Returns commands to try, with the profile named where the client would not find it by itself."""
    found = settings.default_data_dir({}) == folder.root
    export = [] if found else [f"export TUTELAGE_PROFILE={shlex.quote(str(folder.profile))}"]
    return [
        *export,
        "tutelage datasets upload shakespeare.txt --name plays",
        "tutelage train --dataset plays --preset tiny --steps 500 --watch",
        'tutelage sample plays-tiny --prompt "To be" --max-tokens 100',
    ]


def tell(sentence: str) -> None:
    """Says something to the person at the terminal; standard output is for the addresses."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
