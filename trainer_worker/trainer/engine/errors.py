"""What can be wrong with the input of a run.

EngineError
├── UnusableData       the text or the settings do not go together
└── BadCheckpoint      a checkpoint cannot be gone on from
"""


class EngineError(Exception):
    """Training cannot begin. The message names the numbers, `help` says what would be right."""

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.help = help


class UnusableData(EngineError):
    """The text cannot be trained on with these settings."""


class BadCheckpoint(EngineError):
    """A checkpoint is damaged or belongs to something else."""
