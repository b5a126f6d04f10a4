"""The spool keeps every fact, in order, until it is acknowledged; and it has an end."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_worker.supervisor.spool import FactSpool, SpoolError
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2


def fact(size: int = 10) -> facts_pb2.Fact:
    return facts_pb2.Fact(note=jobs_pb2.Note(message="x" * size))


def spool_in(folder: pathlib.Path, *, memory: int = 200, file: int = 1000) -> FactSpool:
    return FactSpool(folder / "spool", file_bytes_max=file, memory_bytes_max=memory)


def seqs(spool: FactSpool, *, facts_max: int = 1000, bytes_max: int = 1 << 20) -> list[int]:
    return [fact.seq for fact in spool.batch(facts_max=facts_max, bytes_max=bytes_max)]


def test_facts_are_numbered_from_one(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    assert all(spool.append(fact()) for _ in range(3))
    assert seqs(spool) == [1, 2, 3]


def test_a_batch_stays_until_it_is_acknowledged(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    for _ in range(4):
        spool.append(fact())
    assert seqs(spool, facts_max=2) == seqs(spool, facts_max=2) == [1, 2]
    spool.acknowledge(3)
    assert seqs(spool) == [4] and spool.pending() == 1


def test_an_old_acknowledgement_changes_nothing(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    for _ in range(4):
        spool.append(fact())
    spool.acknowledge(3)
    spool.acknowledge(1)
    assert seqs(spool) == [4] and spool.acknowledged_seq == 3


def test_nothing_can_be_acknowledged_that_was_never_told(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    spool.append(fact())
    spool.acknowledge(100)
    spool.append(fact())
    assert seqs(spool) == [2]


def test_a_batch_keeps_to_its_bytes_but_holds_at_least_one(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path, memory=10_000)
    spool.append(fact(2000))
    for _ in range(5):
        spool.append(fact(100))
    assert seqs(spool, bytes_max=500) == [1]
    spool.acknowledge(1)
    assert seqs(spool, bytes_max=330) == [2, 3, 4]


def test_what_does_not_fit_into_memory_comes_back_from_the_file_in_order(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    for _ in range(30):
        assert spool.append(fact())
    assert (tmp_path / "spool").stat().st_size > 0
    heard: list[int] = []
    while batch := seqs(spool, facts_max=3):
        heard += batch
        spool.acknowledge(batch[-1])
    assert heard == list(range(1, 31))


def test_a_full_spool_refuses_and_takes_the_same_fact_later_under_the_same_number(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path, memory=100, file=100)
    count = 0
    while spool.append(fact()):
        count += 1
    assert not spool.append(fact()) and spool.last_seq == count
    for seq in range(1, count + 1):
        spool.acknowledge(seq)
    assert spool.append(fact()) and spool.last_seq == count + 1
    assert seqs(spool) == [count + 1]


def test_an_emptied_file_gives_its_room_back(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    for _ in range(20):
        spool.append(fact())
    spool.acknowledge(20)
    assert (tmp_path / "spool").stat().st_size == 0


def test_a_disk_that_takes_nothing_is_a_full_spool(tmp_path: pathlib.Path) -> None:
    spool = FactSpool(tmp_path / "missing" / "spool", file_bytes_max=1000, memory_bytes_max=10)
    assert not spool.append(fact(100))
    assert spool.last_seq == 0


def test_a_file_that_somebody_cut_is_an_error_and_no_gap(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    for _ in range(20):
        spool.append(fact())
    (tmp_path / "spool").write_bytes(b"")
    with pytest.raises(SpoolError, match="changed by somebody else"):
        spool.acknowledge(20)


def test_closing_removes_the_file(tmp_path: pathlib.Path) -> None:
    spool = spool_in(tmp_path)
    for _ in range(20):
        spool.append(fact())
    spool.close()
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.one_of(st.integers(1, 150), st.none()), max_size=80))
def test_any_order_of_telling_and_acknowledging_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, events: list[int | None]
) -> None:
    spool = spool_in(tmp_path_factory.mktemp("spool"), memory=300, file=600)
    told, heard = 0, []
    for event in events:
        if event is not None:
            told += spool.append(fact(event))
        elif batch := seqs(spool, facts_max=2):
            heard += batch
            spool.acknowledge(batch[-1])
    while batch := seqs(spool):
        heard += batch
        spool.acknowledge(batch[-1])
    spool.close()
    assert heard == list(range(1, told + 1))
