"""Forecasts: sizes from shapes, times from measurements only."""

import dataclasses

import pytest

from services.domain.forecasting import expected_wait_s, forecast, similar_speeds
from services.domain.presets import PRESETS
from services.domain.resolution import resolve
from services.domain.speeds import MeasuredSpeed, memory_share
from services.domain.training import MixturePartDraft, TrainDraft
from tests.unit.services_domain.test_resolution import dataset, inputs, resolved


def speeds(*flops: float, parameters: int = 1_820_352) -> list[MeasuredSpeed]:
    return [MeasuredSpeed(parameters=parameters, flops_per_second=each) for each in flops]


def said(*flops: float, free_bytes: int | None = None, **draft: object):  # type: ignore[no-untyped-def]
    return forecast(resolved(**draft), inputs=inputs(), speeds=speeds(*flops), queue_s=None, free_bytes=free_bytes)


def test_parameters_are_counted_by_hand() -> None:
    tiny = PRESETS["tiny"].architecture
    block = 4 * 192 * 192 + 3 * 192 * 512 + 2 * 192
    assert tiny.parameters(257) == 257 * 192 + 4 * block + 192 == PRESETS["tiny"].parameters


def test_presets_go_from_a_million_to_eight_billion() -> None:
    counts = [preset.parameters for preset in PRESETS.values()]
    assert counts == sorted(counts)
    assert 1e6 < counts[0] < 1.5e6
    assert 6.9e9 < counts[-1] < 8e9  # with 257 tokens; the 128,256 of Llama 3 make it 8.03e9
    assert PRESETS["8b"].architecture.parameters(128_256) == 8_030_261_248
    assert PRESETS["1b"].architecture.parameters(128_256) == 1_235_814_400


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_submitted_as_it_is(name: str) -> None:
    plenty = dataset(train_bytes=10**9, validation_bytes=10**7)
    assert resolved(plenty, preset=name).parameters == PRESETS[name].parameters


def test_without_history_nothing_is_said_about_time() -> None:
    told = said()
    assert (told.duration_s, told.duration_low_s, told.queue_s) == (None, None, None)
    assert "nothing is said about time" in told.basis


def test_time_is_what_the_middle_half_of_the_runs_would_take() -> None:
    told = said(1e11, 2e11, 3e11, 4e11, 5e11)
    assert told.duration_s == pytest.approx(told.flops / 3e11)
    assert told.duration_low_s == pytest.approx(told.flops / 4e11)
    assert told.duration_high_s == pytest.approx(told.flops / 2e11)
    assert "the newest 5 attempts" in told.basis


def test_runs_of_a_similar_size_count_more_than_others() -> None:
    mixed = [*speeds(1.0, 2.0, 3.0), *speeds(100.0, parameters=10**9)]
    assert similar_speeds(mixed, parameters=10**6) == [1.0, 2.0, 3.0]
    assert similar_speeds(mixed, parameters=10**9) == [1.0, 2.0, 3.0, 100.0]


def test_tokens_epochs_and_bytes() -> None:
    told = said()
    assert told.tokens == 500 * 32 * 128
    assert told.epochs == pytest.approx(told.tokens / 1_000_000)
    assert told.checkpoint_bytes == 12 * told.parameters
    assert told.memory_bytes > 16 * told.parameters


def test_repetition_and_a_full_store_are_warned_of() -> None:
    assert said().warnings == ()
    assert "by heart" in said(steps=100_000).warnings[0]
    assert "artifact store has 1,000 left" in said(free_bytes=1000).warnings[0]


@pytest.mark.parametrize(
    ("slots", "held", "ahead", "expected"),
    [
        (0, [], [], None),
        (1, [], [], 0.0),
        (1, [None], [], None),
        (1, [60.0], [], 60.0),
        (1, [60.0], [30.0], 90.0),
        (2, [60.0, 10.0], [], 10.0),
        (2, [60.0, 10.0], [100.0], 60.0),
        (2, [60.0], [None], None),
        (3, [60.0], [None], 0.0),
    ],
)
def test_the_wait_follows_from_who_is_before(
    slots: int, held: list[float | None], ahead: list[float | None], expected: float | None
) -> None:
    assert expected_wait_s(slots=slots, held_s=held, ahead_s=ahead) == expected


def test_runs_of_the_same_shape_and_batch_are_asked_first() -> None:
    mixed = [
        MeasuredSpeed(parameters=10**6, flops_per_second=1.0, tokens_per_step=64),
        *speeds(5.0, 6.0, 7.0, parameters=10**6),
    ]
    assert similar_speeds(mixed, parameters=10**6, tokens_per_step=64) == [1.0]
    assert similar_speeds(mixed, parameters=10**6, tokens_per_step=128) == [1.0, 5.0, 6.0, 7.0]


def test_tuning_is_not_timed_by_pretraining_where_there_is_enough_of_its_own() -> None:
    tuning = [MeasuredSpeed(kind="fine_tune", parameters=10**6, flops_per_second=each) for each in (1.0, 2.0, 3.0)]
    mixed = [*speeds(100.0, 100.0, 100.0, parameters=10**6), *tuning]
    assert similar_speeds(mixed, parameters=10**6, kind="fine_tune") == [1.0, 2.0, 3.0]
    assert len(similar_speeds([*mixed[:3], tuning[0]], parameters=10**6, kind="fine_tune")) == 4


def test_memory_is_put_right_by_what_runs_of_this_cluster_took() -> None:
    spec = resolved()
    taken = [
        MeasuredSpeed(parameters=spec.parameters, flops_per_second=1.0, memory_share=share) for share in (0.7, 0.8, 2.0)
    ]
    told = forecast(spec, inputs=inputs(), speeds=taken, queue_s=None, free_bytes=None)
    assert told.memory_bytes == round(0.8 * said().memory_bytes)
    assert memory_share(taken, parameters=spec.parameters * 10, kind="train") is None
    assert memory_share(taken, parameters=spec.parameters, kind="fine_tune") is None
    absurd = [MeasuredSpeed(parameters=1, flops_per_second=1.0, memory_share=1000.0)]
    assert memory_share(absurd, parameters=1, kind="train") == 3.0


def test_parts_of_a_mixture_make_the_epoch_of_the_first_longer() -> None:
    talks = dataclasses.replace(dataset(), id="talks")
    mixture = (MixturePartDraft(dataset=talks.name, weight=3.0),)
    using = inputs(mixture=(talks,))
    spec = resolve(TrainDraft(dataset=dataset().name, mixture=mixture), using)
    told = forecast(spec, inputs=using, speeds=[], queue_s=None, free_bytes=None)
    assert told.epochs == pytest.approx(said().epochs / 4)
