"""SQLite answers what is asked all the time from the jobs that are open, however many are over.

Its planner has no statistics here, so the plan for an empty table is that for a million rows.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from services.domain.filters import Restriction
from services.domain.job_states import HELD, OPEN
from services.domain.pages import Page
from services.ports import UnitOfWork
from services.storage.unit_of_work import SqlStorage
from tests.support.houses import A_TIME

QUESTIONS: dict[str, Callable[[UnitOfWork], Any]] = {
    "claim": lambda uow: uow.jobs.lock_claimable(now=A_TIME, wished_uid="", without_projects=["full"]),
    "claim_wished": lambda uow: uow.jobs.lock_claimable(now=A_TIME, wished_uid="uid", without_projects=[]),
    "reclaim": lambda uow: uow.jobs.lock_expired(now=A_TIME),
    "ring_again": lambda uow: uow.jobs.claimable_before(now=A_TIME, waiting_since=A_TIME),
    "quota_of_running_jobs": lambda uow: uow.jobs.count("own", states=HELD),
    "quota_of_open_jobs": lambda uow: uow.jobs.count("own", states=OPEN),
    "jobs_of_workers": lambda uow: uow.jobs.of_workers("own", ["worker"]),
    "held_jobs": lambda uow: uow.jobs.held(),
    "waiting_seconds": lambda uow: uow.jobs.waiting_s(before=None),
    "job_of_a_dataset": lambda uow: uow.jobs.open_job_using("uid"),
    "queue": lambda uow: uow.jobs.queue(now=A_TIME),
    "heads": lambda uow: uow.events.last_seqs(["uid"]),
    "events": lambda uow: uow.events.read("uid", after=7, count_max=100),
    "receipt": lambda uow: uow.metrics.at("uid", step=7),
    "verified_line": lambda uow: uow.metrics.lineage_at("uid", step=7),
    "verified_steps": lambda uow: uow.metrics.recorded("uid", lineage=1, after=2, last=9),
    "verified_count": lambda uow: uow.metrics.count_recorded("uid", lineage=1, after=2, last=9),
}
SELECTIVE = re.compile(
    r"ix_job_(waiting|held|open)\b|\(uid=\?|\(job_uid=\? AND (?:seq>|lineage=)|project_id=\? AND state=\?"
)


def plans(
    storage: SqlStorage, question: Callable[[UnitOfWork], Any], *, tables: tuple[str, ...] = ("job", "event", "metric")
) -> list[list[str]]:
    """Return how SQLite answers each statement of a question about jobs and what happened to them."""
    statements = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        statements.append((statement, parameters))

    sa.event.listen(storage.engine, "before_cursor_execute", note)
    with storage.read() as uow:
        question(uow)
    sa.event.remove(storage.engine, "before_cursor_execute", note)
    asked = [each for each in statements if any(f"FROM {table}" in each[0] for table in tables)]
    with storage.engine.connect() as connection:
        return [
            [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in asked
        ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_looks_at_open_jobs_only(sqlite_storage: SqlStorage, question: str) -> None:
    found = plans(sqlite_storage, QUESTIONS[question])
    assert found
    for plan in found:
        looks = [line for line in plan if re.match(r"(SCAN|SEARCH) (job|event|metric)\b", line)]
        assert looks and all(SELECTIVE.search(line) for line in looks), plan


def test_whether_a_checkpoint_is_needed_is_answered_by_indexes(sqlite_storage: SqlStorage) -> None:
    (plan,) = plans(
        sqlite_storage,
        lambda uow: uow.checkpoints.collectable(["uid"], kept=3, count_max=10),
        tables=("checkpoint",),
    )
    looks = [line for line in plan if re.match(r"SEARCH (job|model_version)\b", line)]
    assert not [line for line in plan if re.match(r"SCAN (job|model_version|checkpoint)\b", line)], plan
    assert sorted(re.findall(r"ix_\w+", " ".join(looks))) == ["ix_job_base", "ix_model_version_artifact_prefix"], plan


@pytest.mark.parametrize("operator", ["=", "!="])
def test_a_label_is_looked_up_once_and_by_its_index(sqlite_storage: SqlStorage, operator: str) -> None:
    label = Restriction(field="labels", operator=operator, value="search", key="team")
    (plan,) = plans(sqlite_storage, lambda uow: uow.jobs.page("own", matching=label, page=Page(size=50)))
    assert not [line for line in plan if "CORRELATED" in line], plan
    (look,) = [line for line in plan if "job_label" in line]
    assert look.startswith("SEARCH") and look.endswith("(project_id=? AND key=? AND value=?)")
