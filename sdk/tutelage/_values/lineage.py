"""Lineage: what a thing was made of, and what was made of it."""

import dataclasses
from collections.abc import Mapping

from tutelage._values.value import Value, WireEnum


class LineageKind(WireEnum):
    """What a node is."""

    UNSPECIFIED = "UNSPECIFIED"
    """Never used."""
    DATASET = "DATASET"
    """An uploaded dataset."""
    FEEDBACK_SET = "FEEDBACK_SET"
    """Votes made fit to train on."""
    REVIEW = "REVIEW"
    """People's work."""
    JOB = "JOB"
    """A piece of work."""
    MODEL_VERSION = "MODEL_VERSION"
    """Published weights."""
    ALIAS = "ALIAS"
    """A name that people use for a version."""
    DUEL = "DUEL"
    """A comparison of two versions."""
    VOTE = "VOTE"
    """One judgement."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineageNode(Value):
    """One thing."""

    name: str
    """Its resource name."""
    kind: LineageKind
    """What it is."""
    sha256: str
    """SHA-256 of its content, hexadecimal, if it has any."""
    details: Mapping[str, str]
    """What there is to say of it, such as rows, votes, method and steps."""
    tainted: bool
    """Whether it holds a retracted vote, or was made of something that does."""
    deleted: bool
    """Whether it is deleted; its hash stays."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineageEdge(Value):
    """One thing was made of another."""

    from_: str
    """Resource name of what came first."""
    to: str
    """Resource name of what was made of it."""
    relation: str
    """How, said of `to`, such as `trained on`, `tuned from`, `votes`, `drawn by`, `published by`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lineage(Value):
    """A graph without circles."""

    name: str
    """What was asked about."""
    nodes: tuple[LineageNode, ...]
    """All things, what came first before what was made of it."""
    edges: tuple[LineageEdge, ...]
    """How they belong together."""
