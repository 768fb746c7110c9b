"""What of a log is repeated in an error."""

from pathlib import Path

from bellwire.runtime.process_log import TAIL_BYTES, ProcessLog


def test_the_tail_is_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "p.log").write_text("begin\n" + "x" * TAIL_BYTES + "\nTraceback: the end\n")
    tail = ProcessLog(str(tmp_path), "p").tail()
    assert tail.endswith("Traceback: the end")
    assert "begin" not in tail


def test_a_short_log_is_told_whole(tmp_path: Path) -> None:
    (tmp_path / "p.log").write_text("one line\n")
    assert ProcessLog(str(tmp_path), "p").tail().endswith("ends:\none line")


def test_of_a_log_of_a_terabyte_only_the_end_is_read(tmp_path: Path) -> None:
    with (tmp_path / "p.log").open("wb") as file:
        file.seek(1 << 40)  # Sparse: it takes no room.
        file.write(b"the end")
    assert ProcessLog(str(tmp_path), "p").tail().endswith("the end")


def test_a_log_that_cannot_be_read_has_no_tail(tmp_path: Path) -> None:
    (tmp_path / "p.log").mkdir()
    assert ProcessLog(str(tmp_path), "p").tail() == ""
    assert ProcessLog(str(tmp_path), "unwritten").tail() == ""
