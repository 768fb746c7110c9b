"""What ranges are fixed by, and what is held out."""

import numpy as np
import pytest

from bellwire.agents.data import EURUSD_1H
from bellwire.agents.quantize import (
    CalibrationError,
    CalibrationSettings,
    Training,
    calibration_of,
    read_data,
)
from bellwire.agents.quantize import calibration as module
from bellwire.agents.train import (
    SplitSettings,
    TooFewBarsError,
    load_bars,
    record,
    walk_forward,
)

SETTINGS = CalibrationSettings(rows=64, seed=1)


def rows(count=100, size=420):
    return np.random.default_rng(0).normal(0, 1, (count, size)).astype("f4")


def test_equal_seeds_draw_equal_rows_and_others_do_not():
    first = calibration_of("x", rows(), None, SETTINGS)
    again = calibration_of("x", rows(), None, SETTINGS)
    other = calibration_of("x", rows(), None, CalibrationSettings(rows=64, seed=2))
    assert first.data_sha256 == again.data_sha256
    assert first.data_sha256 != other.data_sha256


def test_no_row_is_drawn_twice_and_each_keeps_its_position():
    positions = np.linspace(-1, 1, 100).astype("f4")
    drawn = calibration_of("x", rows(), positions, SETTINGS)
    assert drawn.observations.shape == (64, 420)
    assert len({row.tobytes() for row in drawn.observations}) == 64
    for observation, position in zip(drawn.observations, drawn.positions, strict=True):
        index = int((rows() == observation).all(axis=1).argmax())
        assert position[0] == positions[index]


def test_positions_nobody_gave_reach_both_ends():
    drawn = calibration_of("x", rows(), None, SETTINGS)
    assert drawn.positions.shape == (64, 1)
    assert (drawn.positions.min(), drawn.positions.max()) == (-1.0, 1.0)


def test_matrices_are_flattened_row_by_row():
    matrices = rows().reshape(100, 60, 7)
    assert (
        calibration_of("x", matrices, None, SETTINGS).data_sha256
        == calibration_of("x", rows(), None, SETTINGS).data_sha256
    )


@pytest.mark.parametrize(
    ("observations", "found"),
    [
        (rows(size=419), r"float32 of shape \(100, 419\)"),
        (rows(count=3), r"float32 of shape \(3, 420\)"),
        (np.zeros(420), r"float64 of shape \(420,\)"),
        (np.float32(1.0), r"float32 of shape \(\)"),
        (np.full((100, 420), "1"), r"<U1 of shape \(100, 420\)"),
        (np.full((100, 420), np.nan), "NaN or infinity"),
        (np.full((100, 420), np.inf), "NaN or infinity"),
        (np.full((100, 420), 1e300), "NaN or infinity"),
    ],
)
def test_observations_that_cannot_be_are_refused(observations, found):
    with pytest.raises(CalibrationError, match=found) as caught:
        calibration_of("mine.npz", observations, None, SETTINGS)
    assert caught.value.source == "mine.npz"
    assert "expected finite numbers (n, 420)" in caught.value.message


@pytest.mark.parametrize(
    ("positions", "found"),
    [
        (np.zeros(99), r"float64 of shape \(99,\)"),
        (np.zeros((100, 2)), r"float64 of shape \(100, 2\)"),
        (np.full(100, 1.5), "NaN or out of range"),
        (np.full(100, np.nan), "NaN or out of range"),
        (np.full(100, "0"), "<U1"),
    ],
)
def test_positions_that_cannot_be_are_refused(positions, found):
    with pytest.raises(CalibrationError, match=found):
        calibration_of("mine.npz", rows(), positions, SETTINGS)


def test_an_npz_is_read_with_its_positions(tmp_path):
    path = tmp_path / "seen.npz"
    np.savez(path, observation=rows(), position=np.full(100, 0.5))
    data = read_data(str(path), "eurusd-1h", SETTINGS)
    assert data.calibration.source == "seen.npz"
    assert (data.calibration.positions == 0.5).all()
    assert len(data.held_out) > 6_000


def test_an_npy_holds_observations_alone(tmp_path):
    path = tmp_path / "seen.npy"
    np.save(path, rows())
    assert read_data(str(path), "eurusd-1h", SETTINGS).calibration.positions.max() == 1.0


def test_observations_alone_leave_nothing_to_hold_out(tmp_path):
    path = tmp_path / "seen.npz"
    np.savez(path, observation=rows())
    with pytest.raises(CalibrationError, match="no bars; expected bars to hold out"):
        read_data(str(path), "", SETTINGS)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    garbage, other = tmp_path / "garbage.npz", tmp_path / "other.npz"
    garbage.write_bytes(b"PK\x03\x04 and then nothing of the kind")
    np.savez(other, observations=rows())
    np.savez(tmp_path / "pickled.npz", observation=np.array([{"run": "me"}], object))
    for name in ("garbage.npz", "other.npz", "pickled.npz", "absent.npz"):
        with pytest.raises(CalibrationError, match=r"expected an \.npz with `observation`"):
            read_data(str(tmp_path / name), "eurusd-1h", SETTINGS)


def test_an_npz_with_broken_compression_is_refused(tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, observation=rows())
    whole = bytearray(path.read_bytes())
    packed = 30 + int.from_bytes(whole[26:28], "little") + int.from_bytes(whole[28:30], "little")
    whole[packed] = 0b111  # a last block of the type that deflate does not have
    path.write_bytes(whole)
    with pytest.raises(CalibrationError, match=r"expected an \.npz with `observation`"):
        read_data(str(path), "eurusd-1h", SETTINGS)


def test_an_npz_that_would_unpack_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, observation=np.zeros((1_000, 420), np.float32))
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 1_000_000)
    with pytest.raises(CalibrationError, match="too large: 1680128 bytes unpacked"):
        read_data(str(path), "eurusd-1h", SETTINGS)


def test_of_bars_those_the_trainer_tests_on_are_held_out_and_those_before_calibrated_with():
    tape = record(load_bars("eurusd-1h"))
    data = read_data("eurusd-1h", "", CalibrationSettings(rows=65_536))
    (split,) = walk_forward("EURUSD", tape.decisions, SplitSettings(), train_bars_min=1)
    assert data.held_out == split.test
    last = data.held_out[0] - SplitSettings().embargo_bars - 1
    everything = tape.observations(np.arange(tape.decisions[0], last + 1))
    assert np.array_equal(data.calibration.observations, everything)
    assert np.array_equal(data.tape.rows, tape.rows)


def test_how_bars_are_parted_is_a_setting():
    split = SplitSettings(test_share=0.5, folds=2, embargo_bars=100)
    data = read_data("eurusd-1h", "", CalibrationSettings(rows=65_536), Training(split=split))
    assert len(data.held_out) == len(data.tape.decisions) // 4
    assert len(data.calibration.observations) == len(data.tape.decisions) * 3 // 4 - 100 + 1


def test_no_bar_that_the_last_fold_was_trained_on_is_held_out():
    tape = record(load_bars("eurusd-1h"))
    split = SplitSettings(folds=5)
    last = walk_forward("EURUSD", tape.decisions, split, train_bars_min=1)[-1]
    closes = tape.bars.close_times
    training = Training(0.2, split, {tape.bars.sha256: int(closes[last.test.start])})
    parted = read_data("eurusd-1h", "", CalibrationSettings(rows=65_536), training)
    apart = read_data("ibm-1d", "eurusd-1h", SETTINGS, training)
    assert parted.held_out == apart.held_out == last.test
    assert len(parted.calibration.observations) == len(last.train)


def test_a_cut_common_to_several_series_is_kept_where_one_of_them_is_quantized_with():
    tape = record(load_bars("eurusd-1h"))
    cut = int(tape.bars.close_times[5_900])  # later than the newest 30 % begin
    training = Training(tested_from={tape.bars.sha256: cut})
    assert read_data("eurusd-1h", "", SETTINGS, training).held_out.start == 5_900


def test_bars_held_out_apart_leave_all_others_to_calibrate_with():
    data = read_data("ibm-1d", "eurusd-1h", CalibrationSettings(rows=65_536))
    assert len(data.calibration.observations) == len(record(load_bars("ibm-1d")).decisions)
    assert data.tape.bars.source == EURUSD_1H.file_name
    assert data.held_out == data.tape.decisions


def test_the_bars_calibrated_with_are_not_held_out():
    with pytest.raises(CalibrationError, match="the bars calibrated with"):
        read_data("eurusd-1h", str(EURUSD_1H.path), SETTINGS)


def test_bars_too_few_to_part_are_refused(tmp_path):
    path = tmp_path / "short.csv"
    lines = [f"{1_483_228_800 + 60 * bar},1,1,1,1,1" for bar in range(100)]
    path.write_text("\n".join(["time,open,high,low,close,volume", *lines]))
    with pytest.raises(TooFewBarsError, match="has 100 bars"):
        read_data(str(path), "", SETTINGS)
    short = tmp_path / "shorter.csv"
    short.write_text("\n".join(["time,open,high,low,close,volume", *lines[:90]]))
    with pytest.raises(CalibrationError, match="10 bars that can be decided on"):
        read_data(str(short), "eurusd-1h", SETTINGS)
