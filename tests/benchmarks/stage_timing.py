"""Times every step of the way of a batch, and the transports under it."""

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from tests.benchmarks.conductor import measure
from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.peers import FLOORS
from tests.benchmarks.peers.raw import PAD_VARIABLE
from tests.benchmarks.scenario import SCENARIOS, Durations
from tests.benchmarks.stage_parts import TRANSPORT_OF, Way

PACED: Final = "latency-1k"
WARM_UP_BATCHES: Final = (
    30  # Caches, allocator and inline caches of the interpreter; then it is flat.
)
MESSAGES_TIMED: Final = 60_000  # Of one batch size; some seconds of work.
BATCHES_MAX: Final = 3_000
BATCHES_MIN: Final = 100
CLOCK_CALLS: Final = 20_000
PACE_SECONDS: Final = (
    0.001  # As on the bus at one message per ms: each process has slept before its turn.
)
PACED_BATCHES: Final = 1_000

Figures = dict[str, Any]


def batches_for(batch_messages: int, share: float = 1.0) -> int:
    """Give how many batches are timed; `share` makes it a shorter look."""
    wanted = int(MESSAGES_TIMED * share / batch_messages)
    return max(int(BATCHES_MIN * share), min(int(BATCHES_MAX * share), wanted), 3)


def time_steps(batch_messages: int, batches: int) -> Figures:
    """Let batches take the way one after another; give the median time of each step.

    Step follows step for one batch before the next begins, as on the bus: a loop over one step alone
    would keep its data in the processor's caches, and would let acknowledgements and deliveries pile up.
    """
    whole, frame_bytes = _walk(batch_messages, batches, with_parts=False)
    parts, _ = _walk(batch_messages, batches, with_parts=True)
    overhead = clock_overhead_ns(time.perf_counter_ns)
    return {
        "batch_messages": batch_messages,
        "batches": batches,
        "frame_bytes": frame_bytes,
        "steps": [
            {
                "name": step.name,
                "where": step.where,
                "part_of": step.part_of,
                "waited_for": step.waited_for,
                **_microseconds(parts[step.name] if step.part_of else whole[step.name], overhead),
            }
            for step in Way(batch_messages, 0).steps()
        ],
    }


def time_paced_steps(share: float = 1.0) -> Figures:
    """Give the median time of each step for single messages, when each process slept for 1 ms before its turn.

    A processor that was idle, or did something else meanwhile, has forgotten branches, code and data: the same
    functions take several times as long as back to back.
    """
    batches = max(3, int(PACED_BATCHES * share))
    times, _ = _walk(1, batches, with_parts=False, pause=lambda: time.sleep(PACE_SECONDS))
    overhead = clock_overhead_ns(time.perf_counter_ns)
    return {
        "batches": batches,
        "pause_us": PACE_SECONDS * 1e6,
        "steps": [
            {"name": step.name, "waited_for": step.waited_for, "part_of": step.part_of}
            | _microseconds(times[step.name], overhead)
            for step in Way(1, 0).steps()
            if not step.part_of
        ],
    }


def _walk(
    batch_messages: int,
    batches: int,
    *,
    with_parts: bool,
    pause: Callable[[], None] | None = None,
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Give the durations of each step, nanoseconds, and the weight of the last frames.

    A part warms the caches for the step that contains it, so the whole steps are timed on a walk
    without their parts. `pause` is called whenever the way goes on in another process.
    """
    way = Way(batch_messages, WARM_UP_BATCHES + batches)
    steps = [step for step in way.steps() if with_parts or not step.part_of]
    times: dict[str, list[int]] = {step.name: [] for step in steps}
    clock = time.perf_counter_ns
    gc.collect()
    where = ""
    for number in range(WARM_UP_BATCHES + batches):
        for step in steps:
            if pause is not None and step.where != where:
                pause()
            where = step.where
            began = clock()
            step.run(number)
            times[step.name].append(clock() - began)
    return {name: found[WARM_UP_BATCHES:] for name, found in times.items()}, way.frame_bytes()


def clock_overhead_ns(clock: Callable[[], int]) -> float:
    """Give what reading the clock twice adds to each duration."""
    found = []
    for _ in range(CLOCK_CALLS):
        began = clock()
        found.append(clock() - began)
    return statistics.median(found)


def _microseconds(durations: list[int], overhead_ns: float) -> Figures:
    ordered = sorted(durations)
    at = {"p50_us": 0.50, "p95_us": 0.95, "p99_us": 0.99}
    return {
        key: round(max(0.0, ordered[int((len(ordered) - 1) * share)] - overhead_ns) / 1e3, 3)
        for key, share in at.items()
    }


def time_floor(name: str, frame_bytes: int, durations: Durations) -> Figures:
    """Give the one-way latency of a bare transport at 1 frame per ms, each of `frame_bytes`."""
    before = os.environ.get(PAD_VARIABLE)
    os.environ[PAD_VARIABLE] = str(frame_bytes)  # The processes of the measurement inherit it.
    try:
        return {"name": name, "title": FLOORS[name].title, **_paced(name, durations)}
    finally:
        os.environ.pop(PAD_VARIABLE)
        if before is not None:
            os.environ[PAD_VARIABLE] = before


def time_end_to_end(name: str, durations: Durations) -> Figures:
    """Give the one-way latency of the product itself at 1 message per ms."""
    return {"name": name, "floor": TRANSPORT_OF[name], **_paced(name, durations)}


def _paced(name: str, durations: Durations) -> Figures:
    result = asyncio.run(measure(name, SCENARIOS[PACED], durations))
    histogram = LatencyHistogram.from_json(result["from_intended"])
    return {
        **{f"p{at}_us": histogram.percentile(at) / 1e3 for at in (50, 95, 99)},
        "late_p50_us": result["generator_late"]["p50_ns"] / 1e3,
        "lost": result["lost"],
    }
