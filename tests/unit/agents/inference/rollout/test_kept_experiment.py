"""An experiment's sums on the disk: by whom they are found again, and what a disk that refuses costs."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.inference.rollout import ExperimentSums, Rollout, Side, Stage
from bellwire.agents.inference.rollout.experiment_file import ExperimentKey, ExperimentSlot
from bellwire.agents.inference.rollout.kept_experiment import KeptExperiment
from bellwire.agents.inference.rollout.significance import Moments
from bellwire.agents.inference.rollout.state import Author
from bellwire.wire.errors import CapacityError

KEY = ExperimentKey("actor", 1, 2, 0.5, 7)
OBSERVATIONS = st.lists(st.floats(-1e6, 1e6), max_size=30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of models with one in it."""
    (tmp_path / "actor").mkdir()
    return tmp_path


def synced(kept: KeptExperiment) -> KeptExperiment:
    """Write and look, as the server does it."""
    kept.see(kept.sync(kept.experiment.sums))
    return kept


def opened(root: Path, key: ExperimentKey = KEY) -> KeptExperiment:
    return synced(KeptExperiment(root, key))


def observe(kept: KeptExperiment, *returns: float) -> None:
    for value in returns:
        kept.experiment.record_return(Side.CANDIDATE, value)
        kept.experiment.record_agreement(Side.SERVING, agrees=value > 0)


def counts(kept: KeptExperiment) -> tuple[int, int]:
    """Returns of the candidate, and comparisons of the version in service, in all processes."""
    report = kept.report()
    return report.returns.candidate_count, report.agreement.serving_count


def test_what_was_seen_is_found_again_to_the_last_digit(root: Path) -> None:
    first = opened(root)
    observe(first, 0.1, -0.3, 1e-17)
    for value in (0.7, -1e-9):
        first.experiment.record_return(Side.SERVING, value)
    first.close(first.experiment.sums)
    again = opened(root)
    assert again.report() == first.report()
    assert again.report().returns.difference is not None
    assert again.others == ExperimentSums()


def test_what_was_read_is_not_lost_when_a_start_is_called_off_before_it_is_noted(
    root: Path,
) -> None:
    first = opened(root)
    observe(first, 1, 2)
    first.close(first.experiment.sums)
    called_off = KeptExperiment(root, KEY)
    called_off.sync(called_off.experiment.sums)
    called_off.close(called_off.experiment.sums)
    assert counts(opened(root)) == (2, 2)


def test_closed_twice_it_counts_once_and_takes_no_place_again(root: Path) -> None:
    kept = opened(root)
    observe(kept, 1, 2)
    for _ in range(2):
        kept.close(kept.experiment.sums)
    synced(kept)
    next_one = opened(root)
    assert counts(next_one) == (2, 2)
    assert next_one._slot is not None
    assert next_one._slot.number == 0


def test_a_folder_that_was_removed_costs_nothing_and_no_two_servers_share_a_place(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = opened(root)
    observe(one, 1, 2)
    synced(one)
    shutil.rmtree(root / "actor" / "experiment")
    two = opened(root)
    observe(two, 3)
    synced(two)
    observe(one, 4)
    assert counts(synced(one)) == (4, 4)
    assert "its files were removed" in caplog.text
    assert counts(synced(two)) == (4, 4)
    for each in (one, two):
        each.close(each.experiment.sums)
    opened(root)
    assert counts(opened(root)) == (4, 4)


def test_a_folder_that_was_removed_comes_back_with_all_that_is_in_memory(root: Path) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    kept = opened(root)
    observe(kept, 2)
    shutil.rmtree(root / "actor" / "experiment")
    assert (counts(synced(kept)), kept.problem) == ((2, 2), "")
    kept.close(kept.experiment.sums)
    assert counts(opened(root)) == (2, 2)


def test_a_lock_alone_that_was_removed_makes_nothing_count_twice(root: Path) -> None:
    kept = opened(root)
    observe(kept, 1)
    synced(kept)
    (root / "actor" / "experiment" / "0.lock").unlink()
    observe(kept, 2)
    assert counts(synced(kept)) == (2, 2)
    kept.close(kept.experiment.sums)
    assert counts(opened(root)) == (2, 2)


@pytest.fixture
def refuse_locks(monkeypatch: pytest.MonkeyPatch) -> Callable[[range], None]:
    """Have the system refuse the locks of these numbers, as it does with another user's."""
    system = os.open

    def refuse(numbers: range) -> None:
        names = {f"{number}.lock" for number in numbers}

        def refusing(path: Path, flags: int, mode: int = 0o777) -> int:
            if Path(path).name in names:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return system(path, flags, mode)

        monkeypatch.setattr(os, "open", refusing)

    return refuse


def test_places_of_another_user_are_passed_by(
    root: Path, refuse_locks: Callable[[range], None]
) -> None:
    refuse_locks(range(2))
    slot = ExperimentSlot.take(root, "actor")
    assert slot.number == 2
    slot.close()


def test_where_no_place_may_be_had_the_refusal_is_the_problem(
    root: Path, refuse_locks: Callable[[range], None]
) -> None:
    refuse_locks(range(64))
    assert opened(root).problem == "its sums are not kept: Permission denied"


def test_what_a_kill_left_half_written_goes_when_the_place_is_taken(root: Path) -> None:
    opened(root).close(ExperimentSums())
    place = root / "actor" / "experiment"
    mine, anothers = place / ".0.json-0123456789abcdef", place / ".1.json-0123456789abcdef"
    mine.touch()
    anothers.touch()
    opened(root)
    assert (mine.exists(), anothers.exists()) == (False, True)


def test_without_an_end_what_was_written_last_is_found(root: Path) -> None:
    killed = opened(root)
    observe(killed, 1, 2)
    synced(killed)
    observe(killed, 3)
    assert killed._slot is not None
    killed._slot.close()  # As the kernel does.
    assert counts(opened(root)) == (2, 2)


def test_several_servers_are_one_experiment_and_count_nothing_twice(root: Path) -> None:
    one, two = opened(root), opened(root)
    observe(one, 1, 2)
    observe(two, 3)
    synced(one)
    synced(two)
    synced(one)
    assert counts(one) == counts(two) == (3, 3)
    assert one.report() == two.report()
    for each in (one, two):
        each.close(each.experiment.sums)
    alone = opened(root)
    assert counts(alone) == (3, 3), "what the other had seen is gone with it"
    second = opened(root)
    assert counts(second) == (3, 3)


@pytest.mark.parametrize(
    "other",
    [
        ExperimentKey("actor", 1, 3, 0.5, 7),
        ExperimentKey("actor", 1, 2, 0.6, 7),
        ExperimentKey("actor", 1, 2, 0.5, 8),
    ],
)
def test_another_experiment_begins_with_nothing(root: Path, other: ExperimentKey) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    second = opened(root, other)
    assert counts(second) == (0, 0)
    observe(second, 2, 3)
    synced(second)
    assert counts(opened(root, other)) == (2, 2)


DAMAGE = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"experiment": {}}' + b" " * 20_000,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_sums_are_set_aside_and_said_and_the_experiment_begins_again(
    root: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    file = root / "actor" / "experiment" / "0.json"
    file.write_bytes(damage)
    again = opened(root)
    assert (counts(again), again.problem) == ((0, 0), "")
    assert file.with_name("0.json.damaged").read_bytes() == damage
    (record,) = caplog.records
    assert "experiment of actor begins again" in record.getMessage()
    assert "0.json.damaged" in record.getMessage()
    observe(again, 2)
    again.close(again.experiment.sums)
    assert counts(opened(root)) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"compared": 1', '"compared": -1'),
        ('"compared": 1', '"compared": 0'),
        ('"compared": 1', '"compared": true'),
        ('"compared": 1', '"compared": 1e999'),
        ('"mean": 1.0', '"mean": NaN'),
        ('"mean": 1.0', '"mean": "1"'),
        ('"mean": 1.0', '"mean": 1' + "0" * 400),
        ('"squares": 0.0', '"squares": -1.0'),
        ('"count": 1', '"count": 99999999999999999999'),
    ],
)
def test_numbers_that_cannot_be_are_damage(root: Path, old: str, new: str) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    file = root / "actor" / "experiment" / "0.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert counts(opened(root)) == (0, 0)
    assert file.with_name("0.json.damaged").exists()


def test_damaged_sums_of_another_are_a_problem_until_they_are_gone(root: Path) -> None:
    one = opened(root)
    observe(one, 1)
    other = root / "actor" / "experiment" / "5.json"
    other.write_text("{")
    assert "not counted" in synced(one).problem
    assert "5.json" in one.problem
    assert counts(one) == (1, 1)
    other.unlink()
    assert synced(one).problem == ""


def test_a_disk_that_refuses_costs_no_observation(root: Path) -> None:
    place = root / "actor" / "experiment"
    place.write_text("no folder")
    kept = opened(root)
    assert kept.problem.startswith("its sums are not kept: ")
    observe(kept, 1)
    assert counts(synced(kept)) == (1, 1)
    place.unlink()
    assert (synced(kept).problem, counts(kept)) == ("", (1, 1))
    kept.close(kept.experiment.sums)
    assert counts(opened(root)) == (1, 1)


def test_a_place_that_is_free_later_brings_what_lies_there(root: Path) -> None:
    first = opened(root)
    observe(first, 1)
    first.close(first.experiment.sums)
    file = root / "actor" / "experiment" / "0.json"
    content = file.read_bytes()
    file.unlink()
    file.mkdir()  # It cannot be read.
    kept = opened(root)
    observe(kept, 2)
    assert kept.problem
    file.rmdir()
    file.write_bytes(content)
    assert counts(synced(kept)) == (2, 2)
    kept.close(kept.experiment.sums)
    assert counts(opened(root)) == (2, 2)


def test_no_more_servers_than_there_are_places(root: Path) -> None:
    slots = [ExperimentSlot.take(root, "actor") for _ in range(64)]
    assert [slot.number for slot in slots] == list(range(64))
    with pytest.raises(CapacityError, match="64 servers keep an experiment of 'actor'"):
        ExperimentSlot.take(root, "actor")
    assert "that is the limit" in opened(root).problem
    slots[17].close()
    taken = ExperimentSlot.take(root, "actor")
    assert taken.number == 17
    for slot in (*slots[:17], *slots[18:], taken):
        slot.close()


def test_a_rollout_is_in_an_experiment_from_the_step_that_gave_it_its_share() -> None:
    ada = Author("ada", "why")
    rollout = Rollout("actor", 1)
    assert ExperimentKey.of(rollout) is None
    canary = rollout.start(2, Stage.CANARY, 0.1, ada, 5)
    assert ExperimentKey.of(canary) is None
    begun = canary.move(Stage.AB, 0.1, ada, 6)
    assert ExperimentKey.of(begun) == ExperimentKey("actor", 1, 2, 0.1, 6)
    assert ExperimentKey.of(begun.move(Stage.AB, 0.5, ada, 7)) == KEY
    assert ExperimentKey.of(begun.promote(ada, 8)) is None


def test_a_step_that_changes_nothing_begins_no_other_experiment() -> None:
    ada = Author("ada", "why")
    begun = Rollout("actor", 1).start(2, Stage.AB, 0.5, ada, 7)
    assert ExperimentKey.of(begun.move(Stage.AB, 0.5, ada, 8).move(Stage.AB, 0.5, ada, 9)) == KEY
    again = begun.rollback(ada, 8).start(2, Stage.AB, 0.5, ada, 9)
    assert ExperimentKey.of(again) == ExperimentKey("actor", 1, 2, 0.5, 9)
    back = begun.move(Stage.AB, 0.6, ada, 8).move(Stage.AB, 0.5, ada, 9)
    assert ExperimentKey.of(back) == ExperimentKey("actor", 1, 2, 0.5, 9)


@given(OBSERVATIONS, OBSERVATIONS)
def test_merged_moments_are_those_of_all_observations(one: list[float], two: list[float]) -> None:
    def of(values: list[float]) -> Moments:
        moments = Moments()
        for value in values:
            moments = moments.add(value)
        return moments

    merged, whole = of(one).merged(of(two)), of(one + two)
    assert merged.count == whole.count
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-6)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-2)
