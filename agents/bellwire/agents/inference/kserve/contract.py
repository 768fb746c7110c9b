"""Messages and service of the Open Inference Protocol v2, as far as they are served, with its published numbers.

They live in a descriptor pool of their own: a client of another server in the same process, tritonclient for one,
brings the same names into the default pool, and a name can be there only once.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from bellwire.agents.inference.kserve.descriptor import file_descriptor

Message: TypeAlias = Any  # Made at run time: there is nothing for a type checker to know.

PACKAGE: Final = "inference"
_TABLE: Final = """
ServerLiveRequest
ServerLiveResponse
    1 live bool
ServerReadyRequest
ServerReadyResponse
    1 ready bool
ModelReadyRequest
    1 name string
    2 version string
ModelReadyResponse
    1 ready bool
ServerMetadataRequest
ServerMetadataResponse
    1 name string
    2 version string
    3 extensions repeated string
ModelMetadataRequest
    1 name string
    2 version string
ModelMetadataResponse
    1 name string
    2 versions repeated string
    3 platform string
    4 inputs repeated ModelMetadataResponse.TensorMetadata
    5 outputs repeated ModelMetadataResponse.TensorMetadata
ModelMetadataResponse.TensorMetadata
    1 name string
    2 datatype string
    3 shape repeated int64
InferParameter
    1 bool_param oneof parameter_choice bool
    2 int64_param oneof parameter_choice int64
    3 string_param oneof parameter_choice string
    4 double_param oneof parameter_choice double
    5 uint64_param oneof parameter_choice uint64
InferTensorContents
    1 bool_contents repeated bool
    2 int_contents repeated int32
    3 int64_contents repeated int64
    4 uint_contents repeated uint32
    5 uint64_contents repeated uint64
    6 fp32_contents repeated float
    7 fp64_contents repeated double
    8 bytes_contents repeated bytes
ModelInferRequest
    1 model_name string
    2 model_version string
    3 id string
    4 parameters map InferParameter
    5 inputs repeated ModelInferRequest.InferInputTensor
    6 outputs repeated ModelInferRequest.InferRequestedOutputTensor
    7 raw_input_contents repeated bytes
ModelInferRequest.InferInputTensor
    1 name string
    2 datatype string
    3 shape repeated int64
    4 parameters map InferParameter
    5 contents InferTensorContents
ModelInferRequest.InferRequestedOutputTensor
    1 name string
    2 parameters map InferParameter
ModelInferResponse
    1 model_name string
    2 model_version string
    3 id string
    4 parameters map InferParameter
    5 outputs repeated ModelInferResponse.InferOutputTensor
    6 raw_output_contents repeated bytes
ModelInferResponse.InferOutputTensor
    1 name string
    2 datatype string
    3 shape repeated int64
    4 parameters map InferParameter
    5 contents InferTensorContents
ModelStreamInferResponse
    1 error_message string
    2 infer_response ModelInferResponse
service GRPCInferenceService
    ServerLive ServerLiveRequest ServerLiveResponse
    ServerReady ServerReadyRequest ServerReadyResponse
    ModelReady ModelReadyRequest ModelReadyResponse
    ServerMetadata ServerMetadataRequest ServerMetadataResponse
    ModelMetadata ModelMetadataRequest ModelMetadataResponse
    ModelInfer ModelInferRequest ModelInferResponse
    ModelStreamInfer stream ModelInferRequest stream ModelStreamInferResponse
"""


def _filled_pool() -> DescriptorPool:
    pool = DescriptorPool()
    file = file_descriptor("bellwire/open_inference_v2.proto", PACKAGE, _TABLE)
    pool.AddSerializedFile(file.SerializeToString())
    # What reflection tells of: the services beside ours, and the details of a status, belong to it.
    for known in (
        any_pb2.DESCRIPTOR,
        duration_pb2.DESCRIPTOR,
        error_details_pb2.DESCRIPTOR,
        health_pb2.DESCRIPTOR,
        reflection_pb2.DESCRIPTOR,
    ):
        pool.AddSerializedFile(known.serialized_pb)
    return pool


POOL: Final = _filled_pool()
SERVICE: Final[ServiceDescriptor] = POOL.FindServiceByName(f"{PACKAGE}.GRPCInferenceService")


def _class(name: str) -> Message:
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


InferParameter: Final[Message] = _class("InferParameter")
ModelInferRequest: Final[Message] = _class("ModelInferRequest")
ModelInferResponse: Final[Message] = _class("ModelInferResponse")
ModelMetadataRequest: Final[Message] = _class("ModelMetadataRequest")
ModelMetadataResponse: Final[Message] = _class("ModelMetadataResponse")
ModelReadyRequest: Final[Message] = _class("ModelReadyRequest")
ModelReadyResponse: Final[Message] = _class("ModelReadyResponse")
ModelStreamInferResponse: Final[Message] = _class("ModelStreamInferResponse")
ServerLiveRequest: Final[Message] = _class("ServerLiveRequest")
ServerLiveResponse: Final[Message] = _class("ServerLiveResponse")
ServerMetadataRequest: Final[Message] = _class("ServerMetadataRequest")
ServerMetadataResponse: Final[Message] = _class("ServerMetadataResponse")
ServerReadyRequest: Final[Message] = _class("ServerReadyRequest")
ServerReadyResponse: Final[Message] = _class("ServerReadyResponse")
