"""The state of every random generator of the process."""

import base64
import random
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def capture() -> dict[str, Any]:
    """The state as values that JSON can hold."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    words_of_numpy = encoded(np.asarray(keys).astype("<u4").tobytes())
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, words_of_numpy, int(position), int(has_gauss), float(cached)],
        "torch": encoded(torch.get_rng_state().numpy().tobytes()),
        "cuda": [encoded(state.numpy().tobytes()) for state in cuda_states()],
    }


def restore(state: dict[str, Any]) -> None:
    """Puts back what `capture` gave. Raises: ValueError, KeyError or TypeError if it is something else."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.frombuffer(base64.b64decode(keys), "<u4"), position, has_gauss, cached))
    torch.set_rng_state(decoded(state["torch"]))
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([decoded(text) for text in state["cuda"]])


def cuda_states() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decoded(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)


Generators = tuple[torch.Tensor, list[torch.Tensor]]


def generators() -> Generators:
    """The state of those generators that a forward pass draws from."""
    return torch.get_rng_state(), cuda_states()


def put_back(states: Generators) -> None:
    """Makes the next pass draw what the last one drew."""
    host, devices = states
    torch.set_rng_state(host)
    if devices:
        torch.cuda.set_rng_state_all(devices)
