"""Lists what was done in a project."""

from services.domain.limits import AUDIT_PAGE_SIZE_DEFAULT
from services.domain.names import PROJECT, ids_in_own_project
from services.domain.pages import Page, PageRequest, cut_page, page_size
from services.domain.projects import AuditEntry, Caller
from services.ports import House


def list_audit_entries(
    house: House, *, caller: Caller, parent: str, page: PageRequest
) -> tuple[tuple[AuditEntry, ...], str]:
    """Return a page of the record, newest first, and the token of the next page."""
    ids_in_own_project(parent, pattern=PROJECT, own_project=caller.project_id, field="parent")
    size, binding = page_size(page.size, default=AUDIT_PAGE_SIZE_DEFAULT), ("auditEntries", caller.project_id)
    after = house.keys.unseal_page(page.token, binding=binding)
    with house.storage.read() as uow:
        found = uow.audit.page(caller.project_id, page=Page(size=size, after=tuple(after) if after else None))
    shown, token = cut_page(found, size=size, position=_position, keys=house.keys, binding=binding)
    return tuple(entry for _, entry in shown), token


def _position(numbered: tuple[int, AuditEntry]) -> tuple[int]:
    return (numbered[0],)
