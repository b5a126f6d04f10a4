"""Prolonging leases, and telling what is wanted."""

import dataclasses
import datetime
import enum
from collections.abc import Sequence

from services.domain.job_states import Desire
from services.domain.workers import WorkerInfo
from services.ports import House, UnitOfWork


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldAttempt:
    """An attempt that a worker believes to hold; `genuine` if it came with the right token."""

    job_uid: str
    epoch: int
    step: int = 0
    genuine: bool = True


class Order(enum.Enum):
    """What is wanted of an attempt; STALE: it is over, and nothing of it will be accepted."""

    RUN = "RUN"
    PAUSE = "PAUSE"
    CANCEL = "CANCEL"
    STALE = "STALE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttemptOrder:
    """What is wanted of one attempt, and which of its facts have arrived."""

    job_uid: str
    epoch: int
    order: Order
    acknowledged_seq: int = 0


def heartbeat(house: House, *, worker: WorkerInfo, attempts: Sequence[HeldAttempt]) -> tuple[AttemptOrder, ...]:
    """Prolong the leases of the attempts that still hold their job; return one order for each, in their order."""
    with house.storage.write() as uow:
        now = uow.now()
        uow.workers.hear(worker, now=now)
        until = now + datetime.timedelta(seconds=house.leases.lease_s)
        # In the order of the uids, so that two heartbeats can never wait for each other.
        orders = {each: _order(uow, each, until=until) for each in sorted(attempts, key=lambda each: each.job_uid)}
        uow.commit()
    return tuple(orders[each] for each in attempts)


def _order(uow: UnitOfWork, held: HeldAttempt, *, until: datetime.datetime) -> AttemptOrder:
    desire = uow.jobs.prolong(held.job_uid, epoch=held.epoch, lease_until=until) if held.genuine else None
    attempt = uow.attempts.find(held.job_uid, epoch=held.epoch) if desire else None
    order = _ORDERS[desire] if desire and attempt else Order.STALE
    acknowledged = attempt.last_fact_seq if attempt else 0
    return AttemptOrder(job_uid=held.job_uid, epoch=held.epoch, order=order, acknowledged_seq=acknowledged)


_ORDERS = {Desire.RUN: Order.RUN, Desire.PAUSE: Order.PAUSE, Desire.CANCEL: Order.CANCEL}
