"""Turns tracing on and off in a running process, with the SDK and its file exporter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.roles import Reply, Role

from bellwire.telemetry import TracingHandle, configure_tracing

TRACES_FOLDER: Final = "traces"
SPAN_MARK: Final = (
    b'"spanId"'  # Once in each span of an OTLP-JSON file; parents are `parentSpanId`.
)


class Traced:
    """Adds the command `trace` to a role."""

    def __init__(self, role: Role, service: str, directory: Path) -> None:
        self._role = role
        self._service = service
        self._folder = directory / TRACES_FOLDER
        self._handle: TracingHandle | None = None

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Answer `trace`, pass the rest on."""
        if command == "trace":
            return {"spans": self._trace(**arguments)}
        return await self._role.do(command, arguments)

    def close(self) -> None:
        """Write out what is left."""
        if self._handle is not None:
            self._handle.shutdown()

    def _trace(self, *, sample_ratio: float | None) -> int:
        """Trace with another ratio; None = without the SDK. Give the spans written until now."""
        spans = 0
        if self._handle is not None:
            self._handle.shutdown()
            spans = _take_spans(self._handle.file)
            self._handle = None
        if sample_ratio is not None:
            self._handle = configure_tracing(
                self._service, sample_ratio=sample_ratio, otlp_json_path=self._folder
            )
        return spans


def _take_spans(file: Path | None) -> int:
    """Count the spans of a file and remove it: at 100 % a second fills tens of megabytes."""
    if file is None or not file.exists():
        return 0
    with file.open("rb") as lines:
        spans = sum(line.count(SPAN_MARK) for line in lines)
    file.unlink()
    return spans
