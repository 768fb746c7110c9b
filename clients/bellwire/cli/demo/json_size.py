"""What the same messages would weigh as JSON."""

from __future__ import annotations

import json
from base64 import b64encode

from google.protobuf.json_format import MessageToDict

from bellwire.cli.demo.recording import Recorded

__all__ = ["message_json"]


def message_json(recorded: Recorded) -> bytes:
    """Return a message as a REST service would send it.

    The envelope and the payload follow the protobuf JSON mapping; a payload of a known type stands
    as an object in `data`, which is smaller than the base64 the mapping itself would give.
    """
    envelope = MessageToDict(recorded.message, preserving_proto_field_name=True)
    if recorded.payload is not None:
        envelope["data"] = MessageToDict(recorded.payload, preserving_proto_field_name=True)
    elif recorded.message.data:
        envelope["data"] = b64encode(recorded.message.data).decode("ascii")
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
