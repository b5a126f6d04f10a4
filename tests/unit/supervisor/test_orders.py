"""Orders: which one decides, and how hard a trainer is asked as time passes."""

import pytest

from trainer_worker.supervisor.orders import Force, Graces, Order, Orders, force_of

GRACES = Graces(stop_s=50, abort_s=5)


@pytest.mark.parametrize(
    ("order", "elapsed_s", "force"),
    [
        (Order.PAUSE, 0, Force.STOP),
        (Order.PAUSE, 10_000, Force.STOP),
        (Order.DRAIN, 49, Force.STOP),
        (Order.DRAIN, 50, Force.KILL),
        (Order.UNHEARD, 49, Force.STOP),
        (Order.UNHEARD, 50, Force.KILL),
        (Order.CANCEL, 0, Force.KILL),
        (Order.HUNG, 4, Force.ABORT),
        (Order.HUNG, 5, Force.KILL),
        (Order.STALE, 0, Force.KILL),
        (Order.BROKEN, 0, Force.KILL),
        (Order.LOST, 0, Force.KILL),
    ],
)
def test_each_order_has_its_force(order: Order, elapsed_s: float, force: Force) -> None:
    assert force_of({order: 100.0}, graces=GRACES, at_s=100.0 + elapsed_s) is force


def test_without_an_order_nothing_is_done() -> None:
    assert force_of({}, graces=GRACES, at_s=0.0) is Force.NONE


def test_the_hardest_of_several_counts() -> None:
    given = {Order.PAUSE: 0.0, Order.DRAIN: 0.0, Order.HUNG: 47.0}
    assert force_of(given, graces=GRACES, at_s=49.0) is Force.ABORT
    assert force_of(given, graces=GRACES, at_s=51.0) is Force.KILL


def test_the_highest_order_decides_and_the_first_reason_stays() -> None:
    orders = Orders()
    assert orders.highest() is None
    orders.give(Order.PAUSE, "first")
    orders.give(Order.PAUSE, "second")
    orders.give(Order.HUNG)
    assert orders.highest() is Order.PAUSE and orders.why(Order.PAUSE) == "first"


def test_only_cancel_and_stale_make_what_is_unreported_worthless() -> None:
    for order in Order:
        orders = Orders()
        orders.give(order)
        assert orders.void.is_set() == (order in (Order.CANCEL, Order.STALE))
        assert orders.stale.is_set() == (order is Order.STALE)
