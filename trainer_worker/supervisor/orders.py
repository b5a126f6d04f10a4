"""What is wanted of a trainer, and how hard it is asked."""

import enum
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from trainer_worker.supervisor.clock import now_s


class Order(enum.IntEnum):
    """Reasons to end a trainer. Where several were given, the highest says how the attempt ends."""

    HUNG = 1  # the watchdog: no progress
    UNHEARD = 2  # services were silent for longer than max_unheard
    DRAIN = 3  # this worker leaves
    PAUSE = 4  # the user wants the slot back
    LOST = 5  # facts were lost on the way: a fault of ours
    BROKEN = 6  # the trainer tells what cannot be used: a fault of its own
    CANCEL = 7  # the user wants it gone
    STALE = 8  # another attempt holds the job: nothing will be accepted


class Force(enum.IntEnum):
    """Ways to end a trainer, each applied once, and never a weaker one after a stronger."""

    NONE = 0
    STOP = 1  # a message: write a checkpoint at the next step and end
    ABORT = 2  # SIGABRT to the trainer: faulthandler writes where it hangs
    KILL = 3  # SIGKILL to the group


@dataclass(frozen=True, kw_only=True)
class Graces:
    """Seconds between asking and killing, by order."""

    stop_s: float  # for a last checkpoint
    abort_s: float = 5.0  # writing a stack dump takes milliseconds; a process that holds the GIL never does it


class Orders:
    """The orders given to one attempt, with the time of the first of each kind. An order cannot be taken back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[Order, tuple[float, str]] = {}
        self.changed = threading.Event()
        self.void = threading.Event()  # CANCEL or STALE: nobody wants what is not reported yet
        self.stale = threading.Event()

    def give(self, order: Order, why: str = "") -> None:
        """Gives an order; one that was given before stays as it was."""
        with self._lock:
            self._given.setdefault(order, (now_s(), why))
        if order in (Order.CANCEL, Order.STALE):
            self.void.set()
        if order is Order.STALE:
            self.stale.set()
        self.changed.set()

    def given(self) -> Mapping[Order, float]:
        """When each order was given."""
        with self._lock:
            return {order: at_s for order, (at_s, _) in self._given.items()}

    def highest(self) -> Order | None:
        """The order that decides, or None."""
        return max(self.given(), default=None)

    def why(self, order: Order) -> str:
        """What was said with an order."""
        with self._lock:
            return self._given.get(order, (0.0, ""))[1]


def force_of(given: Mapping[Order, float], *, graces: Graces, at_s: float) -> Force:
    """How hard a trainer is asked to end at a time, under the orders given so far."""
    return max((_force(order, at_s - since_s, graces) for order, since_s in given.items()), default=Force.NONE)


def _force(order: Order, elapsed_s: float, graces: Graces) -> Force:
    if order in (Order.STALE, Order.CANCEL, Order.BROKEN, Order.LOST):
        return Force.KILL  # nothing of it is wanted, least of all a checkpoint, which a gentler way would bring
    if order is Order.HUNG:
        return Force.ABORT if elapsed_s < graces.abort_s else Force.KILL
    if order is Order.PAUSE:
        return Force.STOP  # no hurry: a trainer that hangs meanwhile is the watchdog's
    return Force.STOP if elapsed_s < graces.stop_s else Force.KILL
