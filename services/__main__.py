"""`python -m services`: serve, migrate, create-project."""

import argparse
import asyncio
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

from services.domain.errors import DomainError, InvalidKey, Unavailable
from services.logs import log_to_stderr
from services.ports import House
from services.projects.authenticate import authenticate
from services.projects.create_project import create_project
from services.settings import InvalidSetting, read_database_url, read_settings
from services.storage.schema import migrate
from services.wiring import check_schema, make_house, open_storage, serve


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says and return the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    log_to_stderr()
    try:
        return int(asked.command(asked, os.environ))
    except Unavailable as error:
        print(f"services: UNAVAILABLE: {error}", file=sys.stderr)
        return 2
    except (InvalidSetting, DomainError) as error:
        print(f"services: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services", description="The house: jobs, datasets, models, keys.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="serve the public and the internal language until SIGTERM")
    serving.set_defaults(command=_serve)
    migrating = commands.add_parser("migrate", help="bring the database to the present schema")
    migrating.set_defaults(command=_migrate)
    creating = commands.add_parser("create-project", help="make a project, and an admin key if its file is missing")
    creating.add_argument("name", help="id of the project")
    creating.add_argument("--admin-key-file", type=pathlib.Path, required=True, help="where the key goes, mode 0600")
    creating.set_defaults(command=_create_project)
    return parser


def _serve(_asked: argparse.Namespace, environment: Mapping[str, str]) -> int:
    asyncio.run(serve(read_settings(environment)))
    return 0


def _migrate(_asked: argparse.Namespace, environment: Mapping[str, str]) -> int:
    storage = open_storage(read_database_url(environment))
    print(f"the database is at revision {migrate(storage.engine)}", file=sys.stderr)
    storage.close()
    return 0


def _create_project(asked: argparse.Namespace, environment: Mapping[str, str]) -> int:
    settings = read_settings(environment)
    storage = open_storage(settings.database_url)
    check_schema(storage)
    house = make_house(settings, storage=storage)
    path: pathlib.Path = asked.admin_key_file
    if not _holds_working_key(path, house=house, project_id=asked.name):
        made = create_project(house, project_id=asked.name)
        assert made.secret is not None, "a key that was just made has its secret"
        _write_private(path, made.secret)
    return 0


def _holds_working_key(path: pathlib.Path, *, house: House, project_id: str) -> bool:
    if not path.exists():
        return False
    try:
        key, _project = authenticate(house, api_key=path.read_text().strip())
    except InvalidKey:
        return False
    return key.project_id == project_id


def _write_private(path: pathlib.Path, text: str) -> None:
    """Put a text where only its owner can read it, in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
