"""Whether a server is ready, asked the standard way (grpc.health.v1)."""

import socket

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from embedded.data_folder import StartRefused


def is_serving(address: str, *, timeout_s: float = 1.0) -> bool:
    """Tells whether the gRPC server at this address says that it serves."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def choose_port(port: int, *, flag: str) -> int:
    """Returns the port itself if it is free, and a free one for 0. Raises: StartRefused if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            advice = f"choose another with {flag}, or 0 for any free one"
            raise StartRefused(f"port {port} cannot be used ({error.strerror}): {advice}") from error
        return int(probe.getsockname()[1])
