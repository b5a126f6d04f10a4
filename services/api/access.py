"""The servicer of tutelage_internal.v1.Access."""

from services.api.guards import Visit
from services.models.resolve_model import resolve_model
from services.ports import House
from services.projects.authenticate import authenticate
from tutelage.v1.projects_pb2 import Role
from tutelage_internal.v1 import access_pb2 as pb


class Access:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House) -> None:
        self._house = house

    def authenticate(self, _visit: Visit, request: pb.AuthenticateRequest) -> pb.AuthenticateResponse:
        key, project = authenticate(self._house, api_key=request.api_key)
        return pb.AuthenticateResponse(
            key_id=key.id,
            project_id=project.id,
            role=Role.Value(f"ROLE_{key.role.name}"),
            permissions=sorted(key.permissions),
            requests_per_second=project.requests_per_second,
            streams_max=project.streams_max,
        )

    def resolve_model(self, visit: Visit, request: pb.ResolveModelRequest) -> pb.ResolveModelResponse:
        version = resolve_model(self._house, caller=visit.sampling_caller(), model=request.model)
        return pb.ResolveModelResponse(
            model_version=version.name,
            artifact_prefix=version.artifact_prefix,
            manifest_sha256=version.manifest_sha256,
        )
