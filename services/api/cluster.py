"""The servicer of tutelage.v1.Cluster."""

from services.api.requests import page_request
from services.api.translation import to_message
from services.cluster.get_server_info import get_server_info
from services.cluster.list_queues import list_queues
from services.cluster.list_workers import list_workers
from services.domain.presets import Preset
from services.domain.projects import Caller
from services.domain.workers import Worker
from services.ports import House
from tutelage.v1 import cluster_pb2 as pb
from tutelage.v1 import training_pb2


class Cluster:
    """Translates, calls one verb, translates back."""

    def __init__(self, *, house: House) -> None:
        self._house = house

    def get_server_info(self, caller: Caller, _request: pb.GetServerInfoRequest) -> pb.ServerInfo:
        info = get_server_info(self._house, caller=caller)
        return to_message(info, pb.ServerInfo, presets=[_preset(preset) for preset in info.presets])

    def list_workers(self, caller: Caller, request: pb.ListWorkersRequest) -> pb.ListWorkersResponse:
        found, token = list_workers(self._house, caller=caller, page=page_request(request))
        return pb.ListWorkersResponse(workers=[_worker(each) for each in found], next_page_token=token)

    def list_queues(self, caller: Caller, _request: pb.ListQueuesRequest) -> pb.ListQueuesResponse:
        queues = [to_message(each, pb.Queue) for each in list_queues(self._house, caller=caller)]
        return pb.ListQueuesResponse(queues=queues)


def _preset(preset: Preset) -> training_pb2.Preset:
    optimization = to_message(preset, training_pb2.OptimizationSpec)
    return to_message(preset, training_pb2.Preset, optimization=optimization)


def _worker(worker: Worker) -> pb.Worker:
    info = worker.info
    return to_message(
        worker, pb.Worker, slots=info.slots, slots_used=info.slots_used, device=info.device, version=info.version
    )
