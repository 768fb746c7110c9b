"""What 8-bit ranges are fixed by, and what the gate holds out; seeded, so that a model can be made again."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bellwire.agents.features import COLUMNS, ROWS
from bellwire.agents.quantize.errors import CalibrationError
from bellwire.agents.quantize.settings import CalibrationSettings
from bellwire.agents.quantize.training import Training
from bellwire.agents.tactical.networks import OBSERVATION_SIZE
from bellwire.agents.train.array_file import ALONE, UnreadableArraysError, read_arrays
from bellwire.agents.train.data import load_bars
from bellwire.agents.train.tape import Tape, record
from bellwire.agents.train.walk_forward import part_at, walk_forward

ROWS_MIN: Final = 16  # fewer say nothing of a range
FILE_BYTES_MAX: Final = 512 * 1024 * 1024  # on disk and unpacked; 300,000 observations
_OBSERVATION: Final = "observation"
_POSITION: Final = "position"
_SUFFIXES: Final = (".npz", ".npy")
_EXPECTED: Final = (
    f"finite numbers (n, {OBSERVATION_SIZE}) or (n, {ROWS}, {COLUMNS}), n ≥ {ROWS_MIN}"
)

_Rows: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Rows that stand for what the model will be asked."""

    source: str
    """The file's name, or what the caller calls its arrays."""
    observations: NDArray[np.float32]
    """(n, 420)"""
    positions: NDArray[np.float32]
    """(n, 1) in [-1, 1]"""
    seed: int

    @property
    def data_sha256(self) -> str:
        """Hash of the rows as little-endian bytes, observations first: equal rows, equal hash."""
        digest = sha256(self.observations.astype("<f4").tobytes())
        digest.update(self.positions.astype("<f4").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """All that a quantization needs to know of the market."""

    calibration: Calibration
    tape: Tape
    """Bars to judge on are among these."""
    held_out: range
    """Which, oldest first; all can be decided on."""


def read_data(
    calibrate: str,
    held_out: str,
    settings: CalibrationSettings,
    training: Training | None = None,
) -> Data:
    """Read what to calibrate with and what to hold out. Blocks while it reads.

    Args:
        calibrate: An `.npz` with `observation` and perhaps `position`, an `.npy` of observations, an OHLCV file, or
            the name of a bundled series.
        held_out: Bars as above; empty = the newest of those to calibrate with, which are left out there.
        settings: Rows and seed.
        training: Of the model to quantize; by default as the trainer's defaults. No bar it was trained on is held
            out, of several folds the last counts; bars it does not know are parted as those it was trained on.

    Raises:
        CalibrationError: A file is absent, damaged, of another shape, holds NaN, or nothing can be held out.
        UnknownDataError: Bars that are neither a file nor a bundled series.
        TooFewBarsError: Too few bars to part.
        OhlcvFileError, InvalidBarError: Bars that cannot be used.
    """
    training = training or Training()
    if Path(calibrate).suffix in _SUFFIXES:
        if not held_out:
            raise CalibrationError(calibrate, "no bars", "bars to hold out, named apart")
        apart = record(load_bars(held_out))
        return Data(_from_file(Path(calibrate), settings), apart, _unseen(apart, training))
    tape = record(load_bars(calibrate))
    if not held_out:
        return _split(tape, settings, training)
    apart = record(load_bars(held_out))
    if apart.bars.sha256 == tape.bars.sha256:
        raise CalibrationError(held_out, "the bars calibrated with", "other bars, or none")
    return Data(_calibration_on(tape, tape.decisions, settings), apart, _unseen(apart, training))


def calibration_of(
    source: str,
    observations: ArrayLike,
    positions: ArrayLike | None,
    settings: CalibrationSettings,
) -> Calibration:
    """Check arrays and draw from them, without repetition, at most as many rows as the settings say.

    Args:
        source: What errors and the manifest call them.
        observations: (n, 420) or (n, 60, 7).
        positions: (n,) or (n, 1) in [-1, 1]; None = drawn evenly from all of that range, both ends included.
        settings: Rows and seed.

    Raises:
        CalibrationError: Another shape, too few rows, NaN or infinity, or a position out of range.
    """
    given = _observations(source, np.asarray(observations))
    asked = None if positions is None else _positions(source, np.asarray(positions), len(given))
    return _drawn(source, (len(given), given.__getitem__), asked, settings)


def _calibration_on(tape: Tape, bars: range, settings: CalibrationSettings) -> Calibration:
    """Draw from the bars of a series; only what was drawn is cut out of it."""
    if len(bars) < ROWS_MIN:
        found = f"{len(bars)} bars that can be decided on"
        raise CalibrationError(tape.bars.source, found, f"at least {ROWS_MIN} to calibrate with")
    cut = len(bars), lambda chosen: tape.observations(chosen + bars.start)
    return _drawn(tape.bars.source, cut, None, settings)


def _drawn(
    source: str,
    given: tuple[int, Callable[[NDArray[np.intp]], _Rows]],
    positions: _Rows | None,
    settings: CalibrationSettings,
) -> Calibration:
    """Draw from so many rows, which a function hands out by their numbers."""
    available, rows_of = given
    random = np.random.default_rng(settings.seed)
    count = min(settings.rows, available)
    chosen = np.sort(random.permutation(available)[:count])
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        rows = np.ascontiguousarray(rows_of(chosen), np.float32).reshape(count, OBSERVATION_SIZE)
    if not np.isfinite(rows).all():
        raise CalibrationError(source, "observations with NaN or infinity", _EXPECTED)
    even = random.permutation(np.linspace(-1.0, 1.0, count))[:, np.newaxis]  # (n, 1)
    drawn = even if positions is None else positions[chosen]
    return Calibration(source, rows, drawn.astype(np.float32), settings.seed)


def _observations(source: str, given: NDArray[Any]) -> NDArray[Any]:
    fits = given.shape[1:] in ((OBSERVATION_SIZE,), (ROWS, COLUMNS)) and given.dtype.kind in "fiu"
    if not fits or len(given) < ROWS_MIN:
        raise CalibrationError(
            source, f"observations are {given.dtype} of shape {given.shape}", _EXPECTED
        )
    return given


def _positions(source: str, given: NDArray[Any], rows: int) -> NDArray[np.float32]:
    expected = f"finite numbers from -1 to 1 of shape ({rows},) or ({rows}, 1)"
    if given.shape not in ((rows,), (rows, 1)) or given.dtype.kind not in "fiu":
        raise CalibrationError(
            source, f"positions are {given.dtype} of shape {given.shape}", expected
        )
    if not (np.abs(given) <= 1.0).all():
        raise CalibrationError(source, "positions that are NaN or out of range", expected)
    return given.astype(np.float32).reshape(rows, 1)


def _unseen(tape: Tape, training: Training) -> range:
    """Return the bars of a series held out apart that the model was not trained on."""
    cut = training.tested_from.get(tape.bars.sha256)
    return tape.decisions if cut is None else part_at(tape, cut).test


def _split(tape: Tape, settings: CalibrationSettings, training: Training) -> Data:
    """Calibrate with the oldest and hold out the newest, with the embargo between them."""
    bars = tape.bars
    cut = training.tested_from.get(bars.sha256)
    if cut is None:
        split = training.split
        parts = walk_forward(bars.symbol, tape.decisions, split, train_bars_min=ROWS_MIN)[-1]
    else:
        parts = part_at(tape, cut, embargo_bars=training.split.embargo_bars)
    return Data(_calibration_on(tape, parts.train, settings), tape, parts.test)


def _from_file(path: Path, settings: CalibrationSettings) -> Calibration:
    try:
        arrays = read_arrays(path, bytes_max=FILE_BYTES_MAX, names=(_OBSERVATION, _POSITION))
        alone = arrays.get(ALONE)
        observations = arrays[_OBSERVATION] if alone is None else alone
    except (UnreadableArraysError, KeyError) as error:
        expected = (
            f"an .npz with `{_OBSERVATION}`, or an .npy, of at most {FILE_BYTES_MAX} bytes unpacked"
        )
        missing = f"no `{_OBSERVATION}` in it"
        found = missing if isinstance(error, KeyError) else str(error)
        raise CalibrationError(str(path), found, expected) from error
    return calibration_of(path.name, observations, arrays.get(_POSITION), settings)
