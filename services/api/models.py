"""The servicer of tutelage.v1.Models."""

from services.api.job_messages import job_message
from services.api.lineage_messages import lineage_message
from services.api.requests import page_request, request_key
from services.api.translation import from_message, to_message
from services.domain.errors import InvalidField
from services.domain.projects import Caller
from services.jobs.export_model import ExportModelDraft, export_model
from services.jobs.import_model import ImportModelDraft, import_model
from services.models.get_alias import get_alias
from services.models.get_lineage import get_lineage
from services.models.get_model import get_model
from services.models.get_model_version import get_model_version
from services.models.list_aliases import list_aliases
from services.models.list_model_versions import list_model_versions
from services.models.list_models import list_models
from services.models.promote_model import promote_model
from services.models.roll_back_alias import roll_back_alias
from services.ports import House
from tutelage.v1 import models_pb2 as pb
from tutelage.v1.jobs_pb2 import Job
from tutelage.v1.lineage_pb2 import Lineage


class Models:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House) -> None:
        self._house = house

    def import_model(self, caller: Caller, request: pb.ImportModelRequest) -> Job:
        if not request.HasField("spec"):
            raise InvalidField.of("spec", "is required")
        job = import_model(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.spec, ImportModelDraft),
            labels=dict(request.labels),
            request=request_key(request),
        )
        return job_message(job)

    def export_model(self, caller: Caller, request: pb.ExportModelRequest) -> Job:
        if not request.HasField("spec"):
            raise InvalidField.of("spec", "is required")
        job = export_model(
            self._house,
            caller=caller,
            parent=request.parent,
            draft=from_message(request.spec, ExportModelDraft),
            labels=dict(request.labels),
            request=request_key(request),
        )
        return job_message(job)

    def get_model(self, caller: Caller, request: pb.GetModelRequest) -> pb.Model:
        return to_message(get_model(self._house, caller=caller, name=request.name), pb.Model)

    def list_models(self, caller: Caller, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        found, token = list_models(self._house, caller=caller, parent=request.parent, page=page_request(request))
        return pb.ListModelsResponse(models=[to_message(each, pb.Model) for each in found], next_page_token=token)

    def get_model_version(self, caller: Caller, request: pb.GetModelVersionRequest) -> pb.ModelVersion:
        return to_message(get_model_version(self._house, caller=caller, name=request.name), pb.ModelVersion)

    def list_model_versions(self, caller: Caller, request: pb.ListModelVersionsRequest) -> pb.ListModelVersionsResponse:
        page = page_request(request)
        found, token = list_model_versions(self._house, caller=caller, parent=request.parent, page=page)
        versions = [to_message(each, pb.ModelVersion) for each in found]
        return pb.ListModelVersionsResponse(model_versions=versions, next_page_token=token)

    def promote_model(self, caller: Caller, request: pb.PromoteModelRequest) -> pb.Alias:
        alias = promote_model(
            self._house,
            caller=caller,
            name=request.name,
            alias=request.alias,
            etag=request.etag,
            force=request.force,
            reason=request.reason,
            request=request_key(request),
        )
        return to_message(alias, pb.Alias)

    def roll_back_alias(self, caller: Caller, request: pb.RollBackAliasRequest) -> pb.Alias:
        alias = roll_back_alias(
            self._house,
            caller=caller,
            name=request.name,
            etag=request.etag,
            reason=request.reason,
            request=request_key(request),
        )
        return to_message(alias, pb.Alias)

    def get_alias(self, caller: Caller, request: pb.GetAliasRequest) -> pb.Alias:
        return to_message(get_alias(self._house, caller=caller, name=request.name), pb.Alias)

    def list_aliases(self, caller: Caller, request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
        found = list_aliases(self._house, caller=caller, parent=request.parent)
        return pb.ListAliasesResponse(aliases=[to_message(each, pb.Alias) for each in found])

    def get_lineage(self, caller: Caller, request: pb.GetLineageRequest) -> Lineage:
        return lineage_message(get_lineage(self._house, caller=caller, name=request.name))
