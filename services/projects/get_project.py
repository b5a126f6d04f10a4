"""Returns the project of the caller."""

from services.domain.errors import NotFound
from services.domain.names import PROJECT, ids_in_own_project
from services.domain.projects import Caller, Project
from services.ports import House


def get_project(house: House, *, caller: Caller, name: str) -> Project:
    """Return a project, which can only be the caller's own. Raises: NotFound."""
    ids_in_own_project(name, pattern=PROJECT, own_project=caller.project_id)
    with house.storage.read() as uow:
        project = uow.projects.find(caller.project_id)
    if project is None:
        raise NotFound.of(name)
    return project
