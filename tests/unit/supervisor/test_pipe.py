"""The pipe's language: whole messages out of bytes that were cut anywhere, and nothing out of garbage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_worker.supervisor.pipe import FRAME_BYTES_MAX, FrameDecoder, PipeError, frame
from tutelage.v1 import jobs_pb2
from tutelage_internal.v1 import facts_pb2, pipe_pb2


def said(step: int) -> pipe_pb2.FromTrainer:
    metric = jobs_pb2.MetricLogged(step=step, values={"train/loss": 0.5})
    return pipe_pb2.FromTrainer(fact=facts_pb2.Fact(metric_logged=metric))


@given(st.lists(st.integers(0, 1 << 40), max_size=20), st.lists(st.integers(1, 50), min_size=1))
def test_messages_arrive_however_the_bytes_are_cut(steps: list[int], cuts: list[int]) -> None:
    data = b"".join(frame(said(step)) for step in steps)
    decoder, heard, turn = FrameDecoder(), [], 0
    while data:
        size = cuts[turn % len(cuts)]
        heard += decoder.feed(data[:size])
        data, turn = data[size:], turn + 1
    assert heard == [said(step) for step in steps]


def test_a_length_is_four_bytes_big_endian() -> None:
    message = pipe_pb2.FromTrainer(progress=pipe_pb2.Progress(step=1))
    assert frame(message) == b"\x00\x00\x00\x04" + message.SerializeToString()


def test_a_message_beyond_4_mib_is_refused_before_it_is_read() -> None:
    with pytest.raises(PipeError, match="4194305 bytes was announced"):
        FrameDecoder().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


def test_a_message_beyond_4_mib_is_not_sent() -> None:
    stop = pipe_pb2.ToTrainer(launch=pipe_pb2.Launch(artifacts_url="x" * FRAME_BYTES_MAX))
    with pytest.raises(PipeError, match="longer than"):
        frame(stop)


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(PipeError, match="no message"):
        FrameDecoder().feed(b"\x00\x00\x00\x02\xff\xff")


def test_a_message_that_says_nothing_known_is_refused() -> None:
    with pytest.raises(PipeError, match="nothing this version understands"):
        FrameDecoder().feed(b"\x00\x00\x00\x00")


def test_half_a_message_at_the_end_is_nothing() -> None:
    assert FrameDecoder().feed(frame(said(1))[:-1]) == []
