"""Removing checkpoints that nobody will go on from."""

import datetime
from collections.abc import Sequence

from services.domain.jobs import Checkpoint, CheckpointState
from services.domain.limits import CHECKPOINTS_KEPT
from services.ports import House

_JOBS_A_BATCH = 20
_BATCH = 100


def collect_checkpoints(house: House, *, since: datetime.datetime) -> int:
    """Collect checkpoints of jobs that have changed since then, and return how many.

    The newest ones of each job stay, its complete one, and all that model versions or other jobs name; those that a run
    has left by going back to an earlier step go. The row is marked before the files go: a row
    that promises files must have them. Files that stay because the store failed are left to `collect_leftovers`.
    """
    with house.storage.read() as uow:
        job_uids = uow.checkpoints.crowded(kept=CHECKPOINTS_KEPT, since=since)
    collected = 0
    for first in range(0, len(job_uids), _JOBS_A_BATCH):
        while found := _marked(house, job_uids[first : first + _JOBS_A_BATCH]):
            for checkpoint in found:
                house.store.delete_all(checkpoint.artifact_prefix)
            collected += len(found)
            if len(found) < _BATCH:
                break
    return collected


def _marked(house: House, job_uids: Sequence[str]) -> Sequence[Checkpoint]:
    """Mark what can go; looked for once more, since a checkpoint may have been rejected in between.

    And again with the rows held: a job that is just accepted may begin with one of them.
    """
    with house.storage.write() as uow:
        found = uow.checkpoints.collectable(job_uids, kept=CHECKPOINTS_KEPT, count_max=_BATCH)
        uow.checkpoints.lock([checkpoint.uid for checkpoint in found])
        still = {each.uid for each in uow.checkpoints.collectable(job_uids, kept=CHECKPOINTS_KEPT, count_max=_BATCH)}
        found = [checkpoint for checkpoint in found if checkpoint.uid in still]
        for checkpoint in found:
            uow.checkpoints.set_state(checkpoint.uid, CheckpointState.COLLECTED)
        uow.commit()
    return found
