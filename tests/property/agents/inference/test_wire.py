"""Any tensor comes back as it went; any bytes are a tensor or an error that names it."""

import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agent.v1.inference_pb2 import InferRequest, Tensor
from bellwire.agents.inference import DTYPES, InferenceRequest, InferenceResult, InvalidTensorError
from bellwire.agents.inference.tensor_bytes import array_of, bytes_of
from bellwire.agents.inference.wire import from_request, from_result, to_request, to_result
from bellwire.wire.errors import BellwireError

SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=4)
NAMES = st.text(min_size=1, max_size=20)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Of any dtype and of any bits, NaN included; order and byte order are the platform's or not."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(SHAPES)
    size = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":
        data = bytes(byte & 1 for byte in data)
    array = np.frombuffer(data, dtype).reshape(shape)
    if draw(st.booleans()):
        array = array.astype(dtype.newbyteorder(">"))
    return np.asfortranarray(array) if draw(st.booleans()) else array


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two arrays are one to the bit."""
    little = one.dtype.newbyteorder("<")
    return (one.shape, one.astype(little).tobytes()) == (other.shape, other.tobytes())


@given(arrays())
def test_an_array_comes_back_to_the_bit(array: np.ndarray) -> None:
    dtype, data = bytes_of("x", array)
    assert same(array, array_of("x", dtype, array.shape, data))


@given(st.dictionaries(NAMES, arrays(), max_size=4))
def test_requests_and_results_carry_any_tensors(tensors: dict[str, np.ndarray]) -> None:
    request = from_request(InferenceRequest("m", tensors)).SerializeToString()
    asked = to_request(InferRequest.FromString(request), 0, 0.0).inputs
    told = to_result(from_result(InferenceResult(tensors, "m:1"))).outputs
    assert list(asked) == list(told) == list(tensors)
    for name, array in tensors.items():
        assert same(array, asked[name])
        assert same(array, told[name])


@given(
    st.integers(-1, 20),
    st.lists(st.integers(0, 2**32 - 1), max_size=10),
    st.binary(max_size=64),
)
def test_any_tensor_is_read_or_refused_by_its_name(kind, shape, data) -> None:
    message = InferRequest(inputs=[Tensor(name="x", type=kind, shape=shape, data=data)])
    array, refused = outcome(message)
    if refused is None:
        assert array is not None
        assert (array.nbytes, array.shape) == (len(data), tuple(shape))
    else:
        assert isinstance(refused, InvalidTensorError)
        assert refused.name == "x"


def outcome(message: InferRequest) -> tuple[np.ndarray | None, BellwireError | None]:
    """Read a request now; return its tensor x, or why not."""
    try:
        return to_request(message, 10**18, 0.0).inputs.get("x"), None
    except BellwireError as error:
        return None, error


@given(st.binary(max_size=200))
def test_bytes_that_parse_never_raise_anything_but_an_error_of_the_bus(data: bytes) -> None:
    try:
        message = InferRequest.FromString(data)
    except DecodeError:
        return
    read, refusal = outcome(message)
    assert read is None or refusal is None
