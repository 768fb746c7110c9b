"""Smaller, quicker models, and a gate that says whether they still decide and earn as their parent did.

Needs the extra `models`; nothing that serves imports it. What serves asks `inference.check_gate`.
"""

from bellwire.agents.quantize.agreement import Agreement
from bellwire.agents.quantize.calibration import Calibration, Data, calibration_of, read_data
from bellwire.agents.quantize.errors import (
    CalibrationError,
    NotQuantizableError,
    QuantizationFailedError,
    UnknownMethodError,
)
from bellwire.agents.quantize.gate import GateReport
from bellwire.agents.quantize.method import Method
from bellwire.agents.quantize.quantizer import Job, Outcome, quantize_model
from bellwire.agents.quantize.settings import CalibrationSettings, GateSettings
from bellwire.agents.quantize.timing import Speed, TimingSettings
from bellwire.agents.quantize.training import Training, training_of

__all__ = [
    "Agreement",
    "Calibration",
    "CalibrationError",
    "CalibrationSettings",
    "Data",
    "GateReport",
    "GateSettings",
    "Job",
    "Method",
    "NotQuantizableError",
    "Outcome",
    "QuantizationFailedError",
    "Speed",
    "TimingSettings",
    "Training",
    "UnknownMethodError",
    "calibration_of",
    "quantize_model",
    "read_data",
    "training_of",
]
