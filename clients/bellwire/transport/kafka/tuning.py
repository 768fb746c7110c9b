"""What of aiokafka's pace is set from outside, because it has no setting for it."""

from __future__ import annotations

from typing import Final

import aiokafka.codec
import aiokafka.producer.sender

__all__ = ["BEGIN_AGAIN_SECONDS", "LZ4_LEVEL"]

BEGIN_AGAIN_SECONDS: Final = 0.003
LZ4_LEVEL: Final = 1

# Until the brokers have written the end of a transaction, a few ms, they refuse to begin the next one; aiokafka asks
# again after 20 ms then, which was most of a commit.
aiokafka.producer.sender.BACKOFF_OVERRIDE = BEGIN_AGAIN_SECONDS
# Its level 9 takes eight times as long to make a batch of 900 kB a sixteenth smaller.
aiokafka.codec.lz4_encode.__defaults__ = (LZ4_LEVEL,)
