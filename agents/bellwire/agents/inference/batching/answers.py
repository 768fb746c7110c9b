"""A computed batch taken apart: each request gets its rows, and hears how they came about."""

from collections.abc import Callable
from dataclasses import fields
from typing import Final, TypeAlias

from bellwire.agents.inference.batching.job import Job
from bellwire.agents.inference.batching.rows import split
from bellwire.agents.inference.batching.statistics import MICROS, BatchStatistics
from bellwire.agents.inference.endpoint import Fallback, InferenceResult
from bellwire.agents.inference.model import ModelManifest

_Setter: TypeAlias = Callable[[InferenceResult, object], None]
_NO_FALLBACKS: Final[tuple[Fallback, ...]] = ()
# The constructor of a frozen dataclass looks every field up by its name: twice as dear as the rest of an answer.
_new: Final = object.__new__
_setters: Final[list[_Setter]] = [
    InferenceResult.__dict__[field.name].__set__ for field in fields(InferenceResult)
]
(
    _set_outputs,
    _set_answered_by,
    _set_quantization,
    _set_fallbacks,
    _set_is_cached,
    _set_batch_size,
    _set_close_reason,
    _set_queue_seconds,
    _set_compute_seconds,
) = _setters


def answer_all(job: Job, manifest: ModelManifest, statistics: BatchStatistics) -> None:
    """Tell everybody of a batch that went well, but those who have gone away; outputs are views into the batch's.

    Args:
        job: Computed.
        manifest: Of the model.
        statistics: Where the time is counted that each has waited.
    """
    outputs, began = job.outputs, job.began
    assert outputs is not None, "it was computed"
    key, quantization, start = manifest.key, manifest.quantization, 0
    waited = [began - asked.since_seconds for asked in job.asked]
    statistics.queue_micros.note_all([int(seconds * MICROS) for seconds in waited])
    for asked, queue_seconds in zip(job.asked, waited, strict=True):
        answer = asked.answer
        if not answer.done():
            result = _new(InferenceResult)
            _set_outputs(result, split(outputs, start, asked.rows))
            _set_answered_by(result, key)
            _set_quantization(result, quantization)
            _set_fallbacks(result, _NO_FALLBACKS)
            _set_is_cached(result, False)
            _set_batch_size(result, job.rows)
            _set_close_reason(result, job.reason)
            _set_queue_seconds(result, queue_seconds)
            _set_compute_seconds(result, job.seconds)
            answer.set_result(result)
        start += asked.rows
