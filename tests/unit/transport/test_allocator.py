import os
import platform
import subprocess
import sys

import pytest

ROUNDS, MESSAGES = 100, 8
# Each message takes 40 where its memory comes anew from the system.
FAULTS_MAX = ROUNDS * MESSAGES
PROGRAM = f"""
import resource
from bellwire.bus.v1.message_pb2 import Message
from bellwire.transport.allocator import keep_freed_blocks

message = Message(data=b"x" * 168_000)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        [message.SerializeToString() for _ in range({MESSAGES})]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_blocks()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a rule of glibc's allocator")
def test_large_messages_are_serialized_into_memory_that_the_process_has() -> None:
    # In a process of its own: in this one the limit may have been moved by whatever ran before.
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    printed = subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True)
    assert int(printed) < FAULTS_MAX
