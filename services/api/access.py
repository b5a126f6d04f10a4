"""The servicer of tutelage_internal.v1.Access."""

from typing import Any

from services.api.guards import Visit
from services.api.translation import to_message
from services.api.workers import checkpoint_artifact, model_artifact
from services.jobs.resolve_checkpoint import resolve_checkpoint
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

    def resolve_checkpoint(self, visit: Visit, request: pb.ResolveCheckpointRequest) -> pb.ResolveCheckpointResponse:
        found = resolve_checkpoint(
            self._house,
            caller=visit.inspecting_caller(),
            name=request.job,
            step=request.step if request.HasField("step") else None,
        )
        said: dict[str, Any] = {found.job.kind: found.job.spec}
        return to_message(
            found,
            pb.ResolveCheckpointResponse,
            **said,
            job=found.job.name,
            checkpoint=checkpoint_artifact(found.checkpoint),
            first=checkpoint_artifact(found.first),
            base=model_artifact(found.job.base),
        )
