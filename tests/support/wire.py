"""Calls of the public language without the SDK, to say what the SDK would not."""

import importlib
from collections.abc import Callable
from typing import Any

import grpc

from tests.support.stack import Stack


def stub(stack: Stack, service: str) -> Callable[..., Any]:
    """Returns a function that calls a method of a service with fields as keyword arguments, or a list of messages."""
    channel = grpc.insecure_channel(stack.address)
    module = importlib.import_module(f"tutelage.v1.{service.lower()}_pb2")
    descriptor = module.DESCRIPTOR.services_by_name[service]

    def call(method: str, messages: list[dict[str, Any]] | None = None, /, **fields: Any) -> Any:
        about = descriptor.methods_by_name[method]
        request, answer = (message_class(kind) for kind in (about.input_type, about.output_type))
        shape = f"{'stream' if about.client_streaming else 'unary'}_{'stream' if about.server_streaming else 'unary'}"
        invoke = getattr(channel, shape)(
            f"/{descriptor.full_name}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
        what = iter([request(**message) for message in messages]) if messages is not None else request(**fields)
        return invoke(what, metadata=[("authorization", f"Bearer {stack.api_key}")], timeout=30)

    return call


def message_class(descriptor: Any) -> Any:
    """Returns the generated class of a message."""
    module = importlib.import_module(descriptor.file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    return getattr(module, descriptor.name)
