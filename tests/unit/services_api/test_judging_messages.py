"""Duels, aliases, stats and lineage tell the same as their messages, field by field."""

import dataclasses
import datetime
from typing import Any

import pytest
from google.protobuf.message import Message

from services.api.lineage_messages import lineage_message
from services.api.translation import from_message, to_message
from services.domain.agreement import Estimate
from services.domain.drawing import Checker, DrawOptionsDraft
from services.domain.duel_resolution import DuelDraft
from services.domain.duels import Duel, DuelJudge, DuelResult, DuelVerdict
from services.domain.lineage import Lineage, LineageEdge, LineageKind, LineageNode
from services.domain.promotion import Alias, AliasMove
from services.domain.review_stats import ReviewerStats, ReviewStats, VersionScore
from tests.unit.services_api.test_translation import attributes
from tutelage.v1 import duels_pb2, lineage_pb2, models_pb2, reviews_pb2, training_pb2

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
TOLD = [
    (Duel, duels_pb2.Duel),
    (DuelResult, duels_pb2.DuelResult),
    (Alias, models_pb2.Alias),
    (AliasMove, models_pb2.AliasMove),
    (ReviewStats, reviews_pb2.ReviewStats),
    (ReviewerStats, reviews_pb2.ReviewerStats),
    (VersionScore, reviews_pb2.VersionScore),
    (Estimate, reviews_pb2.Estimate),
    (LineageNode, lineage_pb2.LineageNode),
]
ENUMS: list[tuple[Any, Any]] = [
    (DuelJudge, duels_pb2.DuelJudge),
    (DuelVerdict, duels_pb2.DuelVerdict),
    (LineageKind, lineage_pb2.LineageKind),
]
OUTPUT_ONLY = {"name", "uid", "review", "job", "result", "create_time", "creator"}


@pytest.mark.parametrize(("noun", "message"), TOLD, ids=lambda kind: kind.__name__)
def test_every_field_of_a_message_is_told_by_its_noun(noun: type, message: type[Message]) -> None:
    assert {field.name for field in message.DESCRIPTOR.fields} - attributes(noun) == set()


def test_everything_that_can_be_asked_of_a_duel_has_its_place_in_the_draft() -> None:
    fields = {field.name for field in duels_pb2.Duel.DESCRIPTOR.fields} - OUTPUT_ONLY
    assert fields == {field.name for field in dataclasses.fields(DuelDraft)}


@pytest.mark.parametrize(("members", "numbers"), ENUMS, ids=lambda kind: getattr(kind, "__name__", ""))
def test_an_enum_has_the_same_words_on_both_sides(members: Any, numbers: Any) -> None:
    words = {name.split("_", 2)[2] for name in numbers.DESCRIPTOR.values_by_name}
    assert words - {"UNSPECIFIED"} == {member.name for member in members}


def test_a_duel_is_read_as_it_was_sent() -> None:
    asked = duels_pb2.Duel(
        champion="a",
        challenger="b",
        prompts="c",
        judge=duels_pb2.DUEL_JUDGE_CHECKER,
        checker=training_pb2.Checker(name="contains", argument="x"),
        options=training_pb2.DrawOptions(seed=7),
        error_rate=0.1,
    )
    draft = from_message(asked, DuelDraft)
    assert (draft.judge, draft.checker) == (DuelJudge.CHECKER, Checker(name="contains", argument="x"))
    assert (draft.options, draft.error_rate) == (DrawOptionsDraft(seed=7), 0.1)
    assert from_message(duels_pb2.Duel(champion="a"), DuelDraft) == DuelDraft(champion="a")


def test_an_alias_is_told_with_its_moves() -> None:
    move = AliasMove(version=2, model_version="projects/own/models/m/versions/2", time=NOON, actor="me", forced=True)
    alias = Alias(project_id="own", model_id="m", id="prod", version=2, etag="e", update_time=NOON, moves=(move,))
    message = to_message(alias, models_pb2.Alias)
    assert (message.name, message.etag) == ("projects/own/models/m/aliases/prod", "e")
    assert message.model_version == message.moves[0].model_version == move.model_version
    assert message.moves[0].forced and message.moves[0].time == message.update_time


def test_a_lineage_is_told_from_source_to_result() -> None:
    node = LineageNode(name="a", kind=LineageKind.DATASET, sha256="0f", details={"rows": "3"}, tainted=True)
    edge = LineageEdge(source="a", result="b", relation="trained on")
    message = lineage_message(Lineage(name="b", nodes=(node,), edges=(edge,)))
    assert (message.nodes[0].kind, dict(message.nodes[0].details)) == (1, {"rows": "3"})
    assert message.nodes[0].tainted and not message.nodes[0].deleted
    assert (getattr(message.edges[0], "from"), message.edges[0].to) == ("a", "b")
