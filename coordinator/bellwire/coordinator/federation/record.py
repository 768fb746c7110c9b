"""What stands in Redis: keys, holders of agent ids, and the two parts of a coordinator's record. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.agent.v1.agent_pb2 import AgentStatus
from bellwire.agent.v1.directory_pb2 import DirectoryRecord
from bellwire.coordinator.core.remotes import Place
from bellwire.wire.errors import CallerError

__all__ = [
    "RECORD_BYTES_MAX",
    "Keys",
    "RecordError",
    "decode_place",
    "decode_record",
    "encode_head",
    "encode_place",
    "encode_roster",
]

VERSION: Final = 1
KEY_PREFIX: Final = "bellwire:directory"
# Of either part: what Redis takes and gives within the time of a request.
RECORD_BYTES_MAX: Final = 4 << 20
AGENTS_MAX: Final = 10_000
PLACE_BYTES_MAX: Final = 4_096
_ID: Final = re.compile(r"[0-9a-f]{32}")


class RecordError(CallerError):
    """What stands in the directory was not written by a coordinator."""

    reason = "DIRECTORY_RECORD_INVALID"


@dataclass(frozen=True, slots=True)
class Keys:
    """Names in Redis.

    Attributes:
        directory: Name of the directory.
    """

    directory: str

    @property
    def coordinators(self) -> str:
        """Set of the ids of coordinators that have, or had, a record."""
        return f"{KEY_PREFIX}:{self.directory}:coordinators"

    @property
    def record_prefix(self) -> str:
        """Of the hashes that are records."""
        return f"{KEY_PREFIX}:{self.directory}:record:"

    def record(self, coordinator_id: str) -> str:
        """Hash of a coordinator's record: fields `head` and `roster`."""
        return self.record_prefix + coordinator_id

    def agent(self, agent_id: str) -> str:
        """Lease of an agent's id: who has it."""
        return f"{KEY_PREFIX}:{self.directory}:agent:{agent_id}"

    @property
    def news(self) -> str:
        """Channel on which the id of a coordinator is published whose record has changed."""
        return f"{KEY_PREFIX}:{self.directory}:news"


def encode_place(place: Place) -> bytes:
    """Return a coordinator as the holder of an agent's id."""
    return json.dumps(asdict(place), separators=(",", ":")).encode()


def decode_place(value: bytes) -> Place:
    """Read the holder of an agent's id.

    Raises:
        RecordError: It is none of ours.
    """
    try:
        if len(value) > PLACE_BYTES_MAX:
            raise ValueError
        found = json.loads(value)
        place = Place(found["id"], found["group"], found["address"])
        if not all(isinstance(part, str) for part in (place.id, place.group, place.address)):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RecordError(
            f"the directory holds {value[:80]!r} as the holder of an agent's id: delete the key"
        ) from None
    return place


def encode_head(place: Place, revision: int, loads: Iterable[AgentStatus]) -> bytes:
    """Return the head of a record, with as many agents as may be in it."""
    return _encoded(place, revision, loads)[0]


def encode_roster(
    place: Place, revision: int, registered: Iterable[AgentStatus]
) -> tuple[bytes, int]:
    """Return the roster of a record, with as many agents as fit, and how many do not."""
    return _encoded(place, revision, registered)


def decode_record(data: bytes, coordinator_id: str) -> tuple[Place, int, Sequence[AgentStatus]]:
    """Read a head or a roster: whose, of which revision, which agents.

    Raises:
        RecordError: It is none that we can read.
    """
    if len(data) > RECORD_BYTES_MAX:
        raise RecordError(
            f"a record of the directory has {len(data)} bytes, limit is {RECORD_BYTES_MAX}"
        )
    try:
        record = DirectoryRecord.FromString(data)
    except DecodeError:
        raise RecordError(f"the directory holds {data[:40]!r}, which is no record") from None
    if record.version != VERSION:
        raise RecordError(
            f"a record of the directory has version {record.version}, {VERSION} is read here: "
            "run the same version of Bellwire everywhere"
        )
    if record.coordinator_id != coordinator_id or _ID.fullmatch(coordinator_id) is None:
        raise RecordError(
            f"a record of the directory is of {record.coordinator_id[:80]!r}, not of {coordinator_id[:80]!r}"
        )
    place = Place(record.coordinator_id, record.group, record.address)
    return place, record.revision, record.agents


def _encoded(place: Place, revision: int, agents: Iterable[AgentStatus]) -> tuple[bytes, int]:
    record = DirectoryRecord(
        version=VERSION,
        coordinator_id=place.id,
        group=place.group,
        address=place.address,
        revision=revision,
    )
    size, left_out = record.ByteSize() + 16, 0
    for status in agents:
        size += status.ByteSize() + 6  # Its tag and length.
        if size > RECORD_BYTES_MAX or len(record.agents) >= AGENTS_MAX:
            left_out += 1
            size -= status.ByteSize() + 6
            continue
        record.agents.append(status)
    return record.SerializeToString(), left_out
