"""How much memory the process holds, and what it looks like when there is none left."""

import resource
import sys

import torch

# The CPU allocator has no error class of its own.
NO_MEMORY_IN_WORDS = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the device or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY_IN_WORDS)


def peak_bytes(device: torch.device) -> int:
    """The most memory that was held at once so far: of the device if it has its own, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def release(device: torch.device) -> None:
    """Gives back what the allocator of the device keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
