"""Recordings: what was written before a kill is read, in order, and judged."""

from __future__ import annotations

import json

from tests.crash.recording import Follower, Recorder, content_of, events_of, read, read_all
from tests.crash.verdict import judge
from tests.simulation import events as ev
from tests.simulation.history import Kind

from bellwire.client import Batch, new_message


class NoSettler:
    """Takes dispositions and forgets them."""

    def settle(self, *_: object) -> None:
        """Do nothing."""


def batch_of(*messages, offset: int = 0) -> Batch:
    return Batch(messages, "orders", 1, offset, NoSettler())


def record_one_life(folder, *, deliver: int, accept: int) -> None:
    """Publish two messages, acknowledge both, deliver and accept as many as told."""
    messages = [new_message(data=b"a"), new_message(data=b"b")]
    publisher, subscriber = Recorder(folder / "p.jsonl"), Recorder(folder / "s.jsonl")
    subscriber.note("subscribed", subscription="s", topics=["orders"], ordered=True)
    publisher.published("orders", "p", 0, messages)
    publisher.acknowledged("orders", 1, [(message.id, at) for at, message in enumerate(messages)])
    if deliver:
        batch = batch_of(*messages[:deliver])
        subscriber.delivered("s", "m", batch)
        subscriber.settled("s", "m", batch, range(accept), ev.ACCEPTED)
    publisher.close()
    subscriber.close()


def test_a_line_cut_off_by_a_kill_is_not_read(tmp_path):
    path = tmp_path / "p.jsonl"
    recorder = Recorder(path)
    recorder.note("round", number=1)
    with path.open("ab") as file:
        file.write(b'{"at":5,"ki')
    assert [line["kind"] for line in read(path)] == ["round"]
    follower = Follower(path)
    assert [line["kind"] for line in follower.new_lines()] == ["round"]
    with path.open("ab") as file:
        file.write(b'nd":"ready"}\n')
    assert [line["kind"] for line in follower.new_lines()] == ["ready"]
    assert follower.new_lines() == []
    recorder.close()


def test_lines_of_several_processes_come_in_the_order_of_their_clock(tmp_path):
    for name, times in (("a", (1, 4)), ("b", (2, 3))):
        lines = (json.dumps({"at": at, "kind": name}) for at in times)
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert [line["kind"] for line in read_all(tmp_path)] == ["a", "b", "b", "a"]


def test_a_line_is_taken_apart_into_one_event_per_message(tmp_path):
    message = new_message(data=b"x")
    recorder = Recorder(tmp_path / "s.jsonl")
    recorder.delivered("s", "m", batch_of(message, message, offset=7))
    recorder.close()
    (line,) = read(tmp_path / "s.jsonl")
    content = content_of(message)
    assert list(events_of(line)) == [
        ev.Delivered("s", "m", message.id, "orders", "orders/1", offset, 0, content)
        for offset in (7, 8)
    ]


def test_a_history_without_a_loss_is_found_sound(tmp_path):
    record_one_life(tmp_path, deliver=2, accept=2)
    verdict = judge(tmp_path)
    assert verdict.violations == []
    assert (verdict.counts["published"], verdict.counts["acknowledged"]) == (2, 2)
    assert (verdict.counts["delivered"], verdict.counts["redelivered"]) == (2, 0)


def test_a_message_that_was_not_delivered_or_not_accepted_is_found_to_be_lost(tmp_path):
    for name, deliver, accept in (("undelivered", 1, 1), ("unaccepted", 2, 1)):
        folder = tmp_path / name
        folder.mkdir()
        record_one_life(folder, deliver=deliver, accept=accept)
        assert [violation.kind for violation in judge(folder).violations] == [Kind.LOST]


def test_a_lost_message_whose_place_was_given_to_another_is_found_to_be_lost(tmp_path):
    record_one_life(tmp_path, deliver=2, accept=2)
    lost = new_message(data=b"c")
    recorder = Recorder(tmp_path / "q.jsonl")
    recorder.published("orders", "q", 0, [lost])
    recorder.acknowledged("orders", 1, [(lost.id, 0)])
    recorder.close()
    found = {violation.kind for violation in judge(tmp_path).violations}
    assert found == {Kind.LOST, Kind.MIXED_UP}
