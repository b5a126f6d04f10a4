"""What the gateway measures, under the names that gRPC dashboards know."""

import importlib.metadata

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

METHOD_LABELS = ("grpc_type", "grpc_service", "grpc_method")
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)


class Metrics:
    """All metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.started = self._counter("grpc_server_started", "Calls that began.", METHOD_LABELS)
        self.handled = self._counter("grpc_server_handled", "Calls that ended.", (*METHOD_LABELS, "grpc_code"))
        self.received = self._counter("grpc_server_msg_received", "Messages received.", METHOD_LABELS)
        self.sent = self._counter("grpc_server_msg_sent", "Messages sent.", METHOD_LABELS)
        self.seconds = Histogram(
            "grpc_server_handling_seconds", "Time a call took.", METHOD_LABELS, buckets=SECONDS, registry=self.registry
        )
        self.subscribers = Gauge("tutelage_stream_subscribers", "Open server streams.", registry=self.registry)
        self.lag = Gauge("tutelage_event_loop_lag_seconds", "How late the loop is.", registry=self.registry)
        self.ready = Gauge("tutelage_gateway_ready", "Whether the gateway takes calls.", registry=self.registry)
        version = importlib.metadata.version("tutelage-server")
        Info("tutelage_build", "What runs here.", registry=self.registry).info({"version": version, "room": "gateway"})

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)
