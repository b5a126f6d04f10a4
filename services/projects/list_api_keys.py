"""Lists the keys of a project."""

from services.domain.names import PROJECT, ids_in_own_project
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.positions import read_time_position, time_position
from services.domain.projects import ApiKey, Caller
from services.ports import House


def list_api_keys(house: House, *, caller: Caller, parent: str, page: PageRequest) -> tuple[tuple[ApiKey, ...], str]:
    """Return a page of keys without secrets, newest first, and the token of the next page."""
    ids_in_own_project(parent, pattern=PROJECT, own_project=caller.project_id, field="parent")
    size, binding = page_size(page.size), ("apiKeys", caller.project_id)
    after = read_time_position(house.keys.unseal_page(page.token, binding=binding))
    with house.storage.read() as uow:
        found = uow.api_keys.page(caller.project_id, page=Page(size=size, after=after))
    return cut_page(found, size=size, position=_position, keys=house.keys, binding=binding)


def _position(key: ApiKey) -> tuple[str, str]:
    return time_position(key.create_time, uid=key.id)
