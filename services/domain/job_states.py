"""The life of a job: one table of states and triggers that every verb uses.

The CHECK constraints of the job table repeat the states, and `drawing` renders the table for the documentation.
"""

import enum

from services.domain.errors import WrongState


class JobState(enum.Enum):
    """Where a job is in its life."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    SUCCEEDED = "SUCCEEDED"
    BACKOFF = "BACKOFF"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class Desire(enum.Enum):
    """What the owner of a job wants; delivered to a worker in the answer to its heartbeat."""

    RUN = "RUN"
    PAUSE = "PAUSE"
    CANCEL = "CANCEL"


class Trigger(enum.Enum):
    """What can happen to a job."""

    CLAIM = "a worker claims it"
    PROGRESS = "the first step is recorded"
    COMPLETE = "the complete checkpoint is committed"
    PUBLISH = "the model version is published"
    LOSE = "the attempt ends and another may follow"
    FAIL = "it ends for good with a reason"
    HOLD = "a pause is asked for while nobody works on it"
    STOP = "the attempt ends as the pause wanted"
    RESUME = "it is resumed"
    CANCEL = "a cancel is asked for"
    CONFIRM_CANCEL = "no process is left"


_S, _T = JobState, Trigger
_WAITING = (_S.QUEUED, _S.BACKOFF)
_WORKED_ON = (_S.STARTING, _S.RUNNING, _S.FINALIZING)

TRANSITIONS: dict[tuple[JobState, Trigger], JobState] = {
    **{(state, _T.CLAIM): _S.STARTING for state in _WAITING},
    (_S.STARTING, _T.PROGRESS): _S.RUNNING,
    (_S.STARTING, _T.COMPLETE): _S.FINALIZING,
    (_S.RUNNING, _T.COMPLETE): _S.FINALIZING,
    (_S.FINALIZING, _T.PUBLISH): _S.SUCCEEDED,
    **{(state, _T.LOSE): _S.BACKOFF for state in _WORKED_ON},
    **{(state, _T.HOLD): _S.PAUSED for state in _WAITING},
    (_S.STARTING, _T.STOP): _S.PAUSED,
    (_S.RUNNING, _T.STOP): _S.PAUSED,
    (_S.PAUSED, _T.RESUME): _S.QUEUED,
    **{(state, _T.CANCEL): _S.CANCELLING for state in (*_WAITING, _S.PAUSED, *_WORKED_ON)},
    (_S.CANCELLING, _T.CONFIRM_CANCEL): _S.CANCELLED,
    **{(state, _T.FAIL): _S.FAILED for state in (*_WAITING, _S.PAUSED, *_WORKED_ON)},
}

WAITING = frozenset(_WAITING)
HELD = frozenset({*_WORKED_ON, _S.CANCELLING})  # under a lease, and counted against the quota of running jobs
FINAL = frozenset({_S.SUCCEEDED, _S.CANCELLED, _S.FAILED})
OPEN = frozenset(JobState) - FINAL


def next_state(state: JobState, trigger: Trigger) -> JobState:
    """Return the state after a trigger. Raises: WrongState if the table does not have it."""
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise WrongState.of(f"{trigger.value}: impossible while the job is {state.value}", state=state.value) from None


def drawing() -> str:
    """Return the table as a mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> QUEUED: it is submitted"]
    lines += [f"    {state.value} --> {to.value}: {trigger.value}" for (state, trigger), to in TRANSITIONS.items()]
    lines += [f"    {state.value} --> [*]" for state in JobState if state in FINAL]
    return "\n".join(lines) + "\n"
