"""A real sampler process, a real artifact store, and a double of the room it asks about models."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
from concurrent import futures
from types import TracebackType

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import artifacts
from trainer_worker.trainer.engine.model import Decoder
from trainer_worker.trainer.engine.stored_model import save_model
from trainer_worker.trainer.engine.tokenizers import ByteTokenizer, Tokenizer
from tutelage.v1 import sampling_pb2_grpc
from tutelage_internal.v1 import access_pb2, access_pb2_grpc

SECRET = "5a" * 32
PRINCIPAL = b"signed by the gateway"
METADATA = (("x-tutelage-principal-bin", PRINCIPAL), ("x-request-id", "request-1"))


class AccessDouble(access_pb2_grpc.AccessServicer):
    """Answers as services would: it knows some models, and refuses the others with details."""

    def __init__(self) -> None:
        self.models: dict[str, access_pb2.ResolveModelResponse] = {}
        self.checkpoints: dict[tuple[str, int], access_pb2.ResolveCheckpointResponse] = {}
        self.metadata: dict[str, str | bytes] = {}

    def ResolveModel(  # noqa: N802
        self, request: access_pb2.ResolveModelRequest, context: grpc.ServicerContext
    ) -> access_pb2.ResolveModelResponse:
        self.metadata = {item.key: item.value for item in context.invocation_metadata()}
        if request.model not in self.models:
            context.abort_with_status(rpc_status.to_status(refusal(request.model)))
        return self.models[request.model]

    def ResolveCheckpoint(  # noqa: N802
        self, request: access_pb2.ResolveCheckpointRequest, context: grpc.ServicerContext
    ) -> access_pb2.ResolveCheckpointResponse:
        if (request.job, request.step) not in self.checkpoints:
            context.abort_with_status(rpc_status.to_status(refusal(request.job)))
        return self.checkpoints[request.job, request.step]


def refusal(model: str) -> status_pb2.Status:
    """What the double says of a model it does not know."""
    packed = [Any(), Any()]
    packed[0].Pack(error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="tutelage", metadata={"hint": "plays"}))
    packed[1].Pack(error_details_pb2.ResourceInfo(resource_name=model))
    return status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="no such model", details=packed)


class House:
    """Starts everything; use as a context."""

    def __init__(self, folder: pathlib.Path, **settings: object) -> None:
        self.folder = folder
        self.store = artifacts.open_store(f"file://{folder}/artifacts")
        self.access = AccessDouble()
        self.access_address = f"unix:{folder}/access.sock"
        self.address = f"unix:{folder}/sampler.sock"
        self._settings = {f"TUTELAGE_SAMPLER_{name.upper()}": str(value) for name, value in settings.items()}
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        access_pb2_grpc.add_AccessServicer_to_server(self.access, self._server)
        self._server.add_insecure_port(self.access_address)

    def publish(self, name: str, decoder: Decoder, *, tokenizer: Tokenizer | None = None) -> str:
        """Stores a model as training would; returns its resource name."""
        files = self.store.write_file_set(
            f"checkpoints/{name}/e1/step-1", lambda folder: save_model(folder, decoder, tokenizer or ByteTokenizer())
        )
        self.access.models[f"projects/p/models/{name}"] = access_pb2.ResolveModelResponse(
            model_version=f"projects/p/models/{name}/versions/1",
            artifact_prefix=files.prefix,
            manifest_sha256=files.manifest_sha256,
        )
        return f"projects/p/models/{name}"

    def __enter__(self) -> "House":
        self._server.start()
        (self.folder / "secrets").mkdir()
        (self.folder / "secrets" / "sampler").write_text(SECRET)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainer_worker.sampler"],
            env={**os.environ, **self.environment()},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self._lines.extend(self.process.stderr or ()))
        self._reader.start()
        # Without probing, the connection buffers some 64 kB, however fast it is.
        options = [("grpc.enable_retries", 0), ("grpc.http2.bdp_probe", 0)]
        self.channel = grpc.insecure_channel(self.address, options=options)
        grpc.channel_ready_future(self.channel).result(60)
        self.stub = sampling_pb2_grpc.SamplingStub(self.channel)
        return self

    def environment(self) -> dict[str, str]:
        return {
            "TUTELAGE_SAMPLER_LISTEN": self.address,
            "TUTELAGE_SERVICES_INTERNAL_ADDRESS": self.access_address,
            "TUTELAGE_ARTIFACTS_URL": f"file://{self.folder}/artifacts",
            "TUTELAGE_SECRETS_DIR": f"{self.folder}/secrets",
            "TUTELAGE_SCRATCH_DIR": f"{self.folder}/scratch",
            **self._settings,
        }

    def stop_access(self) -> None:
        """Services go away."""
        self._server.stop(0).wait()

    def terminate(self) -> None:
        """Asks the sampler to drain."""
        self.process.send_signal(signal.SIGTERM)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()
        if self.process.poll() is None:
            self.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join()
            if self.process.stderr:
                self.process.stderr.close()
            self.stop_access()

    @property
    def log(self) -> str:
        """What the sampler wrote so far."""
        return "".join(self._lines)


def error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo of a failed call."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    assert status is not None and any(detail.Unpack(info) for detail in status.details)
    return info


def fields(error: grpc.RpcError) -> list[str]:
    """The fields that a failed call is told about."""
    bad = error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    assert status is not None and any(detail.Unpack(bad) for detail in status.details)
    return [violation.field for violation in bad.field_violations]


def retry_after_s(error: grpc.RpcError) -> float:
    """When a failed call may be tried again."""
    retry = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    assert status is not None and any(detail.Unpack(retry) for detail in status.details)
    return float(retry.retry_delay.ToTimedelta().total_seconds())
