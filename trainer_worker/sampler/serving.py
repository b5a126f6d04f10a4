"""The sampler's process: what it is made of, how it starts, how it drains."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import grpc.aio
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

import artifacts
from trainer_worker.sampler.access import Access
from trainer_worker.sampler.inspecting import Inspection
from trainer_worker.sampler.loaded_models import LoadedModels
from trainer_worker.sampler.loading import ModelLoader
from trainer_worker.sampler.sampling import Sampling
from trainer_worker.sampler.settings import BadSetting, Settings
from tutelage.v1 import inspection_pb2, inspection_pb2_grpc, sampling_pb2, sampling_pb2_grpc

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 4 << 20
CALLS_MAX = 512
SWITCH_INTERVAL_S = 0.0005
SERVICES = (
    "",
    sampling_pb2.DESCRIPTOR.services_by_name["Sampling"].full_name,
    inspection_pb2.DESCRIPTOR.services_by_name["Inspection"].full_name,
)
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.http2.max_ping_strikes", 3),
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS = (("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000))


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains: no new calls, `drain_s` for those that run. Raises: BadSetting."""
    torch.set_num_threads(settings.threads)
    # A thread that comes out of a product waits so long for the interpreter, where the default is as long as a step.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stopping = _stop_signal()
    async with grpc.aio.insecure_channel(settings.services_address, options=CHANNEL_OPTIONS) as channel:
        models = LoadedModels(_loader(settings), size_bytes_max=settings.models_bytes)
        server = grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        access = Access(channel, secret=settings.secret)
        sampling = Sampling(access, models=models, slow_reader_s=settings.slow_reader_s)
        inspection_pb2_grpc.add_InspectionServicer_to_server(_inspection(access, settings), server)
        sampling_pb2_grpc.add_SamplingServicer_to_server(sampling, server)
        health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        _bind(server, settings.listen)
        await server.start()
        await _set_health(health, health_pb2.HealthCheckResponse.SERVING)
        log.info("the sampler serves at %s", settings.listen)
        await stopping.wait()
        await _set_health(health, health_pb2.HealthCheckResponse.NOT_SERVING)
        await server.stop(settings.drain_s)
        await models.close()
        log.info("the sampler has drained")


def _bind(server: grpc.aio.Server, listen: str) -> None:
    try:
        server.add_insecure_port(listen)
    except RuntimeError as error:
        raise BadSetting(
            f"TUTELAGE_SAMPLER_LISTEN: nobody can listen at {listen}: it is taken, or not of this machine"
        ) from error


def _loader(settings: Settings) -> ModelLoader:
    return ModelLoader(
        artifacts.open_store(settings.artifacts_url),
        scratch_dir=settings.scratch_dir,
        seats=settings.seats,
        cache_bytes=settings.cache_bytes,
        waiting_rows=settings.waiting_rows,
    )


def _inspection(access: Access, settings: Settings) -> Inspection:
    settings.scratch_dir.mkdir(parents=True, exist_ok=True)
    return Inspection(
        access,
        store=artifacts.open_store(settings.artifacts_url),
        scratch_dir=settings.scratch_dir,
        size_bytes_max=settings.models_bytes,
    )


def _stop_signal() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _set_health(health: HealthServicer, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
    for service in SERVICES:
        await health.set(service, status)
