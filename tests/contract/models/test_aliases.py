"""Aliases: moved once at a time, with their history, back again, and found wherever a version is."""

import concurrent.futures
import contextlib
import threading

import pytest

from services.domain.errors import EtagMismatch, InvalidField, LimitReached, NotFound, RequestIdReused, WrongState
from services.domain.limits import ALIASES_MAX
from services.domain.pages import PageRequest
from services.domain.promotion import Alias
from services.domain.requests import RequestKey
from services.jobs.export_model import ExportModelDraft, export_model
from services.models.get_alias import get_alias
from services.models.get_model import get_model
from services.models.get_model_version import get_model_version
from services.models.list_aliases import list_aliases
from services.models.list_model_versions import list_model_versions
from services.models.promote_model import promote_model
from services.models.resolve_model import resolve_model
from services.models.roll_back_alias import roll_back_alias
from services.projects.list_audit_entries import list_audit_entries
from services.storage.aliases import Aliases
from tests.support.houses import Bench, add_project
from tests.support.works import published

PROD = "projects/-/models/novel/aliases/prod"
KEY = RequestKey(request_id="11111111-1111-4111-8111-111111111111", body_sha256="a" * 64)


def promote(bench: Bench, version: int | str, *, alias: str = "prod", **said: object) -> Alias:
    name = f"projects/-/models/novel/versions/{version}"
    return promote_model(bench.house, caller=bench.calling("PromoteModel"), name=name, alias=alias, **said)  # type: ignore[arg-type]


def roll_back(bench: Bench, **said: object) -> Alias:
    return roll_back_alias(bench.house, caller=bench.calling("RollBackAlias"), name=PROD, **said)  # type: ignore[arg-type]


@pytest.fixture
def versions(bench: Bench) -> Bench:
    """A bench with three versions of a model."""
    for number in range(3):
        published(bench, job_id=f"job-{number}")
    return bench


def test_an_alias_is_made_moved_and_keeps_its_history(versions: Bench) -> None:
    made = promote(versions, 1, reason="the first")
    moved = promote(versions, "latest")
    assert (made.version, moved.version) == (1, 3)
    assert made.etag != moved.etag and moved.update_time >= made.update_time
    found = get_alias(versions.house, caller=versions.caller, name=PROD)
    assert found == moved
    assert [(each.version, each.reason, each.gate) for each in found.moves] == [
        (3, "", "no duel"),
        (1, "the first", "no duel"),
    ]
    assert found.moves[0].actor == versions.caller.api_key
    assert found.moves[0].model_version == "projects/own/models/novel/versions/3"


def test_a_move_is_audited_and_a_move_to_the_same_version_is_none(versions: Bench) -> None:
    first = promote(versions, 1)
    assert promote(versions, 1) == first
    entries, _ = list_audit_entries(versions.house, caller=versions.caller, parent="projects/-", page=PageRequest())
    assert [each.resource for each in entries if "aliases" in each.resource] == [first.name]


def test_a_repeated_request_moves_once(versions: Bench) -> None:
    promote(versions, 1, request=KEY)
    promote(versions, 2)
    again = promote(versions, 1, request=KEY)
    assert (again.version, len(again.moves)) == (2, 2)
    with pytest.raises(RequestIdReused):
        promote(versions, 3, request=RequestKey(request_id=KEY.request_id, body_sha256="b" * 64))


def test_an_alias_is_moved_only_by_those_who_know_where_it_is(versions: Bench) -> None:
    first = promote(versions, 1)
    second = promote(versions, 2, etag=first.etag)
    with pytest.raises(EtagMismatch, match="versions/2 now") as caught:
        promote(versions, 3, etag=first.etag)
    assert caught.value.metadata["etag"] == second.etag
    with pytest.raises(EtagMismatch):
        roll_back(versions, etag=first.etag)
    with pytest.raises(EtagMismatch, match="does not exist"):
        promote(versions, 1, alias="other", etag=first.etag)


def test_of_two_who_promote_at_once_with_an_etag_one_wins(versions: Bench) -> None:
    first = promote(versions, 1)

    def move(version: int) -> Alias | None:
        try:
            return promote(versions, version, etag=first.etag)
        except EtagMismatch:
            return None

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        moved = list(threads.map(move, (2, 3)))
    (winner,) = (each for each in moved if each is not None)
    assert get_alias(versions.house, caller=versions.caller, name=PROD) == winner
    assert len(winner.moves) == 2


def test_nobody_decides_on_where_an_alias_was(versions: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two look at the alias at once, if they can; then both would move it from there."""
    first = promote(versions, 1)
    look, both = Aliases.find, threading.Barrier(2)

    def looked(*of: object) -> Alias | None:
        found = look(*of)  # type: ignore[arg-type]
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.5)
        return found

    monkeypatch.setattr(Aliases, "find", looked)

    def move(version: int) -> bool:
        try:
            return promote(versions, version, etag=first.etag).version == version
        except EtagMismatch:
            return False

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(move, (2, 3))) == [False, True]


def test_of_two_who_promote_at_once_without_an_etag_one_follows_the_other(versions: Bench) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        moved = list(threads.map(lambda version: promote(versions, version), (2, 3)))
    found = get_alias(versions.house, caller=versions.caller, name=PROD)
    assert sorted(each.version for each in found.moves) == [2, 3]
    assert found.version == found.moves[0].version
    assert sorted(len(each.moves) for each in moved) == [1, 2]


def test_going_back_takes_back_one_move_at_a_time(versions: Bench) -> None:
    for version in (1, 2, 3):
        promote(versions, version)
    assert roll_back(versions, reason="it was slow").version == 2
    back = roll_back(versions)
    assert (back.version, back.moves[0].gate, back.moves[1].reason) == (1, "rolled back", "it was slow")
    with pytest.raises(WrongState, match="no version before"):
        roll_back(versions)
    promote(versions, 3)
    assert roll_back(versions).version == 1


def test_a_repeated_going_back_goes_back_once(versions: Bench) -> None:
    for version in (1, 2, 3):
        promote(versions, version)
    assert roll_back(versions, request=KEY).version == 2
    assert roll_back(versions, request=KEY).version == 2


def test_an_alias_is_accepted_wherever_a_version_is(versions: Bench) -> None:
    promote(versions, 2)
    second = get_model_version(versions.house, caller=versions.caller, name=PROD)
    assert (second.version, second.aliases) == (2, ("prod",))
    assert resolve_model(versions.house, caller=versions.caller, model=PROD) == second
    caller = versions.calling("ExportModel")
    job = export_model(versions.house, caller=caller, parent="projects/-", draft=ExportModelDraft(model=PROD))
    assert job.spec.model == second.name
    with pytest.raises(NotFound, match="^model: .* did you mean 'prod'"):
        resolve_model(versions.house, caller=versions.caller, model=PROD.replace("prod", "prodd"))


def test_versions_tell_their_aliases(versions: Bench) -> None:
    promote(versions, 3)
    promote(versions, 3, alias="canary")
    promote(versions, 1, alias="old")
    model = get_model(versions.house, caller=versions.caller, name="projects/-/models/novel")
    assert model.latest_version.aliases == ("canary", "prod")
    parent = "projects/-/models/novel"
    listed, _ = list_model_versions(versions.house, caller=versions.caller, parent=parent, page=PageRequest())
    assert [each.aliases for each in listed] == [("canary", "prod"), (), ("old",)]
    aliases = list_aliases(versions.house, caller=versions.caller, parent=parent)
    assert [(each.id, each.version, len(each.moves)) for each in aliases] == [
        ("canary", 3, 1),
        ("old", 1, 1),
        ("prod", 3, 1),
    ]


@pytest.mark.parametrize("alias", ["latest", "v3", "Prod", "", "a/b", "-", "v" + "1" * 70])
def test_an_alias_that_could_be_taken_for_something_else_is_refused(versions: Bench, alias: str) -> None:
    with pytest.raises(InvalidField, match="alias"):
        promote(versions, 1, alias=alias)


def test_other_words_are_refused(versions: Bench) -> None:
    with pytest.raises(InvalidField, match="is required with `force`"):
        promote(versions, 1, force=True, reason=" ")
    with pytest.raises(InvalidField, match="reason"):
        promote(versions, 1, reason="x" * 1001)
    with pytest.raises(InvalidField, match="control characters"):
        promote(versions, 1, reason="a\x00b")
    with pytest.raises(InvalidField, match="request_id"):
        promote(versions, 1, request=RequestKey(request_id="7"))
    with pytest.raises(InvalidField, match="name"):
        promote_model(versions.house, caller=versions.caller, name="projects/-/models/novel", alias="prod")


def test_a_stranger_sees_and_moves_nothing(versions: Bench) -> None:
    promote(versions, 1)
    stranger = add_project(versions.house, "foreign")
    for name in (PROD.replace("-", "own", 1), PROD):
        with pytest.raises(NotFound):
            get_alias(versions.house, caller=stranger, name=name)
        with pytest.raises(NotFound):
            roll_back_alias(versions.house, caller=stranger, name=name)
    with pytest.raises(NotFound):
        promote_model(
            versions.house, caller=stranger, name="projects/own/models/novel/versions/1", alias="prod", etag=""
        )


def test_a_model_has_a_limited_number_of_aliases(versions: Bench) -> None:
    for number in range(ALIASES_MAX):
        promote(versions, 1, alias=f"a{number}")
    with pytest.raises(LimitReached, match="100 aliases"):
        promote(versions, 1, alias="more")
    promote(versions, 2, alias="a7")


def test_the_history_of_an_alias_is_never_changed(versions: Bench) -> None:
    import sqlalchemy as sa

    promote(versions, 1)
    for statement in ("UPDATE alias_move SET version = 2", "DELETE FROM alias_move"):
        with pytest.raises(sa.exc.DBAPIError, match="never changed"), versions.storage.engine.begin() as connection:
            connection.execute(sa.text(statement))
