"""SQLite finds votes and sets by their indexes, however large the ledger is."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from services.domain.feedback_sets import Scope
from services.domain.pages import Page
from services.ports import UnitOfWork
from services.storage.unit_of_work import SqlStorage
from tests.contract.test_query_plans import plans

TABLES = ("vote", "vote_change", "review_item", "feedback_set", "feedback_set_vote", "dataset")
QUESTIONS: dict[str, Callable[[UnitOfWork], Any]] = {
    "sets_with_a_vote": lambda uow: uow.feedback_sets.with_vote("uid"),
    "set_by_id": lambda uow: uow.feedback_sets.find("own", "prefs"),
    "set_by_uid": lambda uow: uow.feedback_sets.find_by_uid("uid"),
    "children": lambda uow: uow.feedback_sets.children("uid"),
    "page_of_sets": lambda uow: uow.feedback_sets.page("own", page=Page(size=50)),
    "votes_of_reviews": lambda uow: uow.feedback_sets.counting("own", Scope(reviews=("r",)), count_max=9),
    "votes_of_applications": lambda uow: uow.feedback_sets.counting("own", Scope(sources=("app",)), count_max=9),
    "votes_of_both": lambda uow: uow.feedback_sets.counting("own", Scope(reviews=("r",), sources=("a",)), count_max=9),
    "votes_of_a_set": lambda uow: uow.feedback_sets.counting("own", Scope(set_uid="uid"), count_max=9),
    "votes_that_do_not_count": lambda uow: uow.feedback_sets.not_counting("own", Scope(sources=("app",))),
    "votes_by_number": lambda uow: uow.votes.of_seqs([1, 2, 3]),
    "members": lambda uow: uow.feedback_sets.seqs_in("uid"),
    "changed": lambda uow: uow.feedback_sets.changed_in("uid"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_is_scanned_but_what_is_few(sqlite_storage: SqlStorage, question: str) -> None:
    found = plans(sqlite_storage, QUESTIONS[question], tables=TABLES)
    assert found
    for plan in found:
        scanned = [line for line in plan if re.match(rf"SCAN ({'|'.join(TABLES)})\b", line)]
        assert [line for line in scanned if "ix_vote_change_retracted" not in line] == [], plan
