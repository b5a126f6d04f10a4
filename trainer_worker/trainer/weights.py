"""Which of a model's tensors training moves, and how they are put back."""

import torch
from torch import Tensor

from trainer_worker.trainer.run import Run


def moving_weights(run: Run) -> dict[str, Tensor]:
    """What training moves: the adapters if there are any, else all weights."""
    if run.adapted:
        from trainer_worker.trainer.engine.lora import adapter_tensors  # of adapted runs only

        return adapter_tensors(run.model)
    return run.model.state_dict()


def published_weights(run: Run) -> dict[str, Tensor]:
    """All weights of the model that a complete checkpoint publishes: adapters are merged into them."""
    if run.adapted:
        from trainer_worker.trainer.engine.lora import merge

        return merge(run.model)
    return run.model.state_dict()


def put_back(run: Run, tensors: dict[str, Tensor]) -> None:
    """Overwrites what moves with what `moving_weights` gave. Raises: ValueError or RuntimeError if it does not fit."""
    if run.adapted:
        from trainer_worker.trainer.engine.lora import restore_adapters

        restore_adapters(run.model, tensors)
        return
    with torch.no_grad():
        run.model.load_state_dict(tensors)
