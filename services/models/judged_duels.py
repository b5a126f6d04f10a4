"""What a duel says, computed from the votes or scores that there are each time it is read."""

import dataclasses

from services.domain.duels import Duel, DuelResult, result_of, tally_votes
from services.domain.job_states import JobState
from services.ports import UnitOfWork

_FAILED = (JobState.FAILED, JobState.CANCELLED)


def judged(uow: UnitOfWork, duel: Duel) -> Duel:
    """Return a duel with what it says now."""
    return dataclasses.replace(duel, result=judge(uow, duel))


def judge(uow: UnitOfWork, duel: Duel) -> DuelResult:
    """Return what a duel says now."""
    job = uow.jobs.find_by_uid(duel.job_uid)
    assert job is not None, "jobs are never removed"
    drawn, same = uow.duels.drawn(duel.uid)
    complete, closed = job.state is JobState.SUCCEEDED, False
    if duel.review_uid is None:
        # A pair without scores is done as well: nothing more will be said of it.
        tally = dataclasses.replace(uow.duels.tally_scores(duel.uid), judged=drawn)
    else:
        overlap, closed = uow.duels.review_terms(duel.review_uid)
        tally = tally_votes(uow.duels.pair_votes(duel.review_uid), same=same, overlap=overlap, closed=closed)
    return result_of(
        tally,
        pairs=drawn if complete else duel.pairs,
        error_rate=duel.error_rate,
        drawn=complete,
        failed=job.state in _FAILED,
        closed=closed,
    )
