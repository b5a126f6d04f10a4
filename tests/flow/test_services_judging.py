"""Duels, aliases, stats and lineage over real gRPC, as a client sees them."""

import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from services.domain.projects import Caller, Role
from tests.support.duels import CHALLENGER, CHAMPION, DuelBench, make_duel_bench
from tests.support.houses import Bench, HandClock, RingRecorder, add_dataset
from tests.support.served_house import ServedHouse, fields_of, info_of, keys_of_roles, made_house, served_house
from tutelage.v1 import duels_pb2, duels_pb2_grpc, lineage_pb2, models_pb2, models_pb2_grpc, reviews_pb2
from tutelage.v1 import reviews_pb2_grpc as reviews_grpc
from tutelage.v1.training_pb2 import Checker


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    folder: pathlib.Path = tmp_path_factory.mktemp("house")
    house = made_house(f"sqlite:///{folder}/house.db", artifacts_dir=folder / "artifacts")
    with served_house(house, folder) as served:
        yield served


@pytest.fixture(scope="module")
def bench(served: ServedHouse) -> DuelBench:
    caller = Caller(key=served.admin, method="tutelage.v1.Jobs/Train")
    dataset = add_dataset(served.house, "own")
    bench = Bench(house=served.house, caller=caller, dataset=dataset, clock=HandClock(), bells=RingRecorder())
    return make_duel_bench(bench)


@pytest.fixture(scope="module")
def duels(served: ServedHouse) -> Any:
    return served.stub(duels_pb2_grpc.DuelsStub)


@pytest.fixture(scope="module")
def models(served: ServedHouse) -> Any:
    return served.stub(models_pb2_grpc.ModelsStub)


def asked(bench: DuelBench, **said: Any) -> duels_pb2.CreateDuelRequest:
    duel = duels_pb2.Duel(champion=CHAMPION, challenger=CHALLENGER, prompts=bench.reviews.prompts.name, **said)
    return duels_pb2.CreateDuelRequest(parent="projects/-", duel=duel, request_id=str(uuid.uuid4()))


def by_checker(bench: DuelBench) -> duels_pb2.CreateDuelRequest:
    checker = Checker(name="json-parses")
    return asked(bench, judge=duels_pb2.DUEL_JUDGE_CHECKER, checker=checker)


def refused(call: Any, request: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value


def test_a_duel_is_begun_judged_and_read(bench: DuelBench, duels: Any) -> None:
    request = by_checker(bench)
    made = duels.CreateDuel(request)
    assert duels.CreateDuel(request) == made == duels.GetDuel(duels_pb2.GetDuelRequest(name=made.name))
    assert (made.champion, made.judge, made.result.verdict) == (CHAMPION, 2, duels_pb2.DUEL_VERDICT_UNDECIDED)
    assert not made.result.HasField("win_rate") and made.result.pairs == 100
    with bench.bench.house.storage.read() as uow:
        duel = uow.duels.find("own", made.name.rpartition("/")[2])
    assert duel is not None
    bench.draw(duel, [(0.0, 1.0)] * 10)
    won = duels.GetDuel(duels_pb2.GetDuelRequest(name=made.name)).result
    assert (won.verdict, won.wins, won.win_rate, won.challenger_score) == (duels_pb2.DUEL_VERDICT_BETTER, 10, 1.0, 1.0)
    listed = duels.ListDuels(duels_pb2.ListDuelsRequest(parent="projects/-")).duels
    assert [each.result.verdict for each in listed if each.name == made.name] == [won.verdict]
    wrong = refused(duels.CreateDuel, asked(bench, error_rate=0.9))
    assert (wrong.code(), fields_of(wrong)) == (grpc.StatusCode.INVALID_ARGUMENT, ["duel.error_rate"])
    assert fields_of(refused(duels.CreateDuel, duels_pb2.CreateDuelRequest(parent="projects/-"))) == ["duel"]


def test_an_alias_is_moved_refused_and_moved_back(bench: DuelBench, duels: Any, models: Any) -> None:
    def promote(name: str, **said: Any) -> models_pb2.Alias:
        request = models_pb2.PromoteModelRequest(name=name, alias="prod", request_id=str(uuid.uuid4()), **said)
        answer: models_pb2.Alias = models.PromoteModel(request)
        return answer

    first = promote(CHALLENGER)
    duel = duels.CreateDuel(by_checker(bench))
    with bench.bench.house.storage.read() as uow:
        found = uow.duels.find("own", duel.name.rpartition("/")[2])
    assert found is not None
    bench.draw(found, [(0.0, 1.0)] * 10)
    request = models_pb2.PromoteModelRequest(name=CHAMPION, alias="prod")
    closed = refused(models.PromoteModel, request)
    assert (closed.code(), info_of(closed).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GATE_CLOSED")
    assert duel.name in closed.details()
    forced = promote(CHAMPION, force=True, reason="for a demonstration", etag=first.etag)
    assert forced.moves[0].forced and forced.etag != first.etag
    stale = refused(models.PromoteModel, models_pb2.PromoteModelRequest(name=CHALLENGER, alias="prod", etag=first.etag))
    assert (stale.code(), info_of(stale).reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert info_of(stale).metadata["etag"] == forced.etag
    back = models.RollBackAlias(models_pb2.RollBackAliasRequest(name=forced.name, reason="enough"))
    assert back.model_version == CHALLENGER == models.GetAlias(models_pb2.GetAliasRequest(name=back.name)).model_version
    aliases = models.ListAliases(models_pb2.ListAliasesRequest(parent="projects/-/models/chat")).aliases
    assert list(aliases) == [back]
    version = models.GetModelVersion(models_pb2.GetModelVersionRequest(name=back.name))
    assert (version.name, list(version.aliases), version.reward_model) == (CHALLENGER, ["prod"], False)


def test_a_lineage_is_sent_in_order(bench: DuelBench, models: Any) -> None:
    found = models.GetLineage(models_pb2.GetLineageRequest(name=CHAMPION))
    assert found.name == CHAMPION and found.nodes[0].kind == lineage_pb2.LINEAGE_KIND_DATASET
    assert found.nodes[0].name == bench.bench.dataset.name and found.nodes[0].sha256
    assert {edge.relation for edge in found.edges} >= {"trained on", "published by"}
    assert refused(models.GetLineage, models_pb2.GetLineageRequest(name="x")).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_stats_of_a_duels_review_tell_who_wins(bench: DuelBench, served: ServedHouse) -> None:
    duel = bench.create("by-people")
    bench.draw(duel, [(None, None)] * 6)
    bench.vote(bench.reviews.reviewer("anna"), duel, "bbbbew")
    stub = served.stub(reviews_grpc.ReviewsStub)
    stats = stub.GetReviewStats(reviews_pb2.GetReviewStatsRequest(name=duel.review))
    assert [(each.model_version, each.wins, each.comparisons) for each in stats.versions] == [
        (CHALLENGER, 4.5, 6),
        (CHAMPION, 1.5, 6),
    ]
    assert stats.versions[0].strength.value > 0 > stats.versions[1].strength.value
    assert stats.reviewers[0].votes == 6 and not stats.HasField("cohen_kappa")


def test_roles_see_and_do_what_is_theirs(bench: DuelBench, served: ServedHouse) -> None:
    keys = keys_of_roles(served)
    promotion = models_pb2.PromoteModelRequest(name=CHALLENGER, alias="canary")
    for role, may in ((Role.REVIEWER, False), (Role.VIEWER, False), (Role.TRAINER, True), (Role.ADMIN, True)):
        stub = served.stub(models_pb2_grpc.ModelsStub, key=keys[role])
        if may:
            assert stub.PromoteModel(promotion).model_version == CHALLENGER
        else:
            assert refused(stub.PromoteModel, promotion).code() is grpc.StatusCode.PERMISSION_DENIED
    reviewer = served.stub(duels_pb2_grpc.DuelsStub, key=keys[Role.REVIEWER])
    listing = duels_pb2.ListDuelsRequest(parent="projects/-")
    assert refused(reviewer.ListDuels, listing).code() is grpc.StatusCode.PERMISSION_DENIED
    viewer = served.stub(duels_pb2_grpc.DuelsStub, key=keys[Role.VIEWER])
    assert viewer.ListDuels(listing).duels
    assert refused(viewer.CreateDuel, by_checker(bench)).code() is grpc.StatusCode.PERMISSION_DENIED
