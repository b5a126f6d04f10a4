"""Cancel, pause and resume, in every state."""

import uuid

import pytest

from services.domain.errors import NotFound, WrongState
from services.domain.job_states import Desire, JobState
from services.domain.jobs import AttemptEnd, Job
from services.domain.requests import RequestKey
from services.jobs.cancel_job import cancel_job
from services.jobs.pause_job import pause_job
from services.jobs.resume_job import resume_job
from tests.support.houses import Bench, add_project, step_fact

VERBS = {"cancel": cancel_job, "pause": pause_job, "resume": resume_job}


def job_in(bench: Bench, state: JobState) -> Job:
    """Return a job that has come into this state by the usual way."""
    if state is JobState.QUEUED:
        return bench.submit()
    assignment = bench.started()
    name = assignment.job.name
    if state is JobState.RUNNING:
        bench.report(assignment, step_fact(1, step=1))
    elif state is JobState.FINALIZING:
        bench.commit(assignment, bench.written(assignment, step=10, complete=True))
    elif state is JobState.SUCCEEDED:
        bench.complete(assignment)
    elif state is JobState.BACKOFF:
        bench.finish(assignment, AttemptEnd.INTERRUPTED)
    elif state is JobState.FAILED:
        bench.finish(assignment, AttemptEnd.FAILED)
    elif state is JobState.PAUSED:
        pause_job(bench.house, caller=bench.caller, name=name)
        bench.finish(assignment, AttemptEnd.PAUSED)
    elif state in (JobState.CANCELLING, JobState.CANCELLED):
        cancel_job(bench.house, caller=bench.caller, name=name)
        if state is JobState.CANCELLED:
            bench.finish(assignment, AttemptEnd.CANCELLED)
    found = bench.job(assignment.job.uid)
    assert found.state is state
    return found


S = JobState
EXPECTED = {
    "cancel": {
        **dict.fromkeys((S.QUEUED, S.BACKOFF, S.PAUSED, S.CANCELLED), S.CANCELLED),
        **dict.fromkeys((S.STARTING, S.RUNNING, S.FINALIZING, S.CANCELLING), S.CANCELLING),
    },
    "pause": {
        **dict.fromkeys((S.QUEUED, S.BACKOFF, S.PAUSED), S.PAUSED),
        **{state: state for state in (S.STARTING, S.RUNNING)},
    },
    "resume": {S.PAUSED: S.QUEUED},
}


@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
@pytest.mark.parametrize("verb", VERBS)
def test_each_wish_in_each_state(bench: Bench, verb: str, state: JobState) -> None:
    job = job_in(bench, state)
    expected = EXPECTED[verb].get(state)
    if expected is None:
        before = bench.history(job.uid)
        with pytest.raises(WrongState) as caught:
            VERBS[verb](bench.house, caller=bench.caller, name=job.name)
        assert caught.value.metadata == {"state": state.value}
        assert (bench.job(job.uid), bench.history(job.uid)) == (job, before)
    else:
        answer = VERBS[verb](bench.house, caller=bench.caller, name=job.name)
        assert answer.state is expected
        assert bench.job(job.uid) == answer


@pytest.mark.parametrize("verb", VERBS)
def test_a_foreign_job_does_not_exist(bench: Bench, verb: str) -> None:
    stranger = add_project(bench.house, "other")
    job = bench.submit()
    with pytest.raises(NotFound) as foreign:
        VERBS[verb](bench.house, caller=stranger, name=job.name)
    with pytest.raises(NotFound) as missing:
        VERBS[verb](bench.house, caller=stranger, name="projects/other/jobs/none")
    assert str(foreign.value).replace(job.name, "X") == str(missing.value).replace("projects/other/jobs/none", "X")


def test_a_wish_repeated_by_its_request_id_is_granted_once(bench: Bench) -> None:
    job = job_in(bench, JobState.RUNNING)
    key = RequestKey(request_id=str(uuid.uuid4()), body_sha256="a" * 64)
    pause_job(bench.house, caller=bench.calling("PauseJob"), name=job.name, request=key)
    resume_job(bench.house, caller=bench.calling("ResumeJob"), name=job.name)
    again = pause_job(bench.house, caller=bench.calling("PauseJob"), name=job.name, request=key)
    assert again.desire is Desire.RUN


def test_cancelling_what_nobody_holds_tells_both_changes(bench: Bench) -> None:
    job = bench.submit()
    cancel_job(bench.house, caller=bench.caller, name=job.name)
    states = [event.happening.after for event in bench.history(job.uid)]
    assert states == [JobState.QUEUED, JobState.CANCELLING, JobState.CANCELLED]


def test_a_wish_is_audited_with_its_effect(bench: Bench) -> None:
    job = bench.submit()
    cancel_job(bench.house, caller=bench.calling("CancelJob"), name=job.name)
    from services.domain.pages import Page

    with bench.house.storage.read() as uow:
        (_, last), *_rest = uow.audit.page("own", page=Page(size=10))
    assert (last.method, last.resource, last.actor) == ("tutelage.v1.Jobs/CancelJob", job.name, bench.caller.api_key)
