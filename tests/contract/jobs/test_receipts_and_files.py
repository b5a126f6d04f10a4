"""What a run can be held to, the files that it has made, and the states of it that one may look into."""

import dataclasses
import hashlib

import pytest

from services.domain.errors import InvalidField, NotFound, WrongOffset, WrongState
from services.domain.job_events import BlamedRow, Fact, MetricLogged, Note, NoteLevel, RowsBlamed
from services.domain.jobs import Assignment, AttemptEnd, Usage
from services.domain.limits import FILE_CHUNK_BYTES
from services.jobs.get_receipt import get_receipt
from services.jobs.list_job_files import list_job_files
from services.jobs.read_job_file import read_job_file, read_piece
from services.jobs.resolve_checkpoint import resolve_checkpoint
from tests.support.houses import Bench, add_project, note_fact, step_fact, steps
from tests.support.works import chained, exporting, published, rolled_back


def environment(seq: int, **details: str) -> Fact:
    """Return the fact of a note on where a trainer runs."""
    return Fact(seq=seq, told=Note(level=NoteLevel.INFO, kind="environment", message="here", details=details))


def test_a_receipt_holds_seed_data_and_chains(bench: Bench) -> None:
    at = bench.started()
    facts = chained(2, 4, first_seq=3)
    bench.report(
        at, environment(1, torch="2.13"), *chained(1, 1, first_seq=2), *facts, note_fact(6), step_fact(7, step=5)
    )
    receipt = get_receipt(bench.house, caller=bench.caller, name=at.job.name)
    assert (receipt.step, receipt.data_chain) == (5, "")
    bench.report(at, rolled_back(8, from_step=5, to_step=4, lineage=2), environment(9, torch="2.14"))
    receipt = get_receipt(bench.house, caller=bench.caller, name=at.job.name)
    last = facts[-1].told
    assert isinstance(last, MetricLogged)
    assert (receipt.step, receipt.lineage, receipt.seed) == (4, 2, 1234)
    assert (receipt.data_chain, receipt.loss_chain) == (last.data_chain, last.loss_chain)
    assert receipt.dataset_sha256s == (bench.dataset.sha256,)
    assert receipt.environment == {"torch": "2.14"}
    assert receipt.manifest_sha256 == ""


def test_a_receipt_names_the_published_weights(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *chained(1, 10))
    written = bench.written(at, step=10, complete=True)
    bench.commit(at, written)
    assert get_receipt(bench.house, caller=bench.caller, name=at.job.name).manifest_sha256 == ""
    bench.finish(at, AttemptEnd.COMPLETE)
    assert get_receipt(bench.house, caller=bench.caller, name=at.job.name).manifest_sha256 == written.manifest_sha256


def test_there_is_no_receipt_before_the_first_step_and_none_of_an_export(bench: Bench) -> None:
    with pytest.raises(WrongState, match="not recorded a step"):
        get_receipt(bench.house, caller=bench.caller, name=bench.submit().name)
    published(bench)
    with pytest.raises(WrongState, match="trains nothing"):
        get_receipt(bench.house, caller=bench.caller, name=exporting(bench, "projects/own/models/novel").name)
    with pytest.raises(NotFound):
        get_receipt(bench.house, caller=bench.caller, name="projects/own/jobs/nothing")


def test_chains_that_are_none_are_not_kept(bench: Bench) -> None:
    at = bench.started()
    (fact,) = chained(1, 1)
    bench.report(at, Fact(seq=1, told=dataclasses.replace(fact.told, data_chain="\0" * 32, loss_chain="a" * 65)))
    told = bench.history(at.job.uid)[-1].happening
    assert isinstance(told, MetricLogged) and (told.data_chain, told.loss_chain) == ("", "")


def test_chains_are_told_to_watchers(bench: Bench) -> None:
    at = bench.started()
    (fact,) = chained(1, 1)
    bench.report(at, fact)
    assert bench.history(at.job.uid)[-1].happening == fact.told


def test_usage_is_the_most_memory_and_all_the_time(bench: Bench) -> None:
    at = bench.started()
    assert at.job.usage is None
    for seq, peak in enumerate((7, 9, 8), start=1):
        bench.report(at, Fact(seq=seq, told=Usage(peak_memory_bytes=peak)))
    bench.report(at, *steps(1, 3, first_seq=4))
    bench.finish(at, AttemptEnd.DRAINED)
    bench.make_due(at.job.uid)
    again = bench.claim()
    assert again is not None
    bench.report(again, *steps(2, 4))
    assert bench.job(at.job.uid).usage == Usage(training_s=2.0, peak_memory_bytes=9)


def test_blamed_rows_are_told_with_bounds(bench: Bench) -> None:
    at = bench.started()
    row = BlamedRow(step=1, dataset=bench.dataset.name, row=3, token=0, loss=float("inf"), excerpt="a\0b" + "x" * 300)
    bench.report(at, step_fact(1, step=1), Fact(seq=2, told=RowsBlamed(step=1, rows=(row,) * 30)))
    told = bench.history(at.job.uid)[-1].happening
    assert isinstance(told, RowsBlamed) and len(told.rows) == 20
    assert told.rows[0].excerpt == "a\ufffdb" + "x" * 197
    assert told.rows[0].loss != told.rows[0].loss
    bench.finish(at, AttemptEnd.DRAINED)
    bench.make_due(at.job.uid)
    again = bench.claim()
    assert again is not None
    before = bench.history(at.job.uid)
    bench.report(again, Fact(seq=1, told=RowsBlamed(step=1, rows=(row,))))
    assert bench.history(at.job.uid) == before


def finished(bench: Bench, content: bytes) -> Assignment:
    at = bench.started()
    bench.commit(at, bench.written(at, step=10, content=content, complete=True))
    assert list_job_files(bench.house, caller=bench.caller, parent=at.job.name) == ()
    bench.finish(at, AttemptEnd.COMPLETE)
    return at


def test_the_files_of_a_job_are_listed_when_it_is_complete(bench: Bench) -> None:
    at = finished(bench, b"weights")
    (file,) = list_job_files(bench.house, caller=bench.caller, parent=at.job.name)
    assert (file.name, file.size_bytes) == ("model.safetensors", 7)
    assert file.sha256 == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(NotFound):
        list_job_files(bench.house, caller=add_project(bench.house, "foreign"), parent=at.job.name)


def test_a_file_is_read_in_pieces_from_an_offset_on(bench: Bench) -> None:
    content = bytes(range(256)) * (FILE_CHUNK_BYTES // 256) + b"the end"
    name = finished(bench, content).job.name
    with read_job_file(bench.house, caller=bench.caller, name=name, filename="model.safetensors") as file:
        pieces = [read_piece(file) for _ in range(3)]
    assert b"".join(pieces) == content and [len(piece) for piece in pieces] == [FILE_CHUNK_BYTES, 7, 0]
    for offset in (len(content) - 3, len(content)):
        with read_job_file(
            bench.house, caller=bench.caller, name=name, filename="model.safetensors", offset_bytes=offset
        ) as file:
            assert read_piece(file) == content[offset:]


def test_a_file_that_is_not_there_and_a_place_that_is_not_in_it_are_refused(bench: Bench) -> None:
    name = finished(bench, b"weights").job.name

    def read(filename: str, offset_bytes: int = 0) -> None:
        read_job_file(bench.house, caller=bench.caller, name=name, filename=filename, offset_bytes=offset_bytes)

    with pytest.raises(NotFound, match=r"did you mean 'model.safetensors'"):
        read("model.safetensor")
    for hostile in ("../model.safetensors", "/etc/passwd", "manifest.json", ""):
        with pytest.raises(NotFound):
            read(hostile)
    with pytest.raises(WrongOffset, match="the file has 7 bytes"):
        read("model.safetensors", 8)
    with pytest.raises(InvalidField):
        read("model.safetensors", -1)


def test_files_of_a_job_that_is_not_complete_are_not_there_yet(bench: Bench) -> None:
    with pytest.raises(NotFound, match="it is QUEUED"):
        read_job_file(bench.house, caller=bench.caller, name=bench.submit().name, filename="model.safetensors")


def test_files_that_the_store_has_lost_are_said_to_be_lost(bench: Bench) -> None:
    at = finished(bench, b"weights")
    bench.house.store.delete_all(f"{at.checkpoint_prefix}/step-10")
    with pytest.raises(WrongState, match="cannot be read"):
        list_job_files(bench.house, caller=bench.caller, parent=at.job.name)


def test_the_newest_checkpoint_at_or_before_a_step_is_looked_into(bench: Bench) -> None:
    at = bench.started()
    bench.report(at, *steps(1, 9))
    for step in (2, 4, 8):
        bench.commit(at, bench.written(at, step=step, content=b"%d" % step))

    def found(step: int | None) -> tuple[int, int]:
        resolved = resolve_checkpoint(bench.house, caller=bench.caller, name=at.job.name, step=step)
        return resolved.checkpoint.step, resolved.first.step

    assert (found(None), found(8), found(7), found(2)) == ((8, 2), (8, 2), (4, 2), (2, 2))
    bench.house.store.delete_all(f"{at.checkpoint_prefix}/step-8")
    assert found(None) == (4, 2)
    with pytest.raises(WrongState, match="no checkpoint at or before step 1; the oldest .* step 2"):
        found(1)
    with pytest.raises(InvalidField):
        found(-1)
    bench.report(at, rolled_back(10, from_step=9, to_step=2, lineage=2))
    assert found(9) == (2, 2)


def test_a_run_without_checkpoints_and_a_foreign_one_cannot_be_looked_into(bench: Bench) -> None:
    name = bench.submit().name
    with pytest.raises(WrongState, match="no checkpoint yet"):
        resolve_checkpoint(bench.house, caller=bench.caller, name=name)
    with pytest.raises(NotFound):
        resolve_checkpoint(bench.house, caller=add_project(bench.house, "foreign"), name=name)
