"""Requests and results as the messages of the contract, and back; does no input or output."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bellwire.agent.v1 import inference_pb2 as pb
from bellwire.agents.inference.endpoint import (
    PRIORITIES,
    CloseReason,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.errors import InvalidDeadlineError, InvalidTensorError
from bellwire.agents.inference.tensor import (
    DTYPES,
    NAME_BYTES_MAX,
    TENSORS_MAX,
    Array,
    Tensors,
)
from bellwire.agents.inference.tensor_bytes import array_of, bytes_of
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    DeadlineExceededError,
    from_item_error,
    to_item_error,
)

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

KEY_BYTES_MAX: Final = 256
NANOS_PER_SECOND: Final = 1e9
MICROS_PER_SECOND: Final = 1e6
# September 2001: no deadline was meant to be before; seconds, milliseconds, microseconds and durations all are.
DEADLINE_UNIX_NANO_MIN: Final = 10**18
DAY_SECONDS: Final = 86_400

_TYPES: Final = {name: pb.TensorType.Value(f"TENSOR_TYPE_{name}") for name in DTYPES}
_DTYPES: Final = {int(number): name for name, number in _TYPES.items()}
_CLOSE_REASONS: Final = {
    reason: pb.BatchCloseReason.Value(f"BATCH_CLOSE_REASON_{reason.name}") for reason in CloseReason
}
_CLOSED_BY: Final = {int(number): reason for reason, number in _CLOSE_REASONS.items()}
_FALLBACK_REASONS: Final = {
    reason: pb.FallbackReason.Value(f"FALLBACK_REASON_{reason.name}") for reason in FallbackReason
}
_FELL_BACK_BY: Final = {int(number): reason for reason, number in _FALLBACK_REASONS.items()}


def to_request(
    message: pb.InferRequest, now_unix_nano: int, now_seconds: float
) -> InferenceRequest:
    """Return the request that a message stands for.

    Args:
        message: As it came; its tensors are read in place.
        now_unix_nano: The wall clock, in which deadlines travel.
        now_seconds: `time.monotonic()` at the same moment.

    Raises:
        InvalidTensorError: A tensor is not what its type and shape say; the error names it.
        DeadlineExceededError: The deadline is past.
        InvalidDeadlineError: It never was a deadline.
        CallerError: A text or the priority is out of bounds.
    """
    check_request(message.key, message.cache_key, message.priority)
    return InferenceRequest(
        model=message.model,
        inputs=_arrays(message.inputs),
        version=message.version,
        key=message.key,
        cache_key=message.cache_key,
        priority=message.priority,
        deadline_seconds=deadline_seconds(message.deadline_unix_nano, now_unix_nano, now_seconds),
    )


def from_request(request: InferenceRequest) -> pb.InferRequest:
    """Return the message of a request, without its deadline: a call carries that itself.

    Raises:
        InvalidTensorError: A tensor cannot travel.
    """
    message = pb.InferRequest(
        model=request.model,
        version=request.version,
        key=request.key,
        cache_key=request.cache_key,
        priority=request.priority,
    )
    _add_tensors(message.inputs, request.inputs)
    return message


def from_result(result: InferenceResult) -> pb.InferResponse:
    """Return the message of a result.

    Raises:
        InvalidTensorError: An output cannot travel.
    """
    closed = result.close_reason
    message = pb.InferResponse(
        answered_by=result.answered_by,
        quantization=result.quantization,
        fallbacks=[
            pb.InferFallback(step=each.step, reason=_FALLBACK_REASONS[each.reason])
            for each in result.fallbacks
        ],
        is_cached=result.is_cached,
        batch_size=result.batch_size,
        close_reason=pb.BATCH_CLOSE_REASON_UNSPECIFIED
        if closed is None
        else _CLOSE_REASONS[closed],
        queue_micros=_micros(result.queue_seconds),
        compute_micros=_micros(result.compute_seconds),
    )
    _add_tensors(message.outputs, result.outputs)
    return message


def to_result(message: pb.InferResponse) -> InferenceResult:
    """Return the result that a message stands for.

    Raises:
        BellwireError: The message carries an error: that one, its class found by its reason.
        InvalidTensorError: An output is not what its type and shape say.
    """
    if message.HasField("error"):
        raise from_item_error(message.error)
    return InferenceResult(
        outputs=_arrays(message.outputs),
        answered_by=message.answered_by,
        quantization=message.quantization,
        fallbacks=tuple(
            Fallback(each.step, _FELL_BACK_BY.get(each.reason, FallbackReason.FAILED))
            for each in message.fallbacks
        ),
        is_cached=message.is_cached,
        batch_size=message.batch_size,
        close_reason=_CLOSED_BY.get(message.close_reason),
        queue_seconds=message.queue_micros / MICROS_PER_SECOND,
        compute_seconds=message.compute_micros / MICROS_PER_SECOND,
    )


def error_response(error: BellwireError) -> pb.InferResponse:
    """Return the answer to a message on a topic that cannot be answered otherwise."""
    return pb.InferResponse(error=to_item_error(error))


def with_deadline(request: InferenceRequest, until_seconds: float) -> InferenceRequest:
    """Return the request with the earlier of its deadline and another; 0 = none."""
    if not until_seconds or 0 < request.deadline_seconds <= until_seconds:
        return request
    return replace(request, deadline_seconds=until_seconds)


def deadline_seconds(deadline_unix_nano: int, now_unix_nano: int, now_seconds: float) -> float:
    """Return a wall-clock deadline on the monotonic clock; 0 = none.

    Raises:
        DeadlineExceededError: It is past.
        InvalidDeadlineError: It is in another unit, or a duration.
    """
    if not deadline_unix_nano:
        return 0.0
    if deadline_unix_nano < DEADLINE_UNIX_NANO_MIN:
        raise InvalidDeadlineError(deadline_unix_nano)
    left = (deadline_unix_nano - now_unix_nano) / NANOS_PER_SECOND
    if left <= 0:
        raise DeadlineExceededError(
            f"the deadline had passed {_ago(-left)} before the request was read; nothing was computed"
        )
    return now_seconds + left


def check_request(key: str, cache_key: str, priority: int) -> None:
    """Refuse what no queue and no cache should hold.

    Raises:
        CallerError: A text is too long, or there is no such priority.
    """
    check_text("key", key)
    check_text("cache_key", cache_key)
    if not 0 <= priority < PRIORITIES:
        raise CallerError(f"priority is {priority}; 0, which is first, to {PRIORITIES - 1} exist")


def check_text(name: str, text: str) -> None:
    """Refuse a text that is too long, or that no UTF-8 can say.

    Raises:
        CallerError: It is above 256 bytes or holds half a surrogate pair, as JSON may.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise CallerError(f"{name} is no UTF-8: {error.reason}") from error
    if size > KEY_BYTES_MAX:
        raise CallerError(f"{name} holds {size} bytes, limit is {KEY_BYTES_MAX}")


def check_names(names: list[str]) -> None:
    """Refuse too many tensors, names twice, and names that are too long or empty.

    Raises:
        InvalidTensorError: Naming the first that is wrong.
        CallerError: See `check_text`.
    """
    if len(names) > TENSORS_MAX:
        text = f"at most {TENSORS_MAX}"
        raise InvalidTensorError(names[TENSORS_MAX], f"one of {len(names)} tensors", text)
    for index, name in enumerate(names):
        check_text("name of a tensor", name)
        if not 1 <= len(name.encode()) <= NAME_BYTES_MAX:
            text = f"1 to {NAME_BYTES_MAX}"
            raise InvalidTensorError(name[:NAME_BYTES_MAX], f"a name of {len(name)} bytes", text)
        if name in names[:index]:
            raise InvalidTensorError(name, "there twice", "each name once")


def _arrays(tensors: Iterable[pb.Tensor]) -> dict[str, Array]:
    listed = list(tensors)
    check_names([tensor.name for tensor in listed])
    return {each.name: _array(each) for each in listed}


def _array(tensor: pb.Tensor) -> Array:
    dtype = _DTYPES.get(tensor.type, f"number {tensor.type}")
    return array_of(tensor.name, dtype, tensor.shape, tensor.data)


def _add_tensors(tensors: RepeatedCompositeFieldContainer[pb.Tensor], arrays: Tensors) -> None:
    """Fill them where they are to travel: one made apart is serialized and parsed there."""
    for name, array in arrays.items():
        dtype, data = bytes_of(name, array)
        tensors.add(name=name, type=_TYPES[dtype], shape=array.shape, data=data)


def _ago(seconds: float) -> str:
    if seconds >= DAY_SECONDS:  # A stream that is replayed.
        return f"{seconds / DAY_SECONDS:.0f} days"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _micros(seconds: float) -> int:
    return max(0, round(seconds * MICROS_PER_SECOND))
