"""The servicer of tutelage.v1.Projects."""

from services.api.requests import page_request, request_key
from services.api.translation import from_message, to_message
from services.domain.projects import Caller
from services.ports import House
from services.projects.create_api_key import ApiKeyDraft, create_api_key
from services.projects.get_project import get_project
from services.projects.list_api_keys import list_api_keys
from services.projects.list_audit_entries import list_audit_entries
from services.projects.revoke_api_key import revoke_api_key
from tutelage.v1 import projects_pb2 as pb


class Projects:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House) -> None:
        self._house = house

    def get_caller(self, caller: Caller, _request: pb.GetCallerRequest) -> pb.Caller:
        return to_message(caller, pb.Caller)

    def get_project(self, caller: Caller, request: pb.GetProjectRequest) -> pb.Project:
        return to_message(get_project(self._house, caller=caller, name=request.name), pb.Project)

    def create_api_key(self, caller: Caller, request: pb.CreateApiKeyRequest) -> pb.CreateApiKeyResponse:
        draft = from_message(request.api_key, ApiKeyDraft)
        made = create_api_key(
            self._house, caller=caller, parent=request.parent, draft=draft, request=request_key(request)
        )
        return to_message(made, pb.CreateApiKeyResponse)

    def list_api_keys(self, caller: Caller, request: pb.ListApiKeysRequest) -> pb.ListApiKeysResponse:
        found, token = list_api_keys(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListApiKeysResponse(api_keys=[to_message(each, pb.ApiKey) for each in found], next_page_token=token)

    def revoke_api_key(self, caller: Caller, request: pb.RevokeApiKeyRequest) -> pb.ApiKey:
        key = revoke_api_key(self._house, caller=caller, name=request.name, request=request_key(request))
        return to_message(key, pb.ApiKey)

    def list_audit_entries(self, caller: Caller, request: pb.ListAuditEntriesRequest) -> pb.ListAuditEntriesResponse:
        page = page_request(request)
        found, token = list_audit_entries(self._house, caller=caller, parent=request.parent, page=page)
        entries = [to_message(each, pb.AuditEntry) for each in found]
        return pb.ListAuditEntriesResponse(audit_entries=entries, next_page_token=token)
