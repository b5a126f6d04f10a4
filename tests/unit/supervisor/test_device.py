"""The device that a worker shows is what its trainers will find."""

import pathlib

import pytest

from trainer_worker.supervisor import device


@pytest.mark.parametrize(
    ("visible", "seen"), [({}, "cuda"), ({"CUDA_VISIBLE_DEVICES": "0"}, "cuda"), ({"CUDA_VISIBLE_DEVICES": ""}, "cpu")]
)
def test_a_device_counts_unless_it_is_hidden(visible: dict[str, str], seen: str, tmp_path: pathlib.Path) -> None:
    assert device.seen(visible, driver=tmp_path) == seen


def test_without_a_driver_it_is_the_processor(tmp_path: pathlib.Path) -> None:
    assert device.seen({}, driver=tmp_path / "none") == "cpu"
