"""Takes jobs back from workers that have fallen silent, unless the silence may be our own fault.

A worker can prolong its lease only while the services and the database answer. So nothing is reclaimed for one lease
after this process began, after the database was away, after a round came late (the process was frozen, or the machine
slept), and after the clock of the database jumped against ours.
"""

import dataclasses
import datetime
import logging

from services.domain.errors import Unavailable
from services.jobs.reclaim_lease import reclaim_lease
from services.ports import House

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Moment:
    """One look at both clocks."""

    own_s: float
    database: datetime.datetime


class LeaseReclaimer:
    """One round each `sweep_s`; remembers the clocks from round to round."""

    def __init__(self, house: House, *, sweep_s: float) -> None:
        self._house = house
        self._lease_s = house.leases.lease_s
        # A lease is a heartbeat old when the house freezes, and it takes a heartbeat or two to prolong it afterwards:
        # whatever freeze may use up the rest is late. Rounds that are late by themselves are not.
        self._late_s = max(self._lease_s - 3 * house.leases.heartbeat_s, 2 * sweep_s)
        self._quiet_until_s = house.clock.monotonic_s() + self._lease_s
        self._last: _Moment | None = None

    def run(self) -> int:
        """Reclaim what may be reclaimed, and return how many jobs. Raises: Unavailable."""
        moment = self._look()
        if moment.own_s < self._quiet_until_s:
            return 0
        reclaimed = 0
        while (job := reclaim_lease(self._house)) is not None:
            _log.warning("lease lost: %s is %s", job.name, job.state.value)
            reclaimed += 1
        return reclaimed

    def _look(self) -> _Moment:
        try:
            with self._house.storage.read() as uow:
                moment = _Moment(self._house.clock.monotonic_s(), uow.now())
        except Unavailable:
            self._be_quiet("the database was away")
            raise
        if self._last is not None:
            self._compare(self._last, moment)
        self._last = moment
        return moment

    def _compare(self, last: _Moment, moment: _Moment) -> None:
        own_s = moment.own_s - last.own_s
        jump_s = (moment.database - last.database).total_seconds() - own_s
        if own_s > self._late_s:
            self._be_quiet(f"a round came after {own_s:.0f} s")
        elif abs(jump_s) > self._lease_s / 2:
            self._be_quiet(f"the clock of the database jumped by {jump_s:.0f} s")

    def _be_quiet(self, reason: str) -> None:
        _log.warning("no lease is reclaimed for %g s: %s", self._lease_s, reason)
        self._quiet_until_s = self._house.clock.monotonic_s() + self._lease_s
