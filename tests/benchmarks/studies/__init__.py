"""Questions, most of them about Bellwire alone, that need processes, figures and tables of their own."""

from importlib import import_module
from typing import Final

from tests.benchmarks.studies.study import Plot, StudyModule

# Imported only when asked for, as peers are.
MODULES: Final = {
    "curves": "curves",
    "slow-subscriber": "slow_subscriber",
    "payload": "payload_size",
    "tracing": "tracing",
    "sink": "sink_writes",
    "cache": "cache_levels",
    "restart": "restart_times",
    "inference": "inference_speed",
    "inference-bus": "inference_bus",
    "inference-batcher": "inference_batcher",
}


def load_study(name: str) -> StudyModule:
    """Import the study behind a scenario."""
    study: StudyModule = import_module(f"{__name__}.{MODULES[name]}").STUDY
    return study


__all__ = ["MODULES", "Plot", "StudyModule", "load_study"]
