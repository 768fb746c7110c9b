"""What the sampler is asked, and what its failures mean; that it samples is shown by test_profile.py."""

from pathlib import Path

import pytest

from bellwire.cli.faults import ExitCode, UsageFault
from bellwire.cli.profile_format import ProfileFormat
from bellwire.cli.sampler import SamplePlan, check_output, failure_of

PLAN = SamplePlan(4711, 10, 250, ProfileFormat.RAW, Path("out.txt"))
BACKTRACE = "\nStack backtrace:\n   0: py_spy::python_spy::PythonSpy::new"


def test_it_is_asked_for_what_the_plan_says():
    asked = PLAN.arguments(Path("part"))
    assert asked[0] == "record"
    assert dict(zip(asked[1::2], asked[2::2], strict=True)) == {
        "--pid": "4711",
        "--duration": "10",
        "--rate": "250",
        "--format": "raw",
        "--output": "part",
    }
    more = SamplePlan(1, 1, 1, ProfileFormat.FLAMEGRAPH, Path("o"), native=True, idle=True)
    assert more.arguments(Path("part"))[-2:] == ["--native", "--idle"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Error: … Permission denied (os error 13)", "the kernel does not let this user look into"),
        ("Error: Operation not permitted (os error 1)", "the kernel does not let this user look"),
        ("Error: Failed to find python version from target process", "is not a Python program"),
        ("Error: No stack counts found", "did nothing in 10 s"),
        ("Error: … No such file or directory (os error 2)", "ended before it could be sampled"),
        ("Error: … No such process (os error 3)", "ended before it could be sampled"),
    ],
)
def test_a_failure_is_told_in_one_line(said, meant):
    error = failure_of(PLAN, said + BACKTRACE)
    assert meant in str(error)
    assert "4711" in str(error)
    assert error.details == ""


def test_an_unknown_failure_shows_what_the_sampler_said_without_its_backtrace():
    error = failure_of(PLAN, "Error: something new" + BACKTRACE)
    assert (str(error), error.details) == (
        "process 4711 could not be sampled",
        "Error: something new",
    )


def test_a_file_that_cannot_be_there_is_refused_before_sampling(tmp_path):
    check_output(tmp_path / "new.svg")
    for wrong, why in ((tmp_path, "is a folder"), (tmp_path / "no" / "x", "does not exist")):
        with pytest.raises(UsageFault, match=why) as raised:
            check_output(wrong)
        assert raised.value.exit_code is ExitCode.USAGE
