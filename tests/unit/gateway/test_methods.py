"""The table of methods comes from the descriptors, and nothing is served by accident."""

import asyncio

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from gateway import limits
from gateway.interceptors.authorize import ANY_KEY, authorize
from gateway.methods import Kind, Owner, method_table, public_files
from gateway.reflection import reflection_methods
from gateway.refusals import Refused
from tests.unit.gateway.calls import a_call, a_method, arrive


def test_every_public_method_names_its_permission() -> None:
    table = method_table(public_files())
    assert len(table) > 30
    assert not [path for path, method in table.items() if not method.permission]
    assert ANY_KEY not in {method.permission for method in table.values()}


def test_the_table_holds_the_public_language_and_nothing_else() -> None:
    services = {method.service for method in method_table(public_files()).values()}
    assert {service.rpartition(".")[0] for service in services} == {"tutelage.v1"}
    foreign = {method.service for method in reflection_methods()}
    assert foreign == {"grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"}


def test_the_options_of_a_method_are_read() -> None:
    table = method_table(public_files())
    sample = table["/tutelage.v1.Sampling/Sample"]
    assert (sample.owner, sample.permission, sample.seconds_max) == (Owner.SAMPLER, "models.sample", 300)
    get = table["/tutelage.v1.Jobs/GetJob"]
    assert (get.owner, get.kind, get.reads_only) == (Owner.SERVICES, Kind.UNARY, True)
    assert get.seconds_max == limits.CALL_SECONDS_DEFAULT
    assert table["/tutelage.v1.Jobs/WatchJob"].kind is Kind.SERVER_STREAM
    assert table["/tutelage.v1.Datasets/WriteUpload"].kind is Kind.CLIENT_STREAM
    assert not table["/tutelage.v1.Jobs/Train"].reads_only


def test_a_method_without_a_permission_is_served_to_nobody() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="forgotten.proto", package="tutelage.v1", syntax="proto3")
    file.message_type.add(name="Empty")
    method = file.service.add(name="Forgotten").method.add(name="Leak")
    method.input_type = method.output_type = ".tutelage.v1.Empty"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    forgotten = method_table([pool.FindFileByName("forgotten.proto")])["/tutelage.v1.Forgotten/Leak"]
    with pytest.raises(Refused) as caught:
        asyncio.run(authorize(a_call(method=forgotten, permissions=("", "jobs.read", ANY_KEY)), arrive))
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_any_key_is_enough_only_where_it_is_said() -> None:
    asyncio.run(authorize(a_call(method=a_method(permission=ANY_KEY), permissions=()), arrive))
    with pytest.raises(Refused):
        asyncio.run(authorize(a_call(permissions=(ANY_KEY,)), arrive))
