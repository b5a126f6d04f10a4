"""SQLite answers what lineage, duels, aliases and stats ask through indexes, however much there is.

What has few rows in a project is left out: reviews and feedback sets are read whole to find those of one review.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from services.domain.lineage import Key, Place
from services.domain.pages import Page
from services.domain.promotion import Alias
from services.ports import UnitOfWork
from services.storage.unit_of_work import SqlStorage
from tests.contract.test_query_plans import plans
from tests.support.houses import A_TIME

VERSION = "projects/own/models/chat/versions/1"
ALIAS = "projects/own/models/chat/aliases/prod"
PROD = Alias(project_id="own", model_id="chat", id="prod", version=1, etag="", update_time=A_TIME)
KEYS = [
    Key(Place.DATASET, "d"),
    Key(Place.JOB, "j"),
    Key(Place.MODEL_VERSION, VERSION),
    Key(Place.ALIAS, ALIAS),
    Key(Place.REVIEW, "r"),
    Key(Place.DUEL, "u"),
    Key(Place.VOTE, "v"),
]
LARGE = ("job", "job_source", "model_version", "vote", "vote_change", "feedback_set_vote", "duel_pair", "alias_move")
QUESTIONS: dict[str, Callable[[UnitOfWork], Any]] = {
    "links_up": lambda uow: uow.lineages.links_up("own", KEYS),
    "links_down": lambda uow: uow.lineages.links_down("own", KEYS),
    "nodes": lambda uow: uow.lineages.nodes("own", KEYS),
    "retracted_votes": lambda uow: uow.lineages.retracted_votes(["d"]),
    "checks_passed": lambda uow: uow.lineages.checks_passed("own", version=VERSION),
    "moves": lambda uow: uow.aliases.moves(PROD, count_max=100),
    "aliases": lambda uow: uow.aliases.of_model("own", "chat"),
    "duels_between": lambda uow: uow.duels.between("own", version=VERSION, other=VERSION, count_max=20),
    "duels": lambda uow: uow.duels.page("own", page=Page(size=50)),
    "drawn": lambda uow: uow.duels.drawn("u"),
    "scores": lambda uow: uow.duels.tally_scores("u"),
    "pair_votes": lambda uow: uow.duels.pair_votes("r"),
    "counted_votes": lambda uow: uow.counted_votes.of_review("r"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_scans_no_large_table(sqlite_storage: SqlStorage, question: str) -> None:
    tables = (*LARGE, "duel", "alias", "review", "review_item", "dataset", "feedback_set")
    found = plans(sqlite_storage, QUESTIONS[question], tables=tables)
    assert found
    scans = re.compile(rf"SCAN ({'|'.join((*LARGE, 'review_item', 'duel', 'alias', 'dataset'))})\b")
    for plan in found:
        assert not [line for line in plan if scans.match(line)], plan


def test_links_of_nothing_ask_nothing(sqlite_storage: SqlStorage) -> None:
    for question in ("links_up", "links_down"):
        ask = {"links_up": lambda uow: uow.lineages.links_up("own", [])}.get(
            question, lambda uow: uow.lineages.links_down("own", [])
        )
        assert [plan for plan in plans(sqlite_storage, ask, tables=LARGE) if plan] == []
