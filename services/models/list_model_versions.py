"""Lists the versions of a model."""

from services.domain.models import ModelVersion
from services.domain.names import MODEL, ids_in_own_project
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.projects import Caller
from services.models.get_model import find_own_model
from services.ports import House


def list_model_versions(
    house: House, *, caller: Caller, parent: str, page: PageRequest
) -> tuple[tuple[ModelVersion, ...], str]:
    """Return a page of versions, newest first, and the token of the next page. Raises: NotFound for the model."""
    (model_id,) = ids_in_own_project(parent, pattern=MODEL, own_project=caller.project_id, field="parent")
    size, binding = page_size(page.size), ("versions", caller.project_id, model_id)
    after = house.keys.unseal_page(page.token, binding=binding)
    with house.storage.read() as uow:
        find_own_model(uow, caller=caller, model_id=model_id, name=parent)
        page_wanted = Page(size=size, after=tuple(after) if after else None)
        found = uow.models.page_of_versions(caller.project_id, model_id, page=page_wanted)
    return cut_page(found, size=size, position=_position, keys=house.keys, binding=binding)


def _position(version: ModelVersion) -> tuple[int]:
    return (version.version,)
