"""What reviewers ask all the time is answered from the index of what is free or held, however much is done.

SQLite's planner has no statistics here, so the plan for an empty table is that for a million rows. PostgreSQL's would
read an empty table as it lies, and sort it; here it may do neither.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from services.ports import UnitOfWork
from services.storage.unit_of_work import SqlStorage
from tests.contract.test_query_plans import plans
from tests.support.houses import A_TIME

WHO: dict[str, Any] = {"reviewer": "projects/own/apiKeys/anna"}
QUESTIONS: dict[str, Callable[[UnitOfWork], Any]] = {
    "first_free": lambda uow: uow.seats.first_free("uid", after=7, **WHO),
    "lock_free": lambda uow: uow.seats.lock_free("uid", after=7, count_max=3, **WHO),
    "count_left": lambda uow: uow.seats.count_left("uid", after=7, exact_max=200, count_max=1000, **WHO),
    "held": lambda uow: uow.seats.held("uid", **WHO),
    "lost": lambda uow: uow.seats.lost("uid", count_max=3, **WHO),
    "waiting": lambda uow: uow.seats.waiting("uid", due=7, count_max=3, **WHO),
    "count_waiting": lambda uow: uow.seats.count_waiting("uid", **WHO),
    "expired_in": lambda uow: uow.seats.expired_in(now=A_TIME, count_max=3),
    "own_seat": lambda uow: uow.seats.find("own", review_id="r", uid="uid", **WHO),
    "seats_at_items": lambda uow: uow.seats.own_seats(["a", "b"], **WHO),
    "places": lambda uow: uow.seats.places_taken(["a", "b"]),
    "own_votes": lambda uow: uow.votes.find("own", "uid"),
}
SELECTIVE = re.compile(
    r"ix_review_item_free \(review_uid=\? AND position>\?\)"
    r"|ix_seat_(held|resting) \(review_uid=\? AND reviewer=\?"
    r"|SCAN seat USING INDEX ix_seat_held"
    r"|\((uid|item_uid)=\?|uq_seat_place \(item_uid=\?"
)


@pytest.mark.parametrize("question", QUESTIONS)
def test_sqlite_looks_at_what_is_left_only(sqlite_storage: SqlStorage, question: str) -> None:
    found = plans(sqlite_storage, QUESTIONS[question], tables=("review_item", "seat", "vote"))
    assert found
    for plan in found:
        looks = [line for line in plan if re.match(r"(SCAN|SEARCH) (review_item|seat|vote)\b", line)]
        assert looks and all(SELECTIVE.search(line) for line in looks), plan
        assert not any("TEMP B-TREE" in line for line in plan) or question not in ("first_free", "lock_free"), plan


@pytest.mark.parametrize("question", ["first_free", "lock_free"])
def test_postgresql_goes_forward_in_the_queue(postgresql_storage: SqlStorage, question: str) -> None:
    statements = []
    engine = postgresql_storage.engine

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        statements.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    with postgresql_storage.write() as uow:
        QUESTIONS[question](uow)
    sa.event.remove(engine, "before_cursor_execute", note)
    (statement, parameters) = next(each for each in statements if "FROM review_item" in each[0])
    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_sort = off")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
    assert "ix_review_item_free" in plan, plan
    assert "Sort" not in plan, plan
