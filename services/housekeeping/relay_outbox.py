"""Rings the bells that verbs have written down: at least once, and never in the way of a verb."""

import datetime

from services.domain.errors import Unavailable
from services.domain.limits import BELLS_RELAYED_MAX
from services.ports import House

STALE_S = 600.0  # after that long polling has found the job; the bells of a day without Redis must not pile up


def relay_outbox(house: House) -> int:
    """Ring the bells that are due, forget those that were rung, and return how many. Raises: Unavailable."""
    with house.storage.read() as uow:
        now = uow.now()
        due = uow.outbox.due(now=now, count_max=BELLS_RELAYED_MAX)
        stale = uow.outbox.due(now=now - datetime.timedelta(seconds=STALE_S), count_max=BELLS_RELAYED_MAX)
    if not due:
        return 0
    rung: list[int] = []
    try:
        for bell, job_uid in due:
            house.dispatcher.ring(job_uid)
            rung.append(bell)
    except Unavailable:
        _forget(house, [*rung, *(bell for bell, _ in stale)])
        raise
    _forget(house, rung)
    return len(rung)


def _forget(house: House, bells: list[int]) -> None:
    if bells:
        with house.storage.write() as uow:
            uow.outbox.remove(bells)
            uow.commit()
