"""Small parts of the supervisor: wishes, last words, silence, the main thread's desk."""

import pathlib
import threading

import pytest

from trainer_worker.supervisor import memory_pressure
from trainer_worker.supervisor.clock import LastHeard, boottime_s
from trainer_worker.supervisor.main_thread import MainThread
from trainer_worker.supervisor.stderr_tail import readable
from trainer_worker.supervisor.wishes import Wishes


def test_many_bells_for_one_job_are_one_wish() -> None:
    rung = threading.Event()
    wishes = Wishes(rung=rung)
    for _ in range(1000):
        wishes.add("a")
    assert rung.is_set() and wishes.count() == 1
    assert (wishes.take(), wishes.take()) == ("a", "")


def test_wishes_are_few_and_the_newest_stay() -> None:
    wishes = Wishes(rung=threading.Event())
    for number in range(100):
        wishes.add(str(number))
    assert wishes.count() == 16 and wishes.take() == "84"


def test_a_claim_in_vain_forgets_the_wishes_before_it_and_keeps_those_after() -> None:
    wishes = Wishes(rung=threading.Event())
    wishes.add("before")
    wishes.add("with it")
    rung = wishes.count()
    wishes.take()
    wishes.add("after")
    wishes.forget(rung - 1)
    assert wishes.take() == "after"


def test_last_words_lose_colours_control_characters_and_broken_bytes() -> None:
    assert readable(b"\x1b[31mred\x1b[0m\x00\x07 caf\xc3\xa9 \xff\r\nend\n") == "red café \ufffd\n\nend"


def test_of_last_words_the_end_is_kept() -> None:
    assert readable(b"x" * 5000 + b"end").endswith("end")
    assert len(readable(b"x" * 5000)) == 2000


def test_silence_is_counted_from_the_sending_of_the_last_call_that_was_answered() -> None:
    heard = LastHeard()
    sent_s = boottime_s() + 100  # an answer to a later call
    heard.answered(sent_s)
    heard.answered(sent_s - 50)  # a late answer to an earlier one
    assert -101 < heard.silence_s() < -99


def test_work_is_done_on_the_thread_that_serves() -> None:
    desk = MainThread()
    names: list[str] = []

    def ask() -> None:
        names.append(desk.do(lambda: threading.current_thread().name))
        desk.leave()

    asker = threading.Thread(target=ask, name="asker")
    asker.start()
    desk.serve()
    asker.join()
    assert names == [threading.current_thread().name]


def test_an_error_on_the_main_thread_goes_to_who_asked() -> None:
    desk = MainThread()

    def fail() -> None:
        raise FileNotFoundError("no trainer")

    def ask() -> None:
        with pytest.raises(FileNotFoundError, match="no trainer"):
            desk.do(fail)
        desk.leave()

    asker = threading.Thread(target=ask)
    asker.start()
    desk.serve()
    asker.join()


@pytest.mark.skipif(not pathlib.Path("/proc/vmstat").exists(), reason="nobody counts here")
def test_the_kernels_kills_are_counted() -> None:
    assert memory_pressure.oom_kills() >= 0
