"""Makes a project with its first key. Only an operator does this; there is no RPC for it."""

import datetime

from services.domain.limits import (
    OPEN_JOBS_MAX_DEFAULT,
    REQUESTS_PER_SECOND_DEFAULT,
    RUNNING_JOBS_MAX_DEFAULT,
    STREAMS_MAX_DEFAULT,
)
from services.domain.names import check_chosen_id
from services.domain.projects import ApiKey, Caller, NewApiKey, Project, Role
from services.ports import House
from services.projects.create_api_key import make_key

_OPERATOR = "operator"


def create_project(house: House, *, project_id: str) -> NewApiKey:
    """Make the project if it is missing, and a new admin key in it. Raises: InvalidField for a bad id."""
    check_chosen_id(project_id, field="project_id")
    with house.storage.write() as uow:
        now = uow.now()
        if uow.projects.find(project_id) is None:
            uow.projects.add(_project(house, project_id, now=now))
        key, secret_hash, text = make_key(
            project_id=project_id, role=Role.ADMIN, display_name=_OPERATOR, expire_time=None, now=now, keys=house.keys
        )
        uow.api_keys.add(key, secret_hash=secret_hash)
        uow.audit.record(_operator(project_id, now=now), resource=key.name, time=now)
        uow.commit()
    return NewApiKey(api_key=key, secret=text)


def _project(house: House, project_id: str, *, now: datetime.datetime) -> Project:
    return Project(
        id=project_id,
        uid=house.chance.uid(),
        create_time=now,
        requests_per_second=REQUESTS_PER_SECOND_DEFAULT,
        streams_max=STREAMS_MAX_DEFAULT,
        open_jobs_max=OPEN_JOBS_MAX_DEFAULT,
        running_jobs_max=RUNNING_JOBS_MAX_DEFAULT,
    )


def _operator(project_id: str, *, now: datetime.datetime) -> Caller:
    key = ApiKey(id=_OPERATOR, project_id=project_id, role=Role.ADMIN, create_time=now)
    return Caller(key=key, method="create-project")
