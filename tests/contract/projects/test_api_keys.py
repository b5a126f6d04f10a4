"""Keys: made once, checked on every call, ended at once, on both databases."""

import concurrent.futures
import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from services.domain.errors import InvalidField, InvalidKey, NotFound, RequestIdReused, WrongState
from services.domain.pages import PageRequest
from services.domain.projects import NewApiKey, Role
from services.domain.requests import NO_REQUEST_KEY, RequestKey
from services.projects.authenticate import authenticate, identify, working_keys
from services.projects.create_api_key import ApiKeyDraft, create_api_key
from services.projects.create_project import create_project
from services.projects.get_project import get_project
from services.projects.list_api_keys import list_api_keys
from services.projects.revoke_api_key import revoke_api_key
from services.storage.tables.projects import api_key as api_key_table
from tests.support.houses import A_TIME, Bench, add_project

REQUEST = RequestKey(request_id="6f2a1f9e-3c55-4a7a-9a5e-7d1f7b8d9c01", body_sha256="a" * 64)


def made(bench: Bench, *, role: Role = Role.TRAINER, request: RequestKey = NO_REQUEST_KEY, **draft) -> NewApiKey:
    caller = dataclasses.replace(bench.caller, method="tutelage.v1.Projects/CreateApiKey")
    drafted = ApiKeyDraft(role=role, **draft)
    return create_api_key(bench.house, caller=caller, parent="projects/-", draft=drafted, request=request)


def revoke(bench: Bench, key: NewApiKey | str, *, request: RequestKey = NO_REQUEST_KEY):
    name = key if isinstance(key, str) else key.api_key.name
    return revoke_api_key(bench.house, caller=bench.caller, name=name, request=request)


def test_a_key_that_was_made_works(bench: Bench) -> None:
    new = made(bench, role=Role.VIEWER, display_name="dashboard")
    key, project = authenticate(bench.house, api_key=new.secret)
    assert (key.id, key.role, project.id) == (new.api_key.id, Role.VIEWER, "own")


def test_a_secret_is_nowhere_in_the_database(bench: Bench) -> None:
    secret = made(bench).secret.rpartition("_")[2]
    with bench.storage.engine.connect() as connection:
        rows = connection.execute(sa.select(api_key_table)).all()
    assert secret not in repr(rows) and bytes.fromhex(secret) not in [row.secret_hash for row in rows]


def test_repeating_the_request_returns_the_key_without_its_secret(bench: Bench) -> None:
    first, again = made(bench, request=REQUEST), made(bench, request=REQUEST)
    assert again.api_key == first.api_key and first.secret and again.secret is None
    with pytest.raises(RequestIdReused):
        made(bench, request=dataclasses.replace(REQUEST, body_sha256="b" * 64))


def test_a_key_needs_a_role_and_a_future(bench: Bench) -> None:
    with pytest.raises(InvalidField, match="api_key.role"):
        made(bench, role=None)
    with pytest.raises(InvalidField, match="api_key.expire_time"):
        made(bench, expire_time=A_TIME - datetime.timedelta(days=3000))
    with pytest.raises(InvalidField, match="api_key.display_name"):
        made(bench, display_name="a\x1b[31mred")


def test_an_expired_key_does_not_work(bench: Bench) -> None:
    new = made(bench, expire_time=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1))
    assert authenticate(bench.house, api_key=new.secret)
    with bench.storage.engine.begin() as connection:
        change = sa.update(api_key_table).where(api_key_table.c.id == new.api_key.id).values(expire_time=A_TIME)
        connection.execute(change)
    with pytest.raises(InvalidKey):
        authenticate(bench.house, api_key=new.secret)
    assert working_keys(bench.house, key_ids=[new.api_key.id]) == set()


def test_a_revoked_key_does_not_work_from_then_on(bench: Bench) -> None:
    new = made(bench)
    said = {"key_id": new.api_key.id, "project_id": "own", "method": "m", "request_id": ""}
    assert identify(bench.house, **said).key.role is Role.TRAINER
    assert working_keys(bench.house, key_ids=[new.api_key.id, "unknown"]) == {new.api_key.id}
    revoke(bench, new)
    for attempt in (lambda: identify(bench.house, **said), lambda: authenticate(bench.house, api_key=new.secret)):
        with pytest.raises(InvalidKey):
            attempt()


def test_a_key_acts_in_its_own_project_only(bench: Bench) -> None:
    new = made(bench)
    add_project(bench.house, "foreign")
    with pytest.raises(InvalidKey):
        identify(bench.house, key_id=new.api_key.id, project_id="foreign", method="m", request_id="")


def test_all_refusals_of_a_key_read_the_same(bench: Bench) -> None:
    new, other = made(bench), made(bench)
    revoke(bench, new)
    _, key_id, _ = other.secret.split("_")
    wrong = [new.secret, f"tut_{key_id}_{'0' * 64}", f"tut_{'q' * 12}_{'0' * 64}", "", "Bearer x", "tut_' OR 1=1--"]
    words = set()
    for text in wrong:
        with pytest.raises(InvalidKey) as caught:
            authenticate(bench.house, api_key=text)
        words.add(str(caught.value))
    assert len(words) == 1


def test_revoking_twice_keeps_the_first_time(bench: Bench) -> None:
    new = made(bench)
    first = revoke(bench, new)
    assert revoke(bench, new).revoke_time == first.revoke_time is not None


def test_the_last_admin_key_stays(bench: Bench) -> None:
    with pytest.raises(WrongState, match="last admin key"):
        revoke(bench, bench.caller.api_key)
    second = made(bench, role=Role.ADMIN)
    revoke(bench, bench.caller.api_key)
    with pytest.raises(WrongState):
        revoke(bench, second)


def test_two_admins_cannot_revoke_each_other_at_the_same_time(bench: Bench) -> None:
    second = made(bench, role=Role.ADMIN)
    names = [bench.caller.api_key, second.api_key.name]
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        outcomes = [threads.submit(revoke, bench, name) for name in names]
    assert sum(outcome.exception() is None for outcome in outcomes) == 1


def test_a_foreign_key_is_as_missing_as_a_missing_one(bench: Bench) -> None:
    stranger = add_project(bench.house, "foreign")
    for name in (stranger.api_key, "projects/own/apiKeys/missing"):
        with pytest.raises(NotFound, match="does not exist in your project"):
            revoke(bench, name)


def test_the_last_use_is_kept_to_the_minute(bench: Bench) -> None:
    new = made(bench)
    authenticate(bench.house, api_key=new.secret)
    (found, *_), _ = list_api_keys(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=1))
    assert found.id == new.api_key.id
    assert found.last_use_time == bench.clock.now()
    bench.clock.seconds = 59
    authenticate(bench.house, api_key=new.secret)
    bench.clock.seconds = 61
    authenticate(bench.house, api_key=new.secret)
    (found, *_), _ = list_api_keys(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=1))
    assert found.last_use_time == A_TIME + datetime.timedelta(minutes=1)


def test_keys_are_listed_newest_first_page_by_page(bench: Bench) -> None:
    ids = [bench.caller.key.id, *(made(bench).api_key.id for _ in range(4))]
    found, token = [], None
    while token != "":
        page = PageRequest(size=2, token=token or "")
        shown, token = list_api_keys(bench.house, caller=bench.caller, parent="projects/-", page=page)
        found += [key.id for key in shown]
    assert found == ids[::-1]


def test_a_page_token_of_another_project_is_refused(bench: Bench) -> None:
    for _ in range(3):
        made(bench)
    _, token = list_api_keys(bench.house, caller=bench.caller, parent="projects/-", page=PageRequest(size=1))
    stranger = add_project(bench.house, "foreign")
    with pytest.raises(InvalidField, match="page_token"):
        list_api_keys(bench.house, caller=stranger, parent="projects/-", page=PageRequest(size=1, token=token))


def test_an_operator_makes_a_project_and_another_key_of_it(bench: Bench) -> None:
    first = create_project(bench.house, project_id="plays")
    second = create_project(bench.house, project_id="plays")
    key, project = authenticate(bench.house, api_key=first.secret)
    assert key.role is Role.ADMIN and authenticate(bench.house, api_key=second.secret)[1] == project
    with pytest.raises(InvalidField):
        create_project(bench.house, project_id="../etc")


def test_a_caller_sees_its_own_project_and_no_other(bench: Bench) -> None:
    add_project(bench.house, "foreign")
    assert get_project(bench.house, caller=bench.caller, name="projects/-").id == "own"
    with pytest.raises(NotFound):
        get_project(bench.house, caller=bench.caller, name="projects/foreign")
