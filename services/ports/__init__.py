"""Promises: what verbs may ask of storage, of the bell, of the artifact store and of the clock.

A verb opens one unit of work, decides, writes and commits; leaving without `commit()` changes nothing.
"""

from services.ports.feedback import FeedbackSets
from services.ports.house import Chance, Clock, Dispatcher, House, Leases, Storage, UnitOfWork
from services.ports.jobs import Attempts, Checkpoints, Events, Jobs, Metrics, Outbox, Requests, Workers
from services.ports.judging import Aliases, CountedVotes, Duels, Lineages
from services.ports.reviews import Reviews, Seats, Votes
from services.ports.store_errors import store_errors
from services.ports.subjects import ApiKeys, Audit, Datasets, Models, Projects, Uploads

__all__ = [
    "Aliases",
    "ApiKeys",
    "Attempts",
    "Audit",
    "Chance",
    "Checkpoints",
    "Clock",
    "CountedVotes",
    "Datasets",
    "Dispatcher",
    "Duels",
    "Events",
    "FeedbackSets",
    "House",
    "Jobs",
    "Leases",
    "Lineages",
    "Metrics",
    "Models",
    "Outbox",
    "Projects",
    "Requests",
    "Reviews",
    "Seats",
    "Storage",
    "UnitOfWork",
    "Uploads",
    "Votes",
    "Workers",
    "store_errors",
]
