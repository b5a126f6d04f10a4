"""The tables, a file a subject, over one MetaData.

Names are singular. CHECK constraints repeat the states and the limits of the domain, so that no path around the domain
exists. The migrations make the same tables; a test compares.
"""

from services.storage.tables import (
    aliases,
    datasets,
    duels,
    feedback,
    jobs,
    lineage,
    models,
    projects,
    reviews,
    workers,
)
from services.storage.tables.columns import metadata

__all__ = [
    "aliases",
    "datasets",
    "duels",
    "feedback",
    "jobs",
    "lineage",
    "metadata",
    "models",
    "projects",
    "reviews",
    "workers",
]
