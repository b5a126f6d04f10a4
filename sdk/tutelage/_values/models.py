"""Models, and their versions."""

import dataclasses
import datetime

from tutelage._values.training import FineTuneSpec, ImportModelSpec, TrainSpec
from tutelage._values.value import Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelVersionInfo(Value):
    """One published set of weights. It never changes."""

    name: str
    """`projects/{project}/models/{model}/versions/{version}`, versions counting 1, 2, 3."""
    uid: str
    """A UUID that is never used again."""
    version: int
    """1, 2, 3 and so on."""
    create_time: datetime.datetime | None
    """When it was published."""
    job: str
    """The job that trained it, `projects/{project}/jobs/{job}`."""
    train: TrainSpec | None
    """What it was trained with, every default filled in."""
    parameters: int
    """Number of weights."""
    steps: int
    """Steps trained."""
    validation_loss: float | None
    """Loss on held-out text, in nats per token."""
    validation_bits_per_byte: float | None
    """Loss on held-out text, in bits per byte of text: comparable between tokenizers."""
    size_bytes: int
    """All files together, in bytes."""
    manifest_sha256: str
    """SHA-256 of the manifest, which holds the hash of every file; hexadecimal."""
    dataset_sha256: str
    """SHA-256 of the dataset, hexadecimal."""
    software_version: str
    """Version of the software that trained it."""
    fine_tune: FineTuneSpec | None
    """What it was tuned with, instead of `train`."""
    import_model: ImportModelSpec | None
    """What it was imported from, instead of `train`."""
    parent_version: str
    """The version that it was tuned from, `projects/{project}/models/{model}/versions/{version}`."""
    reward_model: bool
    """Whether it scores texts, and does not write them."""
    aliases: tuple[str, ...]
    """Aliases that it has, such as `prod`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Value):
    """A name under which jobs publish versions."""

    name: str
    """`projects/{project}/models/{model}`."""
    uid: str
    """A UUID that is never used again."""
    create_time: datetime.datetime | None
    """When its first version was published."""
    update_time: datetime.datetime | None
    """When its newest version was published."""
    latest_version: ModelVersionInfo | None
    """Its newest version."""
    versions: int
    """How many versions there are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AliasMove(Value):
    """A move of an alias."""

    model_version: str
    """The version that got it."""
    time: datetime.datetime | None
    """When."""
    actor: str
    """Who moved it, `projects/{project}/apiKeys/{key}`."""
    reason: str
    """Why, in the words of the mover."""
    gate: str
    """What the gate said: `better`, `no duel`, or what spoke against it."""
    forced: bool
    """Whether it was moved against the gate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alias(Value):
    """A name that people and programs use for a version. It can be given wherever a version can."""

    name: str
    """`projects/{project}/models/{model}/aliases/{alias}`."""
    model_version: str
    """The version that has it, `projects/{project}/models/{model}/versions/{version}`."""
    etag: str
    """Changes with every move."""
    update_time: datetime.datetime | None
    """When it was last moved."""
    moves: tuple[AliasMove, ...]
    """Its moves, newest first; at most 100."""
