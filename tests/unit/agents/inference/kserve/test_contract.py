"""The messages of the protocol: published numbers, in a pool that others' cannot collide with."""

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from bellwire.agents.inference.kserve import contract
from bellwire.agents.inference.kserve.descriptor import file_descriptor

PUBLISHED = {
    "ModelInferRequest": {
        "model_name": 1, "model_version": 2, "id": 3, "parameters": 4, "inputs": 5, "outputs": 6,
        "raw_input_contents": 7,
    },
    "ModelInferRequest.InferInputTensor": {
        "name": 1, "datatype": 2, "shape": 3, "parameters": 4, "contents": 5,
    },
    "ModelInferResponse": {
        "model_name": 1, "model_version": 2, "id": 3, "parameters": 4, "outputs": 5,
        "raw_output_contents": 6,
    },
    "InferTensorContents": {
        "bool_contents": 1, "int_contents": 2, "int64_contents": 3, "uint_contents": 4,
        "uint64_contents": 5, "fp32_contents": 6, "fp64_contents": 7, "bytes_contents": 8,
    },
    "ModelMetadataResponse": {"name": 1, "versions": 2, "platform": 3, "inputs": 4, "outputs": 5},
    "ModelStreamInferResponse": {"error_message": 1, "infer_response": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_fields_have_the_published_numbers(name: str) -> None:
    message = contract.POOL.FindMessageTypeByName(f"inference.{name}")
    assert {field.name: field.number for field in message.fields} == PUBLISHED[name]


def test_a_request_is_read_from_the_bytes_that_another_client_writes() -> None:
    # 1: "m" · 5 { 1: "x" · 2: "FP32" · 3: packed [1, 4] } · 7: four zero bytes
    written = bytes.fromhex("0a016d2a0d0a01781204465033321a0201043a0400000000")
    request = contract.ModelInferRequest.FromString(written)
    assert (request.model_name, request.inputs[0].datatype) == ("m", "FP32")
    assert list(request.inputs[0].shape) == [1, 4]
    assert list(request.raw_input_contents) == [bytes(4)]


def test_the_names_are_free_in_the_default_pool() -> None:
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")


def test_the_streaming_method_streams_both_ways() -> None:
    streams = {
        method.name: (method.client_streaming, method.server_streaming)
        for method in contract.SERVICE.methods
    }
    assert streams.pop("ModelStreamInfer") == (True, True)
    assert set(streams.values()) == {(False, False)}


def test_a_table_becomes_a_file() -> None:
    table = "A\n  1 x oneof kind bool\n  2 y oneof other A.B\nA.B\n  1 m map string\nservice S\n  M A A\n"
    file = file_descriptor("f.proto", "p", table)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    a = pool.FindMessageTypeByName("p.A")
    assert [each.name for each in a.oneofs] == ["kind", "other"]
    y, m = a.fields_by_name["y"], a.nested_types[0].fields_by_name["m"]
    assert (y.message_type, y.containing_oneof) == (a.nested_types[0], a.oneofs_by_name["other"])
    assert m.message_type is not None
    assert m.message_type.GetOptions().map_entry
    assert isinstance(file, FileDescriptorProto)
