"""Walking from thing to thing: what one was made of, what was made of it, and what a retracted vote taints.

A lineage goes up to everything that a thing was made of, and down to everything that was made of it; what else was made
of its ancestors does not belong to it.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from services.domain.job_states import OPEN, JobState
from services.domain.limits import LINEAGE_NODES_MAX
from services.domain.lineage import (
    Descent,
    Key,
    Lineage,
    LineageEdge,
    LineageNode,
    Link,
    Place,
    hands_on,
    in_order,
)
from services.ports import UnitOfWork

_Step = Callable[[Collection[Key]], Sequence[Link]]


@dataclasses.dataclass(frozen=True)
class _Walk:
    """Everything that was visited, and whether there is more."""

    keys: frozenset[Key]
    links: frozenset[Link]
    cut: bool


def lineage_of(uow: UnitOfWork, project_id: str, start: Key) -> Lineage:
    """Return everything that a thing was made of, and what was made of it.

    At most 2,000 things, the nearest first; `cut` among the details of the thing itself says if there are more.
    """
    up = _walk([start], lambda keys: uow.lineages.links_up(project_id, keys), results=False, most=LINEAGE_NODES_MAX)
    room = LINEAGE_NODES_MAX - len(up.keys) + 1
    down = _walk([start], lambda keys: uow.lineages.links_down(project_id, keys), results=True, most=room)
    nodes = dict(uow.lineages.nodes(project_id, up.keys | down.keys))
    for key in tainted_by(uow, project_id, set_uids=uow.lineages.retracted(project_id)) & nodes.keys():
        nodes[key] = dataclasses.replace(nodes[key], tainted=True)
    if up.cut or down.cut:
        details = {**nodes[start].details, "cut": f"only the nearest {LINEAGE_NODES_MAX:,} things are told"}
        nodes[start] = dataclasses.replace(nodes[start], details=details)
    links = up.links | down.links
    ordered = in_order(nodes.keys(), links)
    told = tuple(nodes[key] for key in ordered)
    return Lineage(name=nodes[start].name, nodes=told, edges=tuple(_edges(ordered, nodes, links)))


def descent_of(uow: UnitOfWork, project_id: str, *, set_uids: Collection[str]) -> Descent:
    """Return every version that learnt from these feedback sets, itself or through others, and the jobs that do now."""
    keys = tainted_by(uow, project_id, set_uids=set_uids)
    jobs = uow.lineages.nodes(project_id, [key for key in keys if key.place is Place.JOB]).values()
    still = [each.name for each in jobs if JobState(each.details["state"].upper()) in OPEN]
    versions = [key.id for key in keys if key.place is Place.MODEL_VERSION]
    return Descent(versions=tuple(sorted(versions, key=_by_version)), open_jobs=tuple(sorted(still)))


def tainted_by(uow: UnitOfWork, project_id: str, *, set_uids: Collection[str]) -> frozenset[Key]:
    """Return these feedback sets and everything that learnt from them: without an end, for it must be exact."""
    start = [Key(Place.DATASET, uid) for uid in set_uids]
    return _walk(start, lambda keys: _handing_on(uow.lineages.links_down(project_id, keys)), results=True).keys


def retracted_votes_in(uow: UnitOfWork, project_id: str, *, version: str) -> Collection[str]:
    """Return the uids of retracted votes from which a version has learnt, itself or through those it was tuned from."""
    start = [Key(Place.MODEL_VERSION, version)]
    walked = _walk(start, lambda keys: _handing_on(uow.lineages.links_up(project_id, keys)), results=False)
    return uow.lineages.retracted_votes([key.id for key in walked.keys if key.place is Place.DATASET])


def _walk(start: Iterable[Key], step: _Step, *, results: bool, most: int | None = None) -> _Walk:
    """Visit everything from some things on, nearest first: their results, or else their sources."""
    seen = set(start)
    links: set[Link] = set()
    frontier, cut = seen.copy(), False
    while frontier and not cut:
        found = step(frontier)
        ends = dict.fromkeys(link.result if results else link.source for link in found)
        new = [key for key in ends if key not in seen]
        if most is not None and len(seen) + len(new) > most:
            new, cut = new[: most - len(seen)], True
        links.update(found)
        frontier = set(new)
        seen |= frontier
    return _Walk(frozenset(seen), frozenset(links), cut)


def _handing_on(links: Iterable[Link]) -> list[Link]:
    return [link for link in links if hands_on(link)]


def _edges(ordered: Sequence[Key], nodes: Mapping[Key, LineageNode], links: Iterable[Link]) -> Iterator[LineageEdge]:
    """Yield the links between things that are told, in the order of these."""
    places = {key: place for place, key in enumerate(ordered)}
    known = [link for link in links if link.source in places and link.result in places]
    for link in sorted(known, key=lambda each: (places[each.source], places[each.result], each.relation)):
        yield LineageEdge(source=nodes[link.source].name, result=nodes[link.result].name, relation=link.relation)


def _by_version(name: str) -> tuple[str, int]:
    model, _, number = name.rpartition("/")
    return model, int(number)
