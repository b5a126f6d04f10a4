"""Listing the checkpoints of a job, newest first."""

from services.domain.jobs import Checkpoint, Job
from services.domain.pages import PageRequest, cut_page, page_size
from services.domain.projects import Caller
from services.jobs.own_job import find_own_job
from services.ports import House


def list_checkpoints(
    house: House, *, caller: Caller, parent: str, page: PageRequest
) -> tuple[Job, tuple[Checkpoint, ...], str]:
    """Return the job, a page of its checkpoints, and the token of the next one. Raises: NotFound, InvalidField."""
    size = page_size(page.size)
    with house.storage.read() as uow:
        job = find_own_job(uow, caller=caller, name=parent, field="parent")
        binding = ("checkpoints of lines", caller.api_key, job.uid)
        position = house.keys.unseal_page(page.token, binding=binding)
        before = (position[0], position[1], position[2]) if position else None
        found = uow.checkpoints.page(job.uid, before=before, count_max=size + 1)
    shown, token = cut_page(
        found, size=size, position=lambda each: (each.step, each.lineage, each.epoch), keys=house.keys, binding=binding
    )
    return job, shown, token
