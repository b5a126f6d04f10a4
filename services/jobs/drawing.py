"""Deciding on a job that draws answers: for the verb that only draws, and for reviews and duels, which need answers."""

import dataclasses
from collections.abc import Mapping, Sequence

from services.domain.datasets import Dataset
from services.domain.draw_forecast import forecast_drawing
from services.domain.draw_resolution import holds_prompts, models_violations, resolve_draw
from services.domain.drawing import DrawDraft
from services.domain.errors import InvalidField, WrongState
from services.domain.jobs import Job
from services.domain.projects import Caller
from services.jobs.accepting import expected_queue_s, find_own_dataset, new_job
from services.jobs.bases import find_reward_model, find_writer
from services.ports import House, UnitOfWork

WORD = "draw"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """A job that draws and was only looked at, and the datasets that it reads.

    To accept it, `accepting.accept` writes it alone; `accepting.named` and `accepting.enter` write it with something
    else in one transaction.
    """

    job: Job
    datasets: Sequence[Dataset]


def prepare_drawing(
    house: House,
    uow: UnitOfWork,
    *,
    caller: Caller,
    draft: DrawDraft,
    labels: Mapping[str, str] | None = None,
    path: str = "spec",
) -> Drawing:
    """Return the job that draws what the draft asks for; nothing is written. Refusals name fields below `path`.

    Raises: InvalidField with every wrong field, NotFound for a model or the prompts, WrongState for a reward model
    where a model that writes is wanted, the other way round, and for a dataset without prompts.
    """
    if wrong := [*models_violations(draft.models, f"{path}.models")]:
        raise InvalidField.of_all(wrong)
    models = [
        find_writer(uow, caller=caller, name=name, field=f"{path}.models[{index}]")
        for index, name in enumerate(draft.models)
    ]
    scorer = find_reward_model(uow, caller=caller, name=draft.reward_model, field=f"{path}.reward_model")
    prompts = find_prompts(uow, caller=caller, name=draft.prompts, field=f"{path}.prompts")
    spec = resolve_draw(
        draft,
        models=[version.name for version in models],
        dataset=prompts,
        reward_model=scorer.name if scorer else "",
        seed=house.chance.seed(),
        path=path,
    )
    held = [*models, scorer] if scorer else models
    said = forecast_drawing(
        spec, parameters=[version.parameters for version in held], queue_s=expected_queue_s(house, uow)
    )
    job = new_job(spec, said, caller=caller, dataset=prompts, labels=labels or {}, now=uow.now())
    return Drawing(job=job, datasets=[prompts])


def find_prompts(uow: UnitOfWork, *, caller: Caller, name: str, field: str) -> Dataset:
    """Return a dataset of the caller's project that has prompts.

    Raises: NotFound with the nearest id, InvalidField for a name of another shape, WrongState for one without prompts.
    """
    dataset = find_own_dataset(uow, caller=caller, name=name, field=field)
    if not holds_prompts(dataset):
        rows = f"rows of `{dataset.row_kind.value.lower()}`" if dataset.row_kind else dataset.format.value
        words = f"{dataset.name} holds no prompts but {rows}; upload rows with `prompt`"
        raise WrongState.of(words, state=dataset.row_kind.value if dataset.row_kind else dataset.format.value)
    return dataset
