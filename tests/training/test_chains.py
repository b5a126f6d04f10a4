"""Two words that say whether two runs were the same."""

import math
import struct

import numpy as np

from tests.training.runs import bench_with, tiny_spec
from trainer_worker.trainer.engine.chains import data_link, loss_link

SAMPLES = np.array([3, 1, 2])


def test_a_link_depends_on_all_that_went_before() -> None:
    first = data_link("", step=1, samples=SAMPLES)
    assert len(first) == 32 and set(first) <= set("0123456789abcdef")
    assert first == data_link("", step=1, samples=SAMPLES.astype(np.int32))
    others = [
        data_link(first, step=1, samples=SAMPLES),
        data_link("", step=2, samples=SAMPLES),
        data_link("", step=1, samples=SAMPLES[::-1]),
        data_link("", step=1, samples=SAMPLES[:2]),
    ]
    assert len({first, *others}) == 5


def test_the_last_bit_of_a_loss_counts() -> None:
    loss = 2.5
    assert loss_link("", step=1, loss=loss, norm=1.0) != loss_link("", step=1, loss=math.nextafter(loss, 3), norm=1.0)
    assert loss_link("", step=1, loss=loss, norm=1.0) != loss_link("", step=1, loss=loss, norm=math.nextafter(1.0, 2))
    assert loss_link("", step=1, loss=0.0, norm=1.0) != loss_link("", step=1, loss=-0.0, norm=1.0)


def test_one_nan_is_like_another() -> None:
    (other,) = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))
    assert loss_link("", step=1, loss=other, norm=1.0) == loss_link("", step=1, loss=math.nan, norm=1.0)


def test_each_step_of_a_run_has_both_links(tmp_path) -> None:  # type: ignore[no-untyped-def]
    one = bench_with(tmp_path / "one").run(tiny_spec(samples_interval=0))
    same = bench_with(tmp_path / "same").run(tiny_spec(samples_interval=0, evaluation_interval=0))
    slower = bench_with(tmp_path / "slower").run(tiny_spec(learning_rate=9e-3, samples_interval=0))
    assert list(one.chains) == list(range(1, 13))
    assert one.chains == same.chains
    assert [chains[0] for chains in one.chains.values()] == [chains[0] for chains in slower.chains.values()]
    assert one.chains[1] == slower.chains[1]
    assert not {chains[1] for chains in list(one.chains.values())[1:]} & {each[1] for each in slower.chains.values()}
