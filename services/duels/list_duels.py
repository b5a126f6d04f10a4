"""Listing duels."""

from services.domain import names
from services.domain.duels import Duel
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.positions import read_time_position, time_position
from services.domain.projects import Caller
from services.models.judged_duels import judged
from services.ports import House


def list_duels(house: House, *, caller: Caller, parent: str, page: PageRequest) -> tuple[tuple[Duel, ...], str]:
    """Return a page of duels with what they say, newest first, and the token of the next one.

    Raises: InvalidField, NotFound.
    """
    names.ids_in_own_project(parent, pattern=names.PROJECT, own_project=caller.project_id, field="parent")
    size, binding = page_size(page.size), ("duels", caller.project_id)
    after = read_time_position(house.keys.unseal_page(page.token, binding=binding))
    with house.storage.read() as uow:
        found = uow.duels.page(caller.project_id, page=Page(size=size, after=after))
        shown, token = cut_page(found, size=size, position=_position, keys=house.keys, binding=binding)
        return tuple(judged(uow, each) for each in shown), token


def _position(duel: Duel) -> tuple[str, str]:
    return time_position(duel.create_time, uid=duel.uid)
